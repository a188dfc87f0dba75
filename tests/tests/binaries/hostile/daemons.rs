//! The daemons of a platform: the same processes all the time, and their memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tests::binaries::{Component, Platform, resident_bytes};

/// How much of its start a daemon may hold after a rest, in tenths.
const TENTHS: u64 = 13;
/// What it may hold beyond its start in any case: small daemons have small starts.
const GROWTH: u64 = 16 << 20;
/// The rest.
const REST: Duration = Duration::from_secs(60);

/// The memory of one daemon.
#[derive(Debug)]
pub(super) struct Memory {
    /// Whose.
    pub(super) name: String,
    /// Before anybody was hostile, bytes.
    pub(super) start: u64,
    /// At most, bytes.
    pub(super) peak: u64,
    /// After the rest, bytes.
    pub(super) end: u64,
}

impl Memory {
    /// Whether it has given back what it took.
    pub(super) fn is_back(&self) -> bool {
        self.end <= (self.start * TENTHS / 10).max(self.start + GROWTH)
    }
}

/// A watch over the daemons.
pub(super) struct Daemons<'a> {
    platform: &'a Platform,
    before: Vec<Component>,
    start: Vec<u64>,
    peaks: Arc<Vec<AtomicU64>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<'a> Daemons<'a> {
    /// Begins to watch.
    pub(super) fn watch(platform: &'a Platform) -> Self {
        let before = platform.components();
        let pids: Vec<u64> = before.iter().map(|c| c.pid).collect();
        let start: Vec<u64> = pids.iter().map(|pid| resident_bytes(*pid)).collect();
        let peaks: Arc<Vec<AtomicU64>> = Arc::new(start.iter().map(|n| (*n).into()).collect());
        let over = Arc::new(AtomicBool::new(false));
        let (kept, ended) = (Arc::clone(&peaks), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                for (pid, peak) in pids.iter().zip(kept.iter()) {
                    peak.fetch_max(resident_bytes(*pid), Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        Self {
            platform,
            before,
            start,
            peaks,
            over,
            thread: Some(thread),
        }
    }

    /// What is different about the processes: a daemon that ended, was started again or is not well.
    pub(super) fn changes(&self) -> Vec<String> {
        let now = self.platform.components();
        let changed = self.before.iter().filter(|then| !now.contains(then));
        let changed = changed.map(|then| {
            let other = now.iter().find(|c| c.name == then.name);
            format!("{then:?} is now {other:?}")
        });
        changed.collect()
    }

    /// Waits until all have given back what they took, or for a minute. How long it took, and what they hold.
    pub(super) fn rest(&self) -> (Duration, Vec<Memory>) {
        let began = Instant::now();
        loop {
            let memory = self.memory();
            if memory.iter().all(Memory::is_back) || began.elapsed() > REST {
                return (began.elapsed(), memory);
            }
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    fn memory(&self) -> Vec<Memory> {
        let all = self.before.iter().zip(&self.start).zip(self.peaks.iter());
        let one = |((daemon, start), peak): ((&Component, &u64), &AtomicU64)| Memory {
            name: daemon.name.clone(),
            start: *start,
            peak: peak.load(Ordering::Relaxed),
            end: resident_bytes(daemon.pid),
        };
        all.map(one).collect()
    }
}

impl Drop for Daemons<'_> {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
