//! The keeper's jobs: their pipes, logs and exit records.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::fchown;
use std::path::{Path, PathBuf};

use super::ring::Ring;
use crate::sys::{At, files};
use crate::wire::MAX_LINE;
use crate::{Exit, JobId, Result, Stream};

/// One job.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: JobId,
    /// As init sees it.
    pub(super) pid: i32,
    pub(super) ring: Ring,
    pub(super) exit: Option<Exit>,
    pipes: Vec<Pipe>,
    dir: PathBuf,
}

/// The keeper's end of a stream.
#[derive(Debug)]
struct Pipe {
    file: File,
    stream: Stream,
    /// What came after the last newline.
    partial: Vec<u8>,
}

/// Write ends for the job, in the order init wants them.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

impl Job {
    /// Prepares log and pipes. `stdout` replaces the log for that stream;
    /// `owner` may reopen the pipes by their names in /proc.
    pub(super) fn prepare(
        id: JobId,
        jobs_dir: &Path,
        ring_bytes: u64,
        stdout: Option<OwnedFd>,
        owner: Option<u32>,
    ) -> Result<(Self, Ends)> {
        let dir = jobs_dir.join(&id.0);
        let ring = Ring::create(&dir, ring_bytes).at("create the job's log")?;
        let mut pipes = Vec::new();
        let stdout = match stdout {
            Some(fd) => fd,
            None => log_pipe(&mut pipes, Stream::Stdout, owner)?,
        };
        let stderr = log_pipe(&mut pipes, Stream::Stderr, owner)?;
        Ok((
            Self {
                id,
                pid: 0,
                ring,
                exit: None,
                pipes,
                dir,
            },
            Ends { stdout, stderr },
        ))
    }

    /// Descriptors to watch.
    pub(super) fn sources(&self) -> impl Iterator<Item = (Stream, RawFd)> + '_ {
        self.pipes
            .iter()
            .map(|pipe| (pipe.stream, pipe.file.as_raw_fd()))
    }

    /// Reads once from the pipe of a stream; at its end the pipe is closed.
    pub(super) fn read(&mut self, stream: Stream) -> io::Result<()> {
        let mut buf = [0u8; 32 << 10];
        let Some(index) = self.pipes.iter().position(|p| p.stream == stream) else {
            return Ok(());
        };
        let pipe = &mut self.pipes[index];
        match pipe.file.read(&mut buf) {
            Ok(0) => {
                flush(&mut self.ring, pipe)?;
                self.pipes.remove(index);
                Ok(())
            }
            Ok(n) => take(&mut self.ring, pipe, &buf[..n]),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Forgets the job's files.
    pub(super) fn remove(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.dir)
    }

    /// The job ended: takes what its pipes hold now (its children may keep them
    /// open for ever), then writes the exit record.
    pub(super) fn finish(&mut self, exit: Exit) -> Result<()> {
        for pipe in &mut self.pipes {
            drain(&mut self.ring, pipe).at("drain the job's pipes")?;
            flush(&mut self.ring, pipe).at("write the job's log")?;
        }
        self.exit = Some(exit);
        write_exit(&self.dir, exit)
    }
}

fn log_pipe(pipes: &mut Vec<Pipe>, stream: Stream, owner: Option<u32>) -> Result<OwnedFd> {
    let (read, write) = files::pipe().at("pipe for the job's output")?;
    files::set_nonblocking(read.as_fd()).at("fcntl O_NONBLOCK")?;
    if let Some(owner) = owner {
        fchown(&write, Some(owner), Some(owner)).at("chown of the job's pipe")?;
    }
    pipes.push(Pipe {
        file: File::from(read),
        stream,
        partial: Vec::new(),
    });
    Ok(write)
}

/// Cuts bytes into lines and stores the whole ones.
fn take(ring: &mut Ring, pipe: &mut Pipe, bytes: &[u8]) -> io::Result<()> {
    let now = super::now_ns();
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        pipe.partial.extend_from_slice(&rest[..end]);
        rest = &rest[end + 1..];
        store(ring, pipe.stream, now, &pipe.partial)?;
        pipe.partial.clear();
    }
    pipe.partial.extend_from_slice(rest);
    while pipe.partial.len() >= MAX_LINE {
        let piece: Vec<u8> = pipe.partial.drain(..MAX_LINE).collect();
        ring.push(now, pipe.stream, &piece)?;
    }
    Ok(())
}

fn store(ring: &mut Ring, stream: Stream, now: i64, line: &[u8]) -> io::Result<()> {
    if line.len() <= MAX_LINE {
        return ring.push(now, stream, line).map(drop);
    }
    line.chunks(MAX_LINE)
        .try_for_each(|piece| ring.push(now, stream, piece).map(drop))
}

fn flush(ring: &mut Ring, pipe: &mut Pipe) -> io::Result<()> {
    if pipe.partial.is_empty() {
        return Ok(());
    }
    let rest = std::mem::take(&mut pipe.partial);
    store(ring, pipe.stream, super::now_ns(), &rest)
}

/// Reads until nothing is there, but never more than a pipe can hold: a child
/// left behind may write faster than we read.
fn drain(ring: &mut Ring, pipe: &mut Pipe) -> io::Result<()> {
    let mut buf = [0u8; 32 << 10];
    for _ in 0..64 {
        match pipe.file.read(&mut buf) {
            Ok(0) => return Ok(()),
            Ok(n) => take(ring, pipe, &buf[..n])?,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// `exit.json` appears whole or not at all.
fn write_exit(dir: &Path, exit: Exit) -> Result<()> {
    let text = serde_json::to_vec(&exit).expect("an exit serializes");
    fs::write(dir.join("exit.new"), text).at("write exit record")?;
    fs::rename(dir.join("exit.new"), dir.join("exit.json")).at("rename exit record")
}

/// From a raw wait status: the code, or 128 + signal.
pub(super) fn exit_of(status: i32) -> Exit {
    if libc::WIFSIGNALED(status) {
        let signal = libc::WTERMSIG(status);
        return Exit {
            code: 128 + signal,
            signal: Some(signal),
        };
    }
    Exit {
        code: libc::WEXITSTATUS(status),
        signal: None,
    }
}

/// What a job gets that ended together with its container.
pub(super) const KILLED: Exit = Exit {
    code: 128 + libc::SIGKILL,
    signal: Some(libc::SIGKILL),
};
