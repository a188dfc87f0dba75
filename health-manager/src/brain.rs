//! Everything the health manager knows, and what it makes of an event: no IO, no clock.

use std::time::Instant;

use bus::dea::Heartbeat;
use bus::droplet::Exited;

use crate::actual::Actual;
use crate::analyzer::{EVACUATION_PRIORITY, analyze};
use crate::backoff::Crashes;
use crate::desired::{Desired, Process, Row};
use crate::params::Params;
use crate::pending::{Pending, Start, StartKey, StartReason};
use crate::sender::{Outgoing, Throttle, send};

/// Something the world told us.
#[derive(Debug, Clone)]
pub enum Event {
    /// `dea.heartbeat`.
    Heartbeat(Heartbeat),
    /// `dea.advertise`, content of no interest.
    Advertised,
    /// `droplet.exited`.
    Exited(Exited),
    /// A complete fetch of desired state.
    Desired(Vec<Row>),
    /// Our bus connection is (back) there.
    BusUp,
    /// Our bus connection is gone.
    BusDown,
}

/// How often things were decided, for the metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Starts because of a crash.
    pub start_crashed: u64,
    /// Starts of missing instances.
    pub start_missing: u64,
    /// Starts because of an evacuation.
    pub start_evacuating: u64,
    /// Stops of duplicates.
    pub stop_duplicate: u64,
    /// Stops of extra instances.
    pub stop_extra: u64,
    /// Stops of evacuated instances.
    pub stop_evacuation_complete: u64,
    /// Heartbeats received.
    pub received_heartbeats: u64,
}

/// The health manager without its surroundings.
#[derive(Debug, Clone)]
pub struct Brain {
    params: Params,
    /// What should run.
    pub desired: Desired,
    /// What does run.
    pub actual: Actual,
    /// Who crashed.
    pub crashes: Crashes,
    /// What was decided.
    pub pending: Pending,
    /// What was sent.
    pub tally: Tally,
    throttle: Throttle,
}

impl Brain {
    /// Knows nothing yet.
    pub fn new(params: Params) -> Self {
        Self {
            params,
            desired: Desired::new(params.desired_ttl),
            actual: Actual::new(params.ttl),
            crashes: Crashes::new(&params),
            pending: Pending::default(),
            tally: Tally::default(),
            throttle: Throttle::default(),
        }
    }

    /// Takes note of an event. True when it is worth looking at everything again at once.
    pub fn learn(&mut self, event: Event, now: Instant) -> bool {
        match event {
            Event::Heartbeat(heartbeat) => {
                self.tally.received_heartbeats += 1;
                return self.actual.heartbeat(heartbeat, now);
            }
            Event::Exited(exit) if exit.is_evacuation() => self.replace_evacuated(&exit, now),
            Event::Exited(exit) => return self.actual.exited(&exit),
            Event::Desired(rows) => self.desired.replace(rows, now),
            Event::BusUp => self.actual.connected(now),
            Event::BusDown => self.actual.disconnected(),
            Event::Advertised => {
                self.actual.advertised(now);
                return false;
            }
        }
        true
    }

    /// True when both pictures may be acted upon.
    pub fn is_fresh(&self, now: Instant) -> bool {
        self.desired.is_fresh(now) && self.actual.is_fresh(now)
    }

    /// Compares, decides, and returns what is to be sent now. A standby (`may_send` false) does all of it as if
    /// it spoke, so that its crash counts and delays are those of the speaker, and returns nothing.
    /// `unix` is the wall clock in seconds, noted beside crashes.
    pub fn step(&mut self, may_send: bool, now: Instant, unix: i64) -> Vec<Outgoing> {
        for dea in self.actual.expire(now) {
            tracing::warn!(dea, "a DEA is lost: no heartbeat in time");
        }
        self.crashes.expire(now);
        self.pending.expire(now);
        if !self.is_fresh(now) {
            return Vec::new();
        }
        self.decide(now, unix);
        let allowance = self.throttle.allowance(&self.params, now);
        let sent = send(
            &mut self.pending,
            &self.desired,
            &self.actual,
            allowance,
            now,
        );
        self.throttle.spend(
            sent.iter()
                .filter(|message| matches!(message, Outgoing::Start(_)))
                .count(),
        );
        if !may_send {
            return Vec::new();
        }
        sent.iter().for_each(|message| self.tally.count(message));
        sent
    }

    fn decide(&mut self, now: Instant, unix: i64) {
        let decisions = analyze(&self.desired, &self.actual, &self.crashes, &self.params);
        for start in decisions.starts {
            let (key, reason) = (start.key.clone(), start.reason);
            if self.pending.add_start(start, now) && reason == StartReason::Crashed {
                self.crashes.count(&key.process, key.index, now, unix);
            }
        }
        for stop in decisions.stops {
            self.pending.add_stop(stop, now);
        }
    }

    /// A DEA that evacuates says so per instance: its place is filled without waiting for heartbeats.
    fn replace_evacuated(&mut self, exit: &Exited, now: Instant) {
        let process = Process {
            guid: exit.droplet.clone(),
            version: exit.version.clone(),
        };
        let start = Start {
            key: StartKey {
                process,
                index: exit.index,
            },
            reason: StartReason::EvacuationNotice,
            delay: std::time::Duration::ZERO,
            keep_alive: self.params.grace,
            priority: EVACUATION_PRIORITY,
        };
        self.pending.add_start(start, now);
    }
}

impl Tally {
    fn count(&mut self, message: &Outgoing) {
        use crate::pending::StopReason;
        let counter = match message {
            Outgoing::Start(start) => match start.reason {
                StartReason::Missing => &mut self.start_missing,
                StartReason::Crashed => &mut self.start_crashed,
                StartReason::Evacuating | StartReason::EvacuationNotice => {
                    &mut self.start_evacuating
                }
            },
            Outgoing::Stop(stop, _) => match stop.reason {
                StopReason::Extra => &mut self.stop_extra,
                StopReason::Duplicate => &mut self.stop_duplicate,
                StopReason::EvacuationComplete => &mut self.stop_evacuation_complete,
            },
        };
        *counter += 1;
    }
}

#[cfg(test)]
mod tests;
