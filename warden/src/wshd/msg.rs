//! Messages between keeper and init: small JSON packets on a socket pair. What
//! may be large (a job's environment) travels as a file in memory.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::sys::{At, files, socket};
use crate::{Error, ProcessSpec, Result, WindowSize};

/// From keeper to init.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ToInit {
    /// uid and gid maps are written.
    Mapped,
    /// The root is mounted.
    RootReady,
    /// Start a job. Descriptors: spec, stdin if set, stdout, stderr, doors of control groups.
    Run {
        stdin: bool,
        tty: Option<WindowSize>,
    },
    /// Signal every job process; `Quiet` follows when none is left.
    Signal(i32),
}

/// From init to keeper.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromInit {
    /// Locked down and waiting for jobs.
    Ready,
    /// The set-up or the start of a job failed.
    Failed { step: String, message: String },
    /// The job runs.
    Started { pid: i32 },
    /// A process that was started as a job ended, with its raw wait status.
    Exited { pid: i32, status: i32 },
    /// After a signal: no process is left.
    Quiet,
}

/// Longest message.
const MAX: usize = 8 << 10;

/// Sends one message.
pub(super) fn send<T: Serialize>(sock: &OwnedFd, message: &T, fds: &[RawFd]) -> Result<()> {
    let body = serde_json::to_vec(message).expect("messages serialize");
    socket::send(sock.as_fd(), &body, fds)
        .map(drop)
        .at("send to peer")
}

/// Receives one message; `None` when the peer is gone.
pub(super) fn recv<T: DeserializeOwned>(sock: &OwnedFd) -> Result<Option<(T, Vec<OwnedFd>)>> {
    let mut buf = [0u8; MAX];
    let (n, fds) = socket::recv(sock.as_fd(), &mut buf).at("receive from peer")?;
    if n == 0 {
        return Ok(None);
    }
    let message = serde_json::from_slice(&buf[..n]).map_err(|e| protocol(e.to_string()))?;
    Ok(Some((message, fds)))
}

/// A failure as a message, cut so that it fits.
pub(super) fn failure(error: &Error) -> FromInit {
    let (step, message) = match error {
        Error::Step { step, source } => (step.clone(), source.to_string()),
        Error::Keeper { step, message } => (step.clone(), message.clone()),
        other => ("init".into(), other.to_string()),
    };
    let cut = |text: String| text.chars().take(500).collect();
    FromInit::Failed {
        step: cut(step),
        message: cut(message),
    }
}

/// A message nobody expected.
pub(super) fn protocol(message: impl Into<String>) -> Error {
    Error::Keeper {
        step: "keeper and init talk".into(),
        message: message.into(),
    }
}

/// Puts a job's description into memory.
pub(super) fn pack(spec: &ProcessSpec) -> Result<File> {
    let mut file = files::memfd(c"job").at("memfd_create")?;
    let body = serde_json::to_vec(spec).expect("specs serialize");
    file.write_all(&body).at("write job spec")?;
    Ok(file)
}

/// Reads it back.
pub(super) fn unpack(file: OwnedFd) -> Result<ProcessSpec> {
    let mut file = File::from(file);
    let mut text = Vec::new();
    file.rewind().at("rewind job spec")?;
    file.read_to_end(&mut text).at("read job spec")?;
    serde_json::from_slice(&text).map_err(|e| protocol(e.to_string()))
}

/// Raw numbers of descriptors.
pub(super) fn raw<T: AsRawFd>(fds: &[T]) -> Vec<RawFd> {
    fds.iter().map(AsRawFd::as_raw_fd).collect()
}
