//! The health manager: the product's brain, between a bus and a bulk API that fail.

use std::collections::BTreeMap;
use std::time::Instant;

use bus::dea::{Heartbeat, InstanceHeartbeat};
use bus::health;
use health_manager::brain::{Brain, Event};
use health_manager::desired::Row;
use health_manager::params::Params;
use health_manager::pending::StopReason;
use health_manager::sender::Outgoing;

use super::flaw::Flaw;
use super::wire::{Effect, Wire};

/// The brain and what feeds it.
#[derive(Debug)]
pub struct Health {
    brain: Brain,
    params: Params,
    connected: bool,
    /// Starts and stops it asked for, heard or not.
    pub asked: u64,
    known: BTreeMap<String, BTreeMap<String, InstanceHeartbeat>>,
    flaw: Option<Flaw>,
}

impl Health {
    /// A new process that has just reached the bus.
    pub fn new(params: Params, now: Instant, flaw: Option<Flaw>) -> Self {
        let mut brain = Brain::new(params);
        brain.learn(Event::BusUp, now);
        Self {
            brain,
            params,
            connected: true,
            asked: 0,
            known: BTreeMap::new(),
            flaw,
        }
    }

    /// The process is replaced by a new one.
    pub fn restart(&mut self, now: Instant) {
        *self = Self {
            asked: self.asked,
            ..Self::new(self.params, now, self.flaw)
        };
    }

    /// The bus connection goes or comes.
    pub fn connect(&mut self, connected: bool, now: Instant) {
        self.connected = connected;
        if self.flaw != Some(Flaw::OwnOutageUnnoticed) {
            self.brain.learn(
                if connected {
                    Event::BusUp
                } else {
                    Event::BusDown
                },
                now,
            );
        }
    }

    /// Reads the bus. Returns what is to be said at once.
    pub fn hear(&mut self, wire: Wire, now: Instant) -> Vec<Effect> {
        let event = match wire {
            Wire::Heartbeat(beat) => Event::Heartbeat(self.read(beat)),
            Wire::Exited(exit) => Event::Exited(exit),
            _ => return Vec::new(),
        };
        if self.brain.learn(event, now) {
            self.look(now)
        } else {
            Vec::new()
        }
    }

    fn read(&mut self, beat: Heartbeat) -> Heartbeat {
        if self.flaw != Some(Flaw::HeartbeatIsPartial) {
            return beat;
        }
        let known = self.known.entry(beat.dea.clone()).or_default();
        known.extend(beat.droplets.into_iter().map(|i| (i.instance.clone(), i)));
        Heartbeat {
            dea: beat.dea,
            droplets: known.values().cloned().collect(),
        }
    }

    /// A fetch is over: all rows, and whether the last page came.
    pub fn fetched(&mut self, mut rows: Vec<Row>, complete: bool, now: Instant) -> Vec<Effect> {
        if !complete {
            if self.flaw != Some(Flaw::TornFetchIsBelieved) {
                return Vec::new();
            }
            rows.truncate(rows.len() / 2);
        }
        self.brain.learn(Event::Desired(rows), now);
        self.look(now)
    }

    /// Looks at everything.
    pub fn look(&mut self, now: Instant) -> Vec<Effect> {
        let unnoticed = self.flaw == Some(Flaw::OwnOutageUnnoticed);
        if unnoticed {
            // Its own timer is taken for a sign of life of the others.
            self.brain.learn(Event::Advertised, now);
        }
        let sent = self.brain.step(self.connected || unnoticed, now, 0);
        self.asked += sent.len() as u64;
        sent.into_iter()
            .filter(|message| !self.swallows(message))
            .map(publish)
            .collect()
    }

    fn swallows(&self, message: &Outgoing) -> bool {
        let Outgoing::Stop(stop, _) = message else {
            return false;
        };
        match self.flaw {
            Some(Flaw::ExtraNeverStopped) => stop.reason == StopReason::Extra,
            Some(Flaw::DuplicatesNeverStopped) => stop.reason == StopReason::Duplicate,
            _ => false,
        }
    }
}

fn publish(message: Outgoing) -> Effect {
    Effect::Publish(match message {
        Outgoing::Start(start) => Wire::Wanted(health::Start {
            message_id: None,
            droplet: start.key.process.guid,
            version: start.key.process.version,
            instance_index: start.key.index,
            epoch: None,
        }),
        Outgoing::Stop(stop, is_duplicate) => Wire::Unwanted(health::Stop {
            message_id: None,
            droplet: stop.process.guid,
            version: stop.process.version,
            instance_guid: stop.instance,
            instance_index: stop.index,
            is_duplicate,
            epoch: None,
        }),
    })
}
