//! `--signal`: telling a running server what to do.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};

/// Names of orders and the signals that carry them, as `nats-server` has them.
const ORDERS: [(&str, Signal); 6] = [
    ("stop", Signal::KILL),
    ("quit", Signal::INT),
    ("term", Signal::TERM),
    ("reopen", Signal::USR1),
    ("reload", Signal::HUP),
    ("ldm", Signal::USR2),
];

/// Carries out `NAME` (to the only other nats-lite here) or `NAME=PID`, where PID may name a pid file.
pub(super) fn send(order: &str) -> anyhow::Result<()> {
    let (name, target) = match order.split_once('=') {
        Some((name, target)) => (name, Some(target)),
        None => (order, None),
    };
    let known = ORDERS.iter().find(|(known, _)| *known == name);
    let (_, signal) = known.ok_or_else(|| {
        let names = ORDERS.map(|(name, _)| name).join(", ");
        anyhow!("unknown signal {name:?}; known are {names}")
    })?;
    let pid = match target {
        Some(target) => read_pid(target)?,
        None => only_server()?,
    };
    kill_process(pid, *signal).with_context(|| {
        format!(
            "cannot signal process {}; is it running, and yours?",
            pid.as_raw_nonzero()
        )
    })
}

fn read_pid(target: &str) -> anyhow::Result<Pid> {
    let text = match target.parse::<i32>() {
        Ok(_) => target.to_owned(),
        Err(_) => std::fs::read_to_string(target).with_context(|| {
            format!("invalid pid: {target} is neither a number nor a readable file")
        })?,
    };
    let number = text.trim().parse().ok();
    number
        .and_then(Pid::from_raw)
        .with_context(|| format!("invalid pid: {:?}", text.trim()))
}

/// The only other process that runs this program.
fn only_server() -> anyhow::Result<Pid> {
    let ours = std::env::current_exe().context("cannot find this program's file")?;
    let name = ours.file_name().unwrap_or_default();
    let entries =
        std::fs::read_dir("/proc").context("cannot list processes; name one with =PID")?;
    let found: Vec<i32> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != std::process::id() as i32 && runs(*pid, name))
        .collect();
    match found[..] {
        [] => bail!("no {} processes running", name.display()),
        [pid] => Pid::from_raw(pid).context("the process is gone"),
        _ => bail!(
            "several {} processes running: {found:?}; choose one with =PID",
            name.display()
        ),
    }
}

fn runs(pid: i32, name: &OsStr) -> bool {
    let exe = std::fs::read_link(Path::new("/proc").join(pid.to_string()).join("exe"));
    exe.is_ok_and(|exe| exe.file_name() == Some(name))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn mistakes_are_explained() {
        assert!(
            send("jump")
                .unwrap_err()
                .to_string()
                .contains("known are stop, quit")
        );
        assert!(
            send("reload=1x")
                .unwrap_err()
                .to_string()
                .starts_with("invalid pid: 1x")
        );
        assert!(
            send("reload=0")
                .unwrap_err()
                .to_string()
                .starts_with("invalid pid")
        );
    }

    #[test]
    fn a_pid_may_stand_in_a_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "123\n").unwrap();
        let pid = read_pid(file.path().to_str().unwrap()).unwrap();
        assert_eq!(pid.as_raw_nonzero().get(), 123);
    }
}
