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

/// Chains of other programs that drop forwarded packets by policy, as dockerd
/// makes them. An accept of ours cannot overrule them from another table, so a
/// rule with our mark goes to their top.
const FOREIGN: [&str; 1] = ["ip filter FORWARD"];

/// Lets our links pass foreign forward chains whose policy is drop. Repeating it
/// changes nothing, so that a dockerd that starts later is noticed too.
pub(crate) fn open_foreign_forward(tag: &str) -> Result<()> {
    let mark = format!("comment \"bloomery_{tag}\"");
    for chain in FOREIGN {
        let closed = list_chain(chain).is_some_and(|text| drops(&text) && !text.contains(&mark));
        if !closed {
            continue;
        }
        apply(&format!(
            "insert rule {chain} iifname \"b{tag}*\" accept {mark}\ninsert rule {chain} oifname \"b{tag}*\" accept {mark}\n"
        ))?;
    }
    Ok(())
}

/// Removes those rules again.
pub(crate) fn close_foreign_forward(tag: &str) -> Result<()> {
    let mark = format!("comment \"bloomery_{tag}\"");
    for chain in FOREIGN {
        let Some(listing) = list_chain(chain) else {
            continue;
        };
        let handles = listing.lines().filter(|line| line.contains(&mark));
        for handle in
            handles.filter_map(|line| line.rsplit_once("# handle ").map(|(_, n)| n.trim()))
        {
            apply(&format!("delete rule {chain} handle {handle}\n"))?;
        }
    }
    Ok(())
}

fn drops(listing: &str) -> bool {
    listing.contains("hook forward") && listing.contains("policy drop")
}

/// `None` when there is no such chain.
fn list_chain(chain: &str) -> Option<String> {
    let args: Vec<&str> = ["-a", "list", "chain"]
        .into_iter()
        .chain(chain.split(' '))
        .collect();
    read(&args).ok()
}
