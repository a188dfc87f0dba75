//! Notice of processes killed for want of memory, both cgroup generations.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::os::fd::{AsRawFd, OwnedFd};

use crate::Result;
use crate::cgroup::Cgroups;
use crate::sys::{At, files, socket::PollFd};

/// A watch on the job group's memory.
#[derive(Debug)]
pub(super) struct OomWatch {
    source: Source,
    seen: u64,
}

#[derive(Debug)]
enum Source {
    /// Version 1: a counter registered in `cgroup.event_control`.
    Counter(OwnedFd),
    /// Version 2: `memory.events` wakes a poll for POLLPRI.
    Events(File),
}

impl OomWatch {
    /// Starts watching; `None` when there is no memory controller.
    pub(super) fn start(cgroups: &Cgroups) -> Result<Option<Self>> {
        let Some((dir, v2)) = cgroups.controller("memory") else {
            return Ok(None);
        };
        let source = if v2 {
            Source::Events(File::open(dir.join("memory.events")).at("open memory.events")?)
        } else {
            let control =
                File::open(dir.join("memory.oom_control")).at("open memory.oom_control")?;
            let counter = files::eventfd().at("eventfd")?;
            let line = format!("{} {}", counter.as_raw_fd(), control.as_raw_fd());
            fs::write(dir.join("cgroup.event_control"), line).at("write cgroup.event_control")?;
            Source::Counter(counter)
        };
        Ok(Some(Self {
            source,
            seen: cgroups.oom_kills(),
        }))
    }

    /// For poll.
    pub(super) fn poll_fd(&self) -> PollFd {
        match &self.source {
            Source::Counter(fd) => PollFd {
                fd: fd.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            },
            Source::Events(file) => PollFd {
                fd: file.as_raw_fd(),
                events: libc::POLLPRI,
                revents: 0,
            },
        }
    }

    /// After a wake-up: whether a process was killed since the last call. The
    /// wake-up alone proves nothing, it also comes when the group is removed.
    pub(super) fn confirm(&mut self, cgroups: &Cgroups) -> bool {
        self.acknowledge();
        let now = cgroups.oom_kills();
        let killed = now > self.seen;
        self.seen = now;
        killed
    }

    fn acknowledge(&mut self) {
        match &mut self.source {
            Source::Counter(fd) => drain(fd),
            Source::Events(file) => {
                let mut text = String::new();
                // Reading anew arms the poll; a failure only means one more wake-up.
                let _ = file.rewind().and_then(|()| file.read_to_string(&mut text));
            }
        }
    }
}

fn drain(fd: &OwnedFd) {
    let mut number = [0u8; 8];
    if let Ok(fd) = fd.try_clone() {
        // Non-blocking: an empty counter is fine.
        let _ = File::from(fd).read(&mut number);
    }
}
