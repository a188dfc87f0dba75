//! Notice of processes killed for want of memory, both cgroup generations.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use crate::cgroup::Cgroups;
use crate::sys::{At, files, socket::PollFd};
use crate::{OomKill, Result};

/// A watch on the job group's memory.
#[derive(Debug)]
pub(super) struct OomWatch {
    source: Source,
    seen: u64,
    /// After a wake-up: until when the counter is looked at again. Version 1
    /// wakes before the victim is counted.
    until: Option<Instant>,
}

/// How long the kernel may take from waking us to counting the victim.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks in that time.
const PERIOD: Duration = Duration::from_millis(5);

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
            until: None,
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

    /// The descriptor woke the keeper. This alone proves nothing: it also
    /// happens when the group is removed.
    pub(super) fn woken(&mut self, now: Instant) {
        self.acknowledge();
        self.until = Some(now + PATIENCE);
    }

    /// When to look again, if at all.
    pub(super) fn next_look(&self, now: Instant) -> Option<Instant> {
        self.until.map(|_| now + PERIOD)
    }

    /// Whether a process was killed since the last look.
    pub(super) fn confirm(&mut self, cgroups: &Cgroups, now: Instant) -> bool {
        let Some(until) = self.until else {
            return false;
        };
        let kills = cgroups.oom_kills();
        let killed = kills > self.seen;
        self.seen = kills;
        if killed || now >= until {
            self.until = None;
        }
        killed
    }

    /// What is to be told about the kills so far.
    pub(super) fn report(&self, cgroups: &Cgroups) -> OomKill {
        let (peak_bytes, limit_bytes) = cgroups.memory_marks();
        OomKill {
            peak_bytes,
            limit_bytes,
            victim: last_victim(cgroups.path()),
            kills: self.seen,
        }
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

/// The name of the last victim in the group, from the kernel's log; `None` when
/// that cannot be read or says nothing.
fn last_victim(group: &str) -> Option<String> {
    let mut log = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/kmsg")
        .ok()?;
    let mut record = vec![0u8; 8 << 10];
    let mut found = None;
    loop {
        match log.read(&mut record) {
            Ok(n) => found = victim(&String::from_utf8_lossy(&record[..n]), group).or(found),
            // Records were overwritten while we read.
            Err(e) if e.raw_os_error() == Some(libc::EPIPE) => {}
            Err(_) => return found,
        }
    }
}

/// The name in one record, when it speaks of the group.
fn victim(record: &str, group: &str) -> Option<String> {
    let (_, facts) = record.split_once("oom-kill:")?;
    facts
        .split(',')
        .any(|fact| fact.starts_with("oom_memcg=") && fact.ends_with(&format!("/{group}/j")))
        .then_some(())?;
    let name = facts
        .split(',')
        .find_map(|fact| fact.strip_prefix("task="))?;
    Some(name.to_owned())
}

fn drain(fd: &OwnedFd) {
    let mut number = [0u8; 8];
    if let Ok(fd) = fd.try_clone() {
        // Non-blocking: an empty counter is fine.
        let _ = File::from(fd).read(&mut number);
    }
}

#[cfg(test)]
mod tests {
    use super::victim;

    #[test]
    fn the_victim_of_this_group_is_found_in_the_kernels_words() {
        let record = "6,991,77,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/bloomery/abcdef/web/j,task_memcg=/bloomery/abcdef/web/j,task=python3,pid=55,uid=2000\n";
        assert_eq!(
            victim(record, "bloomery/abcdef/web").as_deref(),
            Some("python3")
        );
        assert_eq!(victim(record, "bloomery/abcdef/eb"), None);
        assert_eq!(
            victim("6,1,2,-;something else", "bloomery/abcdef/web"),
            None
        );
    }
}
