//! Starting a keeper, and ending one that does not answer.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::record::{read_json, write_json};
use crate::sys::spawn::{Spawned, spawn};
use crate::sys::{At, process, socket};
use crate::wire::{self, KeeperSpec, KeeperState, Reply, names};
use crate::{Error, Result, procfs};

/// Creation that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// Writes `spec.json`, starts the keeper and waits until the container is
/// ready. `given` is what the specification calls warm: a network namespace, a
/// disk; `group` the control group it is born in. On failure the keeper is gone.
pub(crate) fn start(
    wshd: &Path,
    dir: &Path,
    spec: &KeeperSpec,
    given: Vec<OwnedFd>,
    group: Option<OwnedFd>,
) -> Result<Spawned> {
    write_json(&dir.join(names::SPEC), spec)?;
    let (ours, theirs) = UnixStream::pair().at("socketpair for the keeper")?;
    if !given.is_empty() {
        let raw: Vec<_> = given.iter().map(AsRawFd::as_raw_fd).collect();
        socket::send(ours.as_fd(), b"w", &raw).at("pass what was made ahead")?;
    }
    let child = start_program(wshd, dir, theirs.into(), group)?;
    match hear(ours) {
        Ok(()) => Ok(child),
        Err(error) => {
            // Dead already, or stuck: in both cases it must not live on.
            let _ = child.kill();
            let _ = child.wait();
            Err(with_log(error, dir))
        }
    }
}

fn start_program(
    wshd: &Path,
    dir: &Path,
    stdin: OwnedFd,
    group: Option<OwnedFd>,
) -> Result<Spawned> {
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(dir.join(names::LOG))
        .at("open keeper.log")?;
    let group = group.as_ref().map(AsFd::as_fd);
    spawn(wshd, dir, stdin.as_fd(), log.as_fd(), group).at(format!("start {}", wshd.display()))
}

fn hear(mut socket: UnixStream) -> Result<()> {
    socket
        .set_read_timeout(Some(PATIENCE))
        .at("set a timeout for the keeper")?;
    let mut buf = Vec::new();
    let mut piece = [0u8; 4096];
    loop {
        if let Some((_, body)) = wire::take_frame(&mut buf).map_err(odd)? {
            return match serde_json::from_slice(&body).map_err(|e| odd(e.to_string()))? {
                Reply::Ready { .. } => Ok(()),
                Reply::Failed { step, message } => Err(Error::Keeper { step, message }),
                other => Err(odd(format!("unexpected {other:?}"))),
            };
        }
        match socket.read(&mut piece) {
            Ok(0) => return Err(odd("it ended without a word")),
            Ok(n) => buf.extend_from_slice(&piece[..n]),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e).at("wait for the keeper"),
        }
    }
}

fn odd(message: impl Into<String>) -> Error {
    Error::Keeper {
        step: "start the keeper".into(),
        message: message.into(),
    }
}

/// A keeper that died silently may have said why in its log.
fn with_log(error: Error, dir: &Path) -> Error {
    let Error::Keeper { step, message } = &error else {
        return error;
    };
    let log = fs::read_to_string(dir.join(names::LOG)).unwrap_or_default();
    match log.lines().last().filter(|_| step == "start the keeper") {
        Some(last) => Error::Keeper {
            step: step.clone(),
            message: format!("{message}; its log ends: {last}"),
        },
        None => error,
    }
}

/// Whether the keeper of `dir` lives.
pub(crate) fn is_alive(dir: &Path) -> bool {
    let Ok(state) = read_json::<KeeperState>(&dir.join(names::STATE)) else {
        return false;
    };
    procfs::is_alive(state.keeper_pid, state.keeper_started)
}

/// Kills the keeper of `dir`, if it lives, and waits until it is gone.
pub(crate) fn kill(dir: &Path) {
    if let Some(state) = state(dir) {
        kill_keeper(&state);
    }
}

/// Kills that keeper, if it lives, and waits until it is gone.
pub(crate) fn kill_keeper(state: &KeeperState) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while procfs::is_alive(state.keeper_pid, state.keeper_started) && Instant::now() < deadline {
        // It may end between the look and the signal.
        let _ = process::kill(state.keeper_pid, libc::SIGKILL);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until the keeper has ended by itself.
pub(crate) fn await_end(state: &KeeperState) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while procfs::is_alive(state.keeper_pid, state.keeper_started) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// `state.json`, when there is one.
pub(crate) fn state(dir: &Path) -> Option<KeeperState> {
    read_json(&dir.join(names::STATE)).ok()
}

/// Makes sure the program is there before the first container is wanted.
pub(crate) fn check_program(wshd: &Path) -> Result<()> {
    File::open(wshd).map(drop).map_err(|why| Error::Missing {
        feature: "the program wshd, which keeps each container",
        why: format!(
            "{} cannot be opened: {why}; build it with `./x build`, or name another (`warden.wshd` of the DEA, `--wshd` of wardenctl)",
            wshd.display()
        ),
    })
}
