//! One publisher and its readers on one thread: writes what the socket takes, reads what comes.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::wire::{Wire, ping_bytes};

/// Longer silence means that something is lost.
const SILENCE: Timespec = Timespec {
    tv_sec: 30,
    tv_nsec: 0,
};

/// What is sent: a piece of whole messages, over and over.
pub(crate) struct Load<'a> {
    pub(crate) piece: &'a [u8],
    pub(crate) times: usize,
}

/// What one pumping saw.
pub(crate) struct Pumped {
    pub(crate) wall: Duration,
    /// Longest time between two writes of the publisher.
    pub(crate) longest_wait: Duration,
}

/// Sends the load and returns when every reader has got as many bytes as it should.
pub(crate) fn pump(
    publisher: &mut Wire,
    readers: &mut [Wire],
    load: &Load<'_>,
    expected: usize,
) -> Result<Pumped> {
    publisher.stream.set_nonblocking(true)?;
    for reader in readers.iter() {
        reader.stream.set_nonblocking(true)?;
    }
    let began = Instant::now();
    let mut state = State {
        sent: 0,
        total: load.piece.len() * load.times,
        last_write: began,
        longest_wait: Duration::ZERO,
        missing: vec![expected; readers.len()],
        buffer: vec![0; 256 * 1024],
    };
    while state.busy() {
        state.turn(publisher, readers, load)?;
    }
    let wall = began.elapsed();
    publisher.stream.set_nonblocking(false)?;
    for reader in readers.iter() {
        reader.stream.set_nonblocking(false)?;
    }
    Ok(Pumped {
        wall,
        longest_wait: state.longest_wait,
    })
}

struct State {
    sent: usize,
    total: usize,
    last_write: Instant,
    longest_wait: Duration,
    missing: Vec<usize>,
    buffer: Vec<u8>,
}

impl State {
    fn busy(&self) -> bool {
        self.sent < self.total || self.missing.iter().any(|bytes| *bytes > 0)
    }

    fn turn(&mut self, publisher: &mut Wire, readers: &mut [Wire], load: &Load<'_>) -> Result<()> {
        let (can_write, readable) = self.wait(publisher, readers)?;
        for at in readable {
            self.read(&mut readers[at], at)?;
        }
        if can_write {
            self.write(publisher, load)?;
        }
        Ok(())
    }

    /// Which sockets have something to do.
    fn wait(&self, publisher: &Wire, readers: &[Wire]) -> Result<(bool, Vec<usize>)> {
        let writing = self.sent < self.total;
        let mut fds = Vec::with_capacity(readers.len() + 1);
        let flags = if writing {
            PollFlags::OUT
        } else {
            PollFlags::empty()
        };
        fds.push(PollFd::new(&publisher.stream, flags));
        fds.extend(
            readers
                .iter()
                .map(|reader| PollFd::new(&reader.stream, PollFlags::IN)),
        );
        if poll(&mut fds, Some(&SILENCE))? == 0 {
            bail!(
                "nothing moves any more: {} of {} bytes sent, missing {:?}",
                self.sent,
                self.total,
                self.missing
            );
        }
        let readable = fds[1..].iter().enumerate();
        let readable = readable
            .filter(|(_, fd)| !fd.revents().is_empty())
            .map(|(at, _)| at);
        Ok((writing && !fds[0].revents().is_empty(), readable.collect()))
    }

    fn read(&mut self, reader: &mut Wire, at: usize) -> Result<()> {
        match reader.stream.read(&mut self.buffer) {
            Ok(0) => bail!(
                "a reader was cut off with {} bytes missing",
                self.missing[at]
            ),
            Ok(count) => {
                let expected = self.missing[at] + ping_bytes(&self.buffer[..count]);
                let missing = expected.checked_sub(count);
                self.missing[at] = missing.context("a reader got more than was sent")?;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn write(&mut self, publisher: &mut Wire, load: &Load<'_>) -> Result<()> {
        let at = self.sent % load.piece.len();
        match publisher.stream.write(&load.piece[at..]) {
            Ok(count) => {
                self.sent += count;
                let now = Instant::now();
                self.longest_wait = self.longest_wait.max(now - self.last_write);
                self.last_write = now;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
