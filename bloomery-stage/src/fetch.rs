//! A buildpack by URL: looked at before it is fetched, and after.

use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::archive::{self, Bounds};
use crate::egress;
use crate::error::StageError;
use crate::git;
use crate::location::{Kind, Location};
use crate::plan::Plan;
use crate::program::{self, MISSING};

/// Where fetched buildpacks are put.
const PLACE: &str = "/tmp/buildpacks";
/// Bytes of a fetched archive.
const MOST_FETCHED: u64 = 1 << 30;
const BOUNDS: Bounds = Bounds {
    bytes: 2 << 30,
    entries: 200_000,
};
/// The contract.
const SCRIPTS: [&str; 3] = ["bin/detect", "bin/compile", "bin/release"];

/// Fetches the buildpack and returns its directory.
pub fn fetch(plan: &Plan, url: &str) -> Result<PathBuf, StageError> {
    let location = Location::parse(url)?;
    if let Some(rules) = &plan.egress {
        check_address(&location, rules)?;
    }
    let dir = Path::new(PLACE).join(&location.name);
    // Of an earlier attempt outside of a container.
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(PLACE).map_err(StageError::file(PLACE))?;
    let dir = match location.kind {
        Kind::Git => {
            println!("-----> Cloning buildpack {}", location.name);
            git::clone(&location, &dir, plan.timeout_secs)?;
            dir
        }
        Kind::Zip => {
            println!("-----> Downloading buildpack {}", location.name);
            download(&location, &dir, plan.timeout_secs)?;
            top_of(dir)
        }
    };
    check_contract(&location, &dir)?;
    Ok(dir)
}

/// Refuses an address that the packet filter would refuse, with its name.
fn check_address(location: &Location, rules: &[egress::Rule]) -> Result<(), StageError> {
    let addresses = resolve(&location.host)?;
    let permitted = |a: &&Ipv4Addr| egress::permits(rules, **a, location.port);
    match addresses.iter().find(permitted) {
        Some(_) => Ok(()),
        None => Err(StageError::NotAllowed {
            host: location.host.clone(),
            address: addresses[0],
            port: location.port,
        }),
    }
}

/// IPv4 addresses by the stack's own resolver, at least one.
fn resolve(host: &str) -> Result<Vec<Ipv4Addr>, StageError> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    let output = Command::new("getent").args(["ahostsv4", host]).output();
    let text = output.map(|o| o.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let first_words = text
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let addresses: Vec<Ipv4Addr> = first_words.filter_map(|word| word.parse().ok()).collect();
    match addresses.is_empty() {
        true => Err(StageError::Unresolved { host: host.into() }),
        false => Ok(addresses),
    }
}

fn download(location: &Location, dir: &Path, seconds: u64) -> Result<(), StageError> {
    let zip = dir.with_extension("zip");
    let mut curl = program::limited(seconds);
    curl.args([
        "curl",
        "--fail",
        "--silent",
        "--show-error",
        "--location",
        "--max-redirs",
        "5",
    ]);
    curl.args(["--proto", "=http,https", "--proto-redir", "=http,https"]);
    curl.args(["--max-filesize", &MOST_FETCHED.to_string(), "--output"]);
    curl.arg(&zip).arg("--").arg(&location.url);
    let output = curl.output().map_err(|source| StageError::Program {
        program: "timeout".into(),
        source,
    })?;
    let failed = |reason: String| StageError::Download {
        url: location.shown(),
        reason,
    };
    match output.status.code() {
        Some(0) => {}
        Some(MISSING) => {
            return Err(StageError::NoTool {
                tool: "curl",
                what: "a buildpack in an archive",
            });
        }
        _ => {
            return Err(failed(
                String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            ));
        }
    }
    archive::unpack(&zip, dir, BOUNDS).map_err(|e| failed(e.to_string()))?;
    Ok(())
}

/// Archives of hosting services have one directory around everything.
fn top_of(dir: PathBuf) -> PathBuf {
    if dir.join("bin").is_dir() {
        return dir;
    }
    let mut entries = std::fs::read_dir(&dir).into_iter().flatten().flatten();
    match (entries.next(), entries.next()) {
        (Some(only), None) if only.path().is_dir() => only.path(),
        _ => dir,
    }
}

/// The three scripts must be there; archives often lose their executable bits.
fn check_contract(location: &Location, dir: &Path) -> Result<(), StageError> {
    for script in SCRIPTS {
        let path = dir.join(script);
        if !path.is_file() {
            return Err(StageError::NotABuildpack {
                url: location.shown(),
                missing: script,
            });
        }
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, mode).map_err(StageError::file(path))?;
    }
    Ok(())
}
