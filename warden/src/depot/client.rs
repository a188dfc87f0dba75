//! The backend's side of a keeper's control socket.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;

use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use crate::sys::{At, socket};
use crate::wire::{self, Reply, Request, names};
use crate::{Error, JobId, Output, Result};

/// One connection with its request on the way.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: UnixStream,
    buf: Vec<u8>,
}

impl Connection {
    /// Connects to the keeper of `dir` and sends a request with descriptors.
    pub(crate) async fn open(dir: &Path, request: &Request, fds: Vec<OwnedFd>) -> Result<Self> {
        let frame = wire::json_frame(request);
        let dir = dir.to_owned();
        let sent = tokio::task::spawn_blocking(move || connect_and_send(&dir, &frame, &fds));
        let stream = sent
            .await
            .map_err(|e| Error::step("talk to the keeper", io::Error::other(e)))??;
        stream.set_nonblocking(true).at("fcntl O_NONBLOCK")?;
        let stream = UnixStream::from_std(stream).at("talk to the keeper")?;
        Ok(Self {
            stream,
            buf: Vec::new(),
        })
    }

    /// The next frame; `None` when the keeper closed the connection.
    async fn frame(&mut self) -> Result<Option<(u8, Vec<u8>)>> {
        loop {
            match wire::take_frame(&mut self.buf) {
                Ok(Some(frame)) => return Ok(Some(frame)),
                Ok(None) => {}
                Err(message) => return Err(garbled(message)),
            }
            self.buf.reserve(16 << 10);
            match self.stream.read_buf(&mut self.buf).await {
                Ok(0) => return Ok(None),
                Ok(_) => {}
                Err(e) => return Err(Error::step("read from the keeper", e)),
            }
        }
    }

    /// The one reply of a short verb.
    pub(crate) async fn reply(&mut self) -> Result<Reply> {
        let Some((_, body)) = self.frame().await? else {
            return Err(dead());
        };
        match serde_json::from_slice(&body).map_err(|e| garbled(e.to_string()))? {
            Reply::Failed { step, message } => Err(Error::Keeper { step, message }),
            Reply::BelowUsage {
                resource,
                wanted,
                used,
            } => Err(Error::BelowUsage {
                resource,
                wanted,
                used,
            }),
            reply => Ok(reply),
        }
    }

    /// Hands the output on until it is complete or nobody wants it.
    pub(crate) async fn relay(mut self, to: mpsc::Sender<Output>) -> Result<()> {
        while let Some((kind, body)) = self.frame().await? {
            let item = if kind == b'L' {
                wire::parse_line(&body).map_err(garbled)?
            } else {
                match serde_json::from_slice(&body).map_err(|e| garbled(e.to_string()))? {
                    Reply::Gap { from, to } => Output::Gap { from, to },
                    Reply::End => return Ok(()),
                    other => return Err(garbled(format!("unexpected {other:?}"))),
                }
            };
            if to.send(item).await.is_err() {
                return Ok(());
            }
        }
        Err(dead())
    }

    /// For an attach: whether the keeper knows the job, without losing a frame.
    pub(crate) async fn first_is_unknown(&mut self) -> Result<Option<JobId>> {
        loop {
            let mut peek = self.buf.clone();
            match wire::take_frame(&mut peek).map_err(garbled)? {
                Some((b'J', body)) => {
                    return match serde_json::from_slice(&body) {
                        Ok(Reply::UnknownJob { job }) => Ok(Some(job)),
                        _ => Ok(None),
                    };
                }
                Some(_) => return Ok(None),
                None => {}
            }
            match self.stream.read_buf(&mut self.buf).await {
                Ok(0) => return Err(dead()),
                Ok(_) => {}
                Err(e) => return Err(Error::step("read from the keeper", e)),
            }
        }
    }
}

/// Sends a request and waits for its reply.
pub(crate) async fn ask(dir: &Path, request: &Request, fds: Vec<OwnedFd>) -> Result<Reply> {
    Connection::open(dir, request, fds).await?.reply().await
}

fn connect_and_send(dir: &Path, frame: &[u8], fds: &[OwnedFd]) -> Result<StdStream> {
    let mut stream = connect(dir).at("connect to the keeper")?;
    let raw: Vec<_> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let sent = socket::send(stream.as_fd(), frame, &raw).at("send to the keeper")?;
    stream.write_all(&frame[sent..]).at("send to the keeper")?;
    Ok(stream)
}

/// Connects through the directory's descriptor: a socket address has only 107
/// bytes, a depot may lie deeper.
pub(crate) fn connect(dir: &Path) -> io::Result<StdStream> {
    let dir = File::open(dir)?;
    StdStream::connect(format!(
        "/proc/self/fd/{}/{}",
        dir.as_raw_fd(),
        names::SOCKET
    ))
}

fn garbled(message: impl Into<String>) -> Error {
    Error::Keeper {
        step: "read from the keeper".into(),
        message: message.into(),
    }
}

fn dead() -> Error {
    Error::Keeper {
        step: "read from the keeper".into(),
        message: "it closed the connection; see keeper.log in the container's directory, then destroy the container".into(),
    }
}
