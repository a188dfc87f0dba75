//! Running the `nft` program.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::sys::At;
use crate::{Error, Result};

/// Applies a script as one transaction.
pub(crate) fn apply(script: &str) -> Result<()> {
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .at("start nft (package nftables)")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(script.as_bytes()).at("write to nft")?;
    }
    let output = child.wait_with_output().at("wait for nft")?;
    if output.status.success() {
        return Ok(());
    }
    Err(refused(&output.stderr))
}

/// Output of `nft` with these arguments.
pub(crate) fn read(args: &[&str]) -> Result<String> {
    let output = Command::new("nft")
        .args(args)
        .stdin(Stdio::null())
        .output()
        .at("start nft (package nftables)")?;
    if !output.status.success() {
        return Err(refused(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether the program is there and may look at the tables.
pub(crate) fn check() -> Result<()> {
    read(&["list", "tables"]).map(drop)
}

fn refused(stderr: &[u8]) -> Error {
    let text: String = String::from_utf8_lossy(stderr)
        .trim()
        .chars()
        .take(1000)
        .collect();
    Error::Keeper {
        step: "nft".into(),
        message: text,
    }
}
