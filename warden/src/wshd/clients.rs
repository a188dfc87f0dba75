//! Connections on the control socket. Each carries one request; nothing here
//! ever waits, so a slow reader delays nobody.

use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use super::jobs::Job;
use super::ring::{Cursor, Item};
use crate::sys::socket::{self, PollFd};
use crate::wire::{self, Reply, Request};
use crate::{Error, JobId};

/// A reader's backlog above which the log is not read further for it.
const HIGH_WATER: usize = 256 << 10;

/// What a connection waits for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// Its request.
    Request,
    /// The end of a job.
    Exit(JobId),
    /// Output of a job.
    Output(JobId, Cursor),
    /// The end of all processes.
    Quiet,
    /// Nothing: it closes once everything is sent.
    Flush,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Client {
    sock: UnixStream,
    input: Vec<u8>,
    fds: Vec<OwnedFd>,
    output: Vec<u8>,
    pub(super) waiting: Waiting,
    gone: bool,
}

impl Client {
    pub(super) fn new(sock: UnixStream) -> io::Result<Self> {
        sock.set_nonblocking(true)?;
        Ok(Self {
            sock,
            input: Vec::new(),
            fds: Vec::new(),
            output: Vec::new(),
            waiting: Waiting::Request,
            gone: false,
        })
    }

    /// For poll.
    pub(super) fn poll_fd(&self) -> PollFd {
        let out = if self.output.is_empty() {
            0
        } else {
            libc::POLLOUT
        };
        PollFd {
            fd: self.sock.as_raw_fd(),
            events: libc::POLLIN | out,
            revents: 0,
        }
    }

    /// Whether the connection can be dropped.
    pub(super) fn finished(&self) -> bool {
        self.gone || (self.waiting == Waiting::Flush && self.output.is_empty())
    }

    /// Reads what is there; a whole request is returned with its descriptors.
    pub(super) fn read(&mut self) -> Option<(Request, Vec<OwnedFd>)> {
        let mut buf = [0u8; 16 << 10];
        match socket::recv(self.sock.as_fd(), &mut buf) {
            Ok((0, _)) => self.gone = true,
            Ok((n, fds)) => {
                self.input.extend_from_slice(&buf[..n]);
                self.fds.extend(fds);
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.gone = true,
        }
        if self.waiting != Waiting::Request {
            return None;
        }
        self.parse()
    }

    fn parse(&mut self) -> Option<(Request, Vec<OwnedFd>)> {
        let problem = match wire::take_frame(&mut self.input) {
            Ok(None) => return None,
            Ok(Some((b'J', body))) => match serde_json::from_slice(&body) {
                Ok(request) => return Some((request, std::mem::take(&mut self.fds))),
                Err(e) => e.to_string(),
            },
            Ok(Some((kind, _))) => format!("frame of unknown kind {kind}"),
            Err(e) => e,
        };
        self.last(&Reply::Failed {
            step: "read request".into(),
            message: problem,
        });
        None
    }

    /// Queues a reply.
    pub(super) fn push(&mut self, reply: &Reply) {
        self.output.extend(wire::json_frame(reply));
    }

    /// Queues the last reply of the connection.
    pub(super) fn last(&mut self, reply: &Reply) {
        self.push(reply);
        self.waiting = Waiting::Flush;
    }

    /// Moves lines from the job's log into the backlog, as many as are wanted.
    pub(super) fn pump(&mut self, job: &Job) -> io::Result<()> {
        let Waiting::Output(id, mut cursor) = std::mem::replace(&mut self.waiting, Waiting::Flush)
        else {
            return Ok(());
        };
        while self.output.len() < HIGH_WATER {
            match job.ring.read(&mut cursor)? {
                Item::Line {
                    seq,
                    at_ns,
                    stream,
                    data,
                } => {
                    self.output
                        .extend(wire::line_frame(seq, at_ns, stream, &data));
                }
                Item::Gap { from, to } => self.push(&Reply::Gap { from, to }),
                Item::Nothing if job.exit.is_some() => {
                    self.last(&Reply::End);
                    return Ok(());
                }
                Item::Nothing => break,
            }
        }
        self.waiting = Waiting::Output(id, cursor);
        Ok(())
    }

    /// Whether everything queued so far was sent.
    pub(super) fn idle(&self) -> bool {
        self.output.is_empty()
    }

    /// Sends what the socket takes.
    pub(super) fn write(&mut self) {
        while !self.output.is_empty() && !self.gone {
            match self.sock.write(&self.output) {
                Ok(n) => drop(self.output.drain(..n)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.gone = true,
            }
        }
    }

    /// Sends everything, waiting a little for a slow reader: the keeper is about to end.
    pub(super) fn write_all_soon(&mut self) {
        let patience = std::time::Duration::from_secs(1);
        let all = self
            .sock
            .set_nonblocking(false)
            .and_then(|()| self.sock.set_write_timeout(Some(patience)));
        if all.is_ok() {
            // The reader is gone or too slow; nothing is left to do for it.
            let _ = self.sock.write_all(&self.output);
        }
        self.output.clear();
        self.gone = true;
    }
}

/// A failure as a reply.
pub(super) fn failed(error: &Error) -> Reply {
    match error {
        Error::BelowUsage {
            resource,
            wanted,
            used,
        } => Reply::BelowUsage {
            resource: resource.clone(),
            wanted: *wanted,
            used: *used,
        },
        Error::Step { step, source } => Reply::Failed {
            step: step.clone(),
            message: source.to_string(),
        },
        Error::Keeper { step, message } => Reply::Failed {
            step: step.clone(),
            message: message.clone(),
        },
        other => Reply::Failed {
            step: "keeper".into(),
            message: other.to_string(),
        },
    }
}
