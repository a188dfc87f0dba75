//! What a build needs of the host.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::StackError;
use super::profile::Profile;
use crate::settings::is_root;

/// Programs and the packages they come in.
const PROGRAMS: [(&str, &str); 4] = [
    ("mmdebstrap", "mmdebstrap"),
    ("apt-get", "apt"),
    ("tar", "tar"),
    ("df", "coreutils"),
];
/// Where programs are, whatever the caller's path says.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
const BUNDLES: [&str; 2] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
];

/// A program with the search path and language that the build wants.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env("PATH", PATH)
        .env("LC_ALL", "C.UTF-8")
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Refuses what cannot succeed, before anything is fetched.
pub fn check(out: &Path, profile: Profile) -> Result<(), StackError> {
    have(&PROGRAMS)?;
    let (free_mb, needed_mb) = (free_mb(out)?, profile.needed_mb());
    if free_mb < needed_mb {
        return Err(StackError::NoRoom {
            dir: out.into(),
            free_mb,
            needed_mb,
        });
    }
    Ok(())
}

/// Refuses an import that cannot succeed.
pub fn check_import() -> Result<(), StackError> {
    have(&[("tar", "tar")])
}

fn have(programs: &[(&'static str, &'static str)]) -> Result<(), StackError> {
    if !is_root() {
        return Err(StackError::NotRoot);
    }
    let is_there = |program: &str| {
        PATH.split(':')
            .any(|dir| Path::new(dir).join(program).is_file())
    };
    match programs.iter().find(|(program, _)| !is_there(program)) {
        Some(&(program, package)) => Err(StackError::NoProgram { program, package }),
        None => Ok(()),
    }
}

fn free_mb(dir: &Path) -> Result<u64, StackError> {
    let output = command("df")
        .args(["-B1M", "--output=avail"])
        .arg(dir)
        .output();
    let output = output.map_err(StackError::file("look for free room in", dir))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.split_whitespace().last().and_then(|n| n.parse().ok());
    last.ok_or_else(|| {
        StackError::file("look for free room in", dir)(std::io::Error::other("df gave no number"))
    })
}

/// The host's certificate bundle.
pub fn ca_bundle() -> Option<PathBuf> {
    BUNDLES
        .iter()
        .map(PathBuf::from)
        .find(|path| path.is_file())
}
