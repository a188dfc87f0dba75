//! Making the root file system with mmdebstrap, out of packages that are here.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;

use super::apt::Apt;
use super::error::StackError;
use super::progress::Progress;
use super::recipe::Recipe;
use super::sources::Sources;
use super::{RELEASE, host};

/// Fills the new directory `root`; `packages` is how many are expected.
pub fn run(
    apt: &Apt,
    recipe: &Recipe,
    sources: &Sources,
    root: &Path,
    packages: u64,
) -> Result<(), StackError> {
    let mut command = host::command("sh");
    // Both streams in one, in their order.
    command.args(["-c", "exec mmdebstrap \"$@\" 2>&1", "sh"]);
    command.args(arguments(apt, recipe)).arg(RELEASE).arg(root);
    command
        .args(sources.iter().map(|(file, _)| file))
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = command
        .spawn()
        .map_err(StackError::file("run", "mmdebstrap"))?;
    if let Some(output) = child.stdout.take() {
        follow(BufReader::new(output), apt, packages)?;
    }
    let status = child
        .wait()
        .map_err(StackError::file("wait for", "mmdebstrap"))?;
    match status.success() {
        true => Ok(()),
        false => Err(StackError::Step {
            step: "installing the packages",
            program: "mmdebstrap".into(),
            status: status.to_string(),
            tail: crate::logs::tail(&apt.log(), 12),
            log: apt.log(),
        }),
    }
}

fn arguments(apt: &Apt, recipe: &Recipe) -> Vec<String> {
    let mut arguments = vec![
        "--mode=root".to_owned(),
        "--variant=apt".into(),
        "--format=directory".into(),
        // Says which package it is at.
        "--verbose".into(),
        // The archive directory is filled before, which would be taken for a mistake.
        "--skip=download/empty".into(),
        format!("--include={}", recipe.profile.packages().join(",")),
        "--aptopt=APT::Install-Recommends \"false\"".into(),
        // A build that loses power is made again; until then its files need not be on the disk.
        "--dpkgopt=force-unsafe-io".into(),
        format!("--setup-hook={}", recipe.before(&apt.archives())),
    ];
    let left_out = ["man", "doc", "info", "lintian"]
        .map(|name| format!("--dpkgopt=path-exclude=/usr/share/{name}/*"));
    arguments.extend(left_out);
    arguments.extend(
        recipe
            .after()
            .into_iter()
            .map(|line| format!("--customize-hook={line}")),
    );
    arguments
}

/// Keeps every line in the log and counts the packages that were set up.
fn follow(output: impl BufRead, apt: &Apt, packages: u64) -> Result<(), StackError> {
    let mut log = apt.open_log()?;
    let mut progress = Progress::of(packages);
    let mut set_up = 0;
    for line in output.split(b'\n') {
        let line = line.map_err(StackError::file("read the output of", "mmdebstrap"))?;
        let _ = log.write_all(&line).and_then(|()| log.write_all(b"\n"));
        if line.starts_with(b"Setting up ") {
            set_up += 1;
            if let Some(percent) = progress.reached(set_up) {
                say!(
                    "  {percent:>3} %  {} of {packages} packages",
                    set_up.min(packages)
                );
            }
        }
    }
    Ok(())
}
