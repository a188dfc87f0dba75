//! What is wrong between desired and actual, and what to do about it. HM9000's rules,
//! with one addition: instances of an older version are stopped only once the current
//! version has a running instance, so that a change never leaves an app without any.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bus::dea::HeartbeatState;

use crate::actual::{Actual, Instance};
use crate::backoff::{self, Crashes};
use crate::desired::{Desired, Process, Row};
use crate::params::Params;
use crate::pending::{Start, StartKey, StartReason, Stop, StopReason};

/// Priority of replacing an evacuated instance: above everything.
pub const EVACUATION_PRIORITY: f64 = 2.0;

/// What should happen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decisions {
    /// Starts, at most one per index.
    pub starts: Vec<Start>,
    /// Stops, at most one per instance.
    pub stops: Vec<Stop>,
}

/// Looks at every process that is desired or has instances.
pub fn analyze(
    desired: &Desired,
    actual: &Actual,
    crashes: &Crashes,
    params: &Params,
) -> Decisions {
    let running = actual.by_process();
    let wanted = desired.rows().map(|row| Process {
        guid: row.id.clone(),
        version: row.version.clone(),
    });
    let all: BTreeSet<Process> = wanted.chain(running.keys().cloned()).collect();
    let mut decisions = Decisions::default();
    for process in all {
        let instances = running.get(&process).map(Vec::as_slice).unwrap_or_default();
        let row = desired.get(&process);
        let view = View {
            row,
            instances,
            crashes,
            params,
            may_stop_all: may_stop_old(desired, &process, &running),
            process: &process,
        };
        view.decide(&mut decisions);
    }
    decisions
}

/// May instances of this (undesired) version go? Yes when the process is not desired at all, its
/// current version serves, or it shall have no instances.
pub fn may_stop_old(
    desired: &Desired,
    process: &Process,
    running: &BTreeMap<Process, Vec<Instance>>,
) -> bool {
    let Some(current) = desired.current(&process.guid) else {
        return true;
    };
    if current.instances == 0 {
        return true;
    }
    let current = Process {
        guid: current.id.clone(),
        version: current.version.clone(),
    };
    let serves = |instance: &Instance| instance.heartbeat.state == HeartbeatState::Running;
    current == *process
        || running
            .get(&current)
            .is_some_and(|instances| instances.iter().any(serves))
}

/// One process at one version.
struct View<'a> {
    process: &'a Process,
    row: Option<&'a Row>,
    instances: &'a [Instance],
    crashes: &'a Crashes,
    params: &'a Params,
    may_stop_all: bool,
}

impl View<'_> {
    fn decide(&self, decisions: &mut Decisions) {
        let mut starts: BTreeMap<u32, Start> = self
            .starts_for_vacant()
            .map(|start| (start.key.index, start))
            .collect();
        self.evacuate(&mut starts, decisions);
        let quiet = starts.is_empty();
        decisions.starts.extend(starts.into_values());
        if quiet {
            self.stop_extra(decisions);
            self.stop_duplicates(decisions);
        }
    }

    fn wanted(&self) -> u32 {
        self.row.map_or(0, |row| row.instances)
    }

    fn at(&self, index: u32) -> impl Iterator<Item = &Instance> {
        self.instances
            .iter()
            .filter(move |instance| instance.heartbeat.index == index)
    }

    fn alive_at(&self, index: u32) -> usize {
        self.at(index)
            .filter(|instance| instance.is_alive())
            .count()
    }

    fn has(&self, index: u32, state: HeartbeatState) -> bool {
        self.at(index)
            .any(|instance| instance.heartbeat.state == state)
    }

    fn vacant(&self) -> Vec<u32> {
        let taken: BTreeSet<u32> = self
            .instances
            .iter()
            .filter(|instance| instance.is_alive())
            .map(|instance| instance.heartbeat.index)
            .collect();
        (0..self.wanted())
            .filter(|index| !taken.contains(index))
            .collect()
    }

    /// Missing and crashed indices.
    fn starts_for_vacant(&self) -> impl Iterator<Item = Start> {
        let staged = self.row.is_some_and(Row::is_staged);
        let vacant = if staged { self.vacant() } else { Vec::new() };
        let priority = vacant.len() as f64 / f64::from(self.wanted().max(1));
        let nothing_runs = !self.instances.iter().any(Instance::is_alive);
        vacant.into_iter().filter_map(
            move |index| match self.has(index, HeartbeatState::Crashed) {
                false => Some(self.start(
                    index,
                    StartReason::Missing,
                    self.params.grace,
                    Duration::ZERO,
                    priority,
                )),
                // When everything crashes, one index is enough to find out whether it gets better.
                true if nothing_runs && index > 0 => None,
                true => {
                    let delay = backoff::delay(self.crashes.of(self.process, index), self.params);
                    Some(self.start(
                        index,
                        StartReason::Crashed,
                        delay,
                        self.params.grace,
                        priority,
                    ))
                }
            },
        )
    }

    fn start(
        &self,
        index: u32,
        reason: StartReason,
        delay: Duration,
        keep_alive: Duration,
        priority: f64,
    ) -> Start {
        Start {
            key: StartKey {
                process: self.process.clone(),
                index,
            },
            reason,
            delay,
            keep_alive,
            priority,
        }
    }

    fn stop(&self, instance: &Instance, reason: StopReason, delay: Duration) -> Stop {
        let heartbeat = &instance.heartbeat;
        let (process, keep_alive) = (self.process.clone(), self.params.grace);
        Stop {
            process,
            index: heartbeat.index,
            instance: heartbeat.instance.clone(),
            reason,
            delay,
            keep_alive,
        }
    }

    fn evacuate(&self, starts: &mut BTreeMap<u32, Start>, decisions: &mut Decisions) {
        let leaving = self
            .instances
            .iter()
            .filter(|instance| instance.heartbeat.state == HeartbeatState::Evacuating);
        for instance in leaving {
            let index = instance.heartbeat.index;
            match self.evacuation_of(index) {
                Evacuation::Wait => {}
                Evacuation::Stop(reason) => {
                    decisions
                        .stops
                        .push(self.stop(instance, reason, Duration::ZERO))
                }
                Evacuation::Replace => {
                    let start = self.start(
                        index,
                        StartReason::Evacuating,
                        Duration::ZERO,
                        self.params.grace,
                        EVACUATION_PRIORITY,
                    );
                    starts.insert(index, start);
                }
            }
        }
    }

    fn evacuation_of(&self, index: u32) -> Evacuation {
        let Some(row) = self.row else {
            return if self.may_stop_all {
                Evacuation::Stop(StopReason::Extra)
            } else {
                Evacuation::Wait
            };
        };
        if index >= row.instances || !row.is_staged() {
            Evacuation::Stop(StopReason::Extra)
        } else if self.has(index, HeartbeatState::Running) {
            Evacuation::Stop(StopReason::EvacuationComplete)
        } else if self.has(index, HeartbeatState::Starting) {
            Evacuation::Wait
        } else if self.crashes.of(self.process, index) > 0 {
            Evacuation::Stop(StopReason::Extra)
        } else {
            Evacuation::Replace
        }
    }

    fn stop_extra(&self, decisions: &mut Decisions) {
        if self.row.is_none() && !self.may_stop_all {
            return;
        }
        let surplus = self
            .instances
            .iter()
            .filter(|instance| instance.is_alive() && instance.heartbeat.index >= self.wanted());
        decisions
            .stops
            .extend(surplus.map(|instance| self.stop(instance, StopReason::Extra, Duration::ZERO)));
    }

    /// All of them get a stop, staggered: each is looked at again before it goes out, so the last one stays.
    fn stop_duplicates(&self, decisions: &mut Decisions) {
        let crowded: Vec<u32> = (0..self.wanted())
            .filter(|&index| self.alive_at(index) > 1)
            .collect();
        for index in crowded {
            let doubles = self.at(index).filter(|instance| instance.is_alive());
            let stops = (0_u32..).zip(doubles).map(|(nth, instance)| {
                self.stop(
                    instance,
                    StopReason::Duplicate,
                    self.params.grace * (4 + nth),
                )
            });
            decisions.stops.extend(stops);
        }
    }
}

/// What an evacuating instance needs.
enum Evacuation {
    Wait,
    Stop(StopReason),
    Replace,
}

#[cfg(test)]
mod tests;
