//! What was decided and when it is due. A decision is never overwritten while it is pending.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::desired::Process;

/// What a start is for: one outstanding per key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StartKey {
    /// Process and version.
    pub process: Process,
    /// Index.
    pub index: u32,
}

/// Why something is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StartReason {
    /// Nobody runs at a desired index.
    Missing,
    /// The instance there crashed.
    Crashed,
    /// The instance there is being evacuated.
    Evacuating,
    /// Its DEA said that it evacuates: sent without a second look.
    EvacuationNotice,
}

/// Why something is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopReason {
    /// Nobody wants this index, version or process.
    Extra,
    /// Several run at one index.
    Duplicate,
    /// Its replacement runs.
    EvacuationComplete,
}

/// A decision to start.
#[derive(Debug, Clone, PartialEq)]
pub struct Start {
    /// What.
    pub key: StartKey,
    /// Why.
    pub reason: StartReason,
    /// How long to wait first.
    pub delay: Duration,
    /// How long it blocks another one after it was sent.
    pub keep_alive: Duration,
    /// Higher goes first.
    pub priority: f64,
}

/// A decision to stop.
#[derive(Debug, Clone, PartialEq)]
pub struct Stop {
    /// Process and version of the instance.
    pub process: Process,
    /// Its index.
    pub index: u32,
    /// Instance id; one outstanding stop per instance.
    pub instance: String,
    /// Why.
    pub reason: StopReason,
    /// How long to wait first.
    pub delay: Duration,
    /// How long it blocks another one after it was sent.
    pub keep_alive: Duration,
}

/// A decision in the queue.
#[derive(Debug, Clone)]
pub struct Queued<T> {
    /// The decision.
    pub what: T,
    /// When it may be sent.
    pub due: Instant,
    /// Until when it blocks others, once sent.
    pub done: Option<Instant>,
}

impl<T> Queued<T> {
    fn waits(&self, now: Instant) -> bool {
        self.done.is_none() && self.due <= now
    }
}

/// All decisions that are waiting or still block others.
#[derive(Debug, Clone, Default)]
pub struct Pending {
    starts: BTreeMap<StartKey, Queued<Start>>,
    stops: BTreeMap<String, Queued<Stop>>,
}

impl Pending {
    /// Queues a start unless one is pending for its key; true when it was queued.
    pub fn add_start(&mut self, start: Start, now: Instant) -> bool {
        let fresh = !self.starts.contains_key(&start.key);
        if fresh {
            self.starts.insert(
                start.key.clone(),
                Queued {
                    due: now + start.delay,
                    what: start,
                    done: None,
                },
            );
        }
        fresh
    }

    /// Queues a stop unless one is pending for its instance; true when it was queued.
    pub fn add_stop(&mut self, stop: Stop, now: Instant) -> bool {
        let fresh = !self.stops.contains_key(&stop.instance);
        if fresh {
            self.stops.insert(
                stop.instance.clone(),
                Queued {
                    due: now + stop.delay,
                    what: stop,
                    done: None,
                },
            );
        }
        fresh
    }

    /// Starts that are due and not sent: earliest first, then most urgent.
    pub fn due_starts(&self, now: Instant) -> Vec<Start> {
        let mut due: Vec<&Queued<Start>> = self
            .starts
            .values()
            .filter(|queued| queued.waits(now))
            .collect();
        due.sort_by(|a, b| {
            a.due
                .cmp(&b.due)
                .then(b.what.priority.total_cmp(&a.what.priority))
        });
        due.into_iter().map(|queued| queued.what.clone()).collect()
    }

    /// Stops that are due and not sent.
    pub fn due_stops(&self, now: Instant) -> Vec<Stop> {
        self.stops
            .values()
            .filter(|queued| queued.waits(now))
            .map(|queued| queued.what.clone())
            .collect()
    }

    /// A start went out: it blocks others for its keep-alive, or is forgotten at once.
    pub fn start_sent(&mut self, key: &StartKey, now: Instant) {
        if let Some(queued) = self.starts.get_mut(key) {
            queued.done = Some(now + queued.what.keep_alive);
        }
        self.expire(now);
    }

    /// A stop went out.
    pub fn stop_sent(&mut self, instance: &str, now: Instant) {
        if let Some(queued) = self.stops.get_mut(instance) {
            queued.done = Some(now + queued.what.keep_alive);
        }
        self.expire(now);
    }

    /// Instances whose stop is on its way: a DEA does not report them as stopping,
    /// so they must not be counted as the one that stays.
    pub fn leaving(&self) -> BTreeSet<String> {
        let sent = self
            .stops
            .iter()
            .filter(|(_, queued)| queued.done.is_some());
        sent.map(|(instance, _)| instance.clone()).collect()
    }

    /// A start turned out to be unnecessary.
    pub fn drop_start(&mut self, key: &StartKey) {
        self.starts.remove(key);
    }

    /// A stop turned out to be unnecessary.
    pub fn drop_stop(&mut self, instance: &str) {
        self.stops.remove(instance);
    }

    /// Forgets what has been sent and no longer blocks.
    pub fn expire(&mut self, now: Instant) {
        self.starts
            .retain(|_, queued| queued.done.is_none_or(|done| done > now));
        self.stops
            .retain(|_, queued| queued.done.is_none_or(|done| done > now));
    }

    /// The next moment at which something becomes due or stops blocking.
    pub fn next_event(&self, now: Instant) -> Option<Instant> {
        let times = |due: Instant, done: Option<Instant>| done.unwrap_or(due);
        let starts = self
            .starts
            .values()
            .map(|queued| times(queued.due, queued.done));
        let stops = self
            .stops
            .values()
            .map(|queued| times(queued.due, queued.done));
        starts.chain(stops).filter(|at| *at > now).min()
    }

    /// Decisions pending: starts and stops.
    pub fn len(&self) -> (usize, usize) {
        (self.starts.len(), self.stops.len())
    }

    /// True when nothing is pending.
    pub fn is_empty(&self) -> bool {
        self.len() == (0, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn start(index: u32, delay: u32, keep_alive: u32, priority: f64) -> Start {
        let process = Process {
            guid: "app".into(),
            version: "v".into(),
        };
        let key = StartKey { process, index };
        Start {
            key,
            reason: StartReason::Missing,
            delay: SECOND * delay,
            keep_alive: SECOND * keep_alive,
            priority,
        }
    }

    #[test]
    fn a_pending_start_is_never_overwritten() {
        let now = Instant::now();
        let mut pending = Pending::default();
        assert!(pending.add_start(start(0, 30, 0, 1.0), now));
        assert!(!pending.add_start(start(0, 0, 0, 2.0), now + SECOND));
        assert!(pending.due_starts(now + SECOND * 29).is_empty());
        assert_eq!(pending.due_starts(now + SECOND * 30).len(), 1);
    }

    #[test]
    fn a_sent_start_blocks_for_its_keep_alive() {
        let now = Instant::now();
        let mut pending = Pending::default();
        pending.add_start(start(0, 0, 30, 1.0), now);
        pending.start_sent(&start(0, 0, 0, 0.0).key, now);
        assert!(
            pending.due_starts(now + SECOND).is_empty(),
            "sent once only"
        );
        assert!(!pending.add_start(start(0, 0, 30, 1.0), now + SECOND));
        pending.expire(now + SECOND * 30);
        assert!(pending.add_start(start(0, 0, 30, 1.0), now + SECOND * 30));
    }

    #[test]
    fn without_keep_alive_a_sent_start_is_forgotten() {
        let now = Instant::now();
        let mut pending = Pending::default();
        pending.add_start(start(0, 0, 0, 1.0), now);
        pending.start_sent(&start(0, 0, 0, 0.0).key, now);
        assert!(pending.is_empty());
    }

    #[test]
    fn due_starts_go_by_time_then_by_priority() {
        let now = Instant::now();
        let mut pending = Pending::default();
        for (index, delay, priority) in [(0, 2, 9.0), (1, 1, 0.5), (2, 1, 2.0), (3, 5, 9.0)] {
            pending.add_start(start(index, delay, 0, priority), now);
        }
        let order: Vec<u32> = pending
            .due_starts(now + SECOND * 3)
            .into_iter()
            .map(|start| start.key.index)
            .collect();
        assert_eq!(order, [2, 1, 0]);
        assert_eq!(pending.next_event(now + SECOND * 3), Some(now + SECOND * 5));
    }
}
