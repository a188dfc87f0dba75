//! Crash counts and the delays they earn.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::desired::Process;
use crate::params::Params;

/// How long to wait before restarting after `count` earlier crashes: nothing for the
/// first few, then doubling up to a limit.
pub fn delay(count: u32, params: &Params) -> Duration {
    match count.checked_sub(params.free_crashes) {
        None => Duration::ZERO,
        Some(doublings) => params
            .backoff
            .saturating_mul(2_u32.saturating_pow(doublings))
            .min(params.backoff_max),
    }
}

/// Crashes of one index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// How many were answered with a start.
    pub crashes: u32,
    /// When counting began, Unix seconds.
    pub created_at: i64,
    last: Instant,
}

/// Crash counts per index, forgotten after a long time without a crash.
#[derive(Debug, Clone)]
pub struct Crashes {
    memory: Duration,
    counts: BTreeMap<(Process, u32), Count>,
}

impl Crashes {
    /// No crashes.
    pub fn new(params: &Params) -> Self {
        Self {
            memory: params.backoff_max * 2,
            counts: BTreeMap::new(),
        }
    }

    /// How often this index has crashed.
    pub fn of(&self, process: &Process, index: u32) -> u32 {
        self.counts
            .get(&(process.clone(), index))
            .map_or(0, |count| count.crashes)
    }

    /// Counts one more. `unix` is the wall clock, for people only.
    pub fn count(&mut self, process: &Process, index: u32, now: Instant, unix: i64) {
        let entry = self.counts.entry((process.clone(), index));
        let count = entry.or_insert(Count {
            crashes: 0,
            created_at: unix,
            last: now,
        });
        count.crashes += 1;
        count.last = now;
    }

    /// Forgives whoever has been stable for long enough.
    pub fn expire(&mut self, now: Instant) {
        let memory = self.memory;
        self.counts
            .retain(|_, count| now.saturating_duration_since(count.last) < memory);
    }

    /// Counts of one process, by index.
    pub fn of_process<'a>(
        &'a self,
        process: &'a Process,
    ) -> impl Iterator<Item = (u32, Count)> + 'a {
        let from = (process.clone(), 0);
        self.counts
            .range(from..)
            .take_while(move |((other, _), _)| other == process)
            .map(|((_, index), count)| (*index, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process() -> Process {
        Process {
            guid: "app".into(),
            version: "v".into(),
        }
    }

    #[test]
    fn delays_are_the_originals() {
        let params = Params::from(&bus::times::COMPAT);
        let seconds: Vec<u64> = (0..11)
            .map(|count| delay(count, &params).as_secs())
            .collect();
        assert_eq!(seconds, [0, 0, 0, 30, 60, 120, 240, 480, 960, 960, 960]);
        assert_eq!(delay(u32::MAX, &params).as_secs(), 960);
    }

    #[test]
    fn a_stable_index_is_forgiven() {
        let params = Params::from(&bus::times::COMPAT);
        let mut crashes = Crashes::new(&params);
        let start = Instant::now();
        crashes.count(&process(), 1, start, 7);
        crashes.count(&process(), 1, start, 8);
        assert_eq!(
            (crashes.of(&process(), 1), crashes.of(&process(), 0)),
            (2, 0)
        );
        assert_eq!(
            crashes
                .of_process(&process())
                .map(|(index, count)| (index, count.created_at))
                .collect::<Vec<_>>(),
            [(1, 7)]
        );
        crashes.expire(start + Duration::from_secs(1919));
        assert_eq!(crashes.of(&process(), 1), 2);
        crashes.expire(start + Duration::from_secs(1920));
        assert_eq!(crashes.of(&process(), 1), 0);
    }
}
