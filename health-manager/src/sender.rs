//! What may go out now. Every decision is held against the world once more before it is sent.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use bus::dea::HeartbeatState;

use crate::actual::{Actual, Instance};
use crate::analyzer::may_stop_old;
use crate::desired::{Desired, Process};
use crate::params::Params;
use crate::pending::{Pending, Start, StartReason, Stop};

/// A message for the controller.
#[derive(Debug, Clone, PartialEq)]
pub enum Outgoing {
    /// `hm9000.start`.
    Start(Start),
    /// `hm9000.stop`, and whether another instance lives at the index.
    Stop(Stop, bool),
}

/// Starts per heartbeat are limited: a controller that comes back after an outage is not flooded.
#[derive(Debug, Clone, Default)]
pub struct Throttle {
    window: Option<Instant>,
    sent: usize,
}

impl Throttle {
    /// How many starts may be sent now.
    pub fn allowance(&mut self, params: &Params, now: Instant) -> usize {
        let over = self
            .window
            .is_none_or(|since| now.saturating_duration_since(since) >= params.heartbeat);
        if over {
            (self.window, self.sent) = (Some(now), 0);
        }
        params.send_limit.saturating_sub(self.sent)
    }

    /// Counts what was sent.
    pub fn spend(&mut self, starts: usize) {
        self.sent += starts;
    }
}

/// Takes what is due out of `pending`: what still makes sense is returned, the rest is dropped.
pub fn send(
    pending: &mut Pending,
    desired: &Desired,
    actual: &Actual,
    allowance: usize,
    now: Instant,
) -> Vec<Outgoing> {
    let running = actual.by_process();
    let mut out = Vec::new();
    for start in pending.due_starts(now) {
        if out.len() == allowance {
            break;
        }
        if start_makes_sense(&start, desired, &running) {
            pending.start_sent(&start.key, now);
            out.push(Outgoing::Start(start));
        } else {
            pending.drop_start(&start.key);
        }
    }
    // Two duplicates must not both go because each saw the other: count down what is left at each index.
    let mut left: BTreeMap<(Process, u32), usize> = BTreeMap::new();
    let leaving = pending.leaving();
    for stop in pending.due_stops(now) {
        match stop_verdict(&stop, desired, &running, &leaving, &mut left) {
            Some(is_duplicate) => {
                pending.stop_sent(&stop.instance, now);
                out.push(Outgoing::Stop(stop, is_duplicate));
            }
            None => pending.drop_stop(&stop.instance),
        }
    }
    out
}

fn start_makes_sense(
    start: &Start,
    desired: &Desired,
    running: &BTreeMap<Process, Vec<Instance>>,
) -> bool {
    if start.reason == StartReason::EvacuationNotice {
        return true;
    }
    let Some(row) = desired.get(&start.key.process) else {
        return false;
    };
    let occupied =
        |instance: &Instance| instance.is_alive() && instance.heartbeat.index == start.key.index;
    start.key.index < row.instances
        && row.is_staged()
        && !running
            .get(&start.key.process)
            .is_some_and(|list| list.iter().any(occupied))
}

/// `Some(is_duplicate)` when the stop should go out.
fn stop_verdict(
    stop: &Stop,
    desired: &Desired,
    running: &BTreeMap<Process, Vec<Instance>>,
    leaving: &BTreeSet<String>,
    left: &mut BTreeMap<(Process, u32), usize>,
) -> Option<bool> {
    let instances = running.get(&stop.process)?;
    let instance = instances
        .iter()
        .find(|instance| instance.heartbeat.instance == stop.instance)?;
    let Some(row) = desired.get(&stop.process) else {
        return may_stop_old(desired, &stop.process, running).then_some(false);
    };
    if stop.index >= row.instances {
        return Some(false);
    }
    if instance.heartbeat.state == HeartbeatState::Evacuating {
        return Some(true);
    }
    let alive = instances
        .iter()
        .filter(|other| other.is_alive() && other.heartbeat.index == stop.index)
        .filter(|other| !leaving.contains(&other.heartbeat.instance))
        .count();
    let left = left
        .entry((stop.process.clone(), stop.index))
        .or_insert(alive);
    (instance.is_alive() && *left > 1).then(|| {
        *left -= 1;
        true
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use HeartbeatState::{Evacuating, Running};
    use bus::dea::{Heartbeat, InstanceHeartbeat};

    use super::*;
    use crate::desired::Row;
    use crate::pending::{StartKey, StopReason};

    struct Scene {
        now: Instant,
        desired: Desired,
        actual: Actual,
        pending: Pending,
    }

    fn process(version: &str) -> Process {
        Process {
            guid: "app".into(),
            version: version.into(),
        }
    }

    fn scene(instances: u32, running: &[(&str, u32, HeartbeatState)]) -> Scene {
        let now = Instant::now();
        let mut desired = Desired::new(Duration::from_secs(120));
        let row = Row {
            id: "app".into(),
            version: "v".into(),
            instances,
            state: "STARTED".into(),
            package_state: "STAGED".into(),
        };
        desired.replace(vec![row], now);
        let mut actual = Actual::new(Duration::from_secs(30));
        let droplets = running.iter().map(|(id, index, state)| InstanceHeartbeat {
            cc_partition: String::new(),
            droplet: "app".into(),
            version: "v".into(),
            instance: (*id).into(),
            index: *index,
            state: *state,
            state_timestamp: 0.0,
        });
        actual.heartbeat(
            Heartbeat {
                dea: "d".into(),
                droplets: droplets.collect(),
            },
            now,
        );
        Scene {
            now,
            desired,
            actual,
            pending: Pending::default(),
        }
    }

    fn start(index: u32, reason: StartReason) -> Start {
        let key = StartKey {
            process: process("v"),
            index,
        };
        Start {
            key,
            reason,
            delay: Duration::ZERO,
            keep_alive: Duration::ZERO,
            priority: 1.0,
        }
    }

    fn stop(instance: &str, version: &str, index: u32) -> Stop {
        let reason = StopReason::Duplicate;
        Stop {
            process: process(version),
            index,
            instance: instance.into(),
            reason,
            delay: Duration::ZERO,
            keep_alive: Duration::ZERO,
        }
    }

    impl Scene {
        fn send(&mut self, allowance: usize) -> Vec<Outgoing> {
            send(
                &mut self.pending,
                &self.desired,
                &self.actual,
                allowance,
                self.now,
            )
        }
    }

    #[test]
    fn starts_are_verified_unless_a_dea_announced_its_evacuation() {
        for (index, reason, expected) in [
            (0, StartReason::Missing, false),
            (1, StartReason::Missing, true),
            (2, StartReason::Missing, false),
            (0, StartReason::EvacuationNotice, true),
        ] {
            let mut scene = scene(2, &[("i0", 0, Running)]);
            scene.pending.add_start(start(index, reason), scene.now);
            assert_eq!(
                scene.send(60).len(),
                usize::from(expected),
                "index {index} {reason:?}"
            );
            assert!(scene.pending.is_empty(), "sent or dropped");
        }
    }

    #[test]
    fn starts_beyond_the_allowance_wait() {
        let mut scene = scene(5, &[]);
        for index in 0..5 {
            let start = start(index, StartReason::Missing);
            scene.pending.add_start(start, scene.now);
        }
        assert_eq!(scene.send(2).len(), 2);
        assert_eq!(scene.pending.len().0, 3);
    }

    #[test]
    fn the_allowance_renews_with_each_heartbeat() {
        let params = Params::from(&bus::times::COMPAT);
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        assert_eq!(throttle.allowance(&params, now), 60);
        throttle.spend(50);
        assert_eq!(throttle.allowance(&params, now + params.heartbeat / 2), 10);
        assert_eq!(throttle.allowance(&params, now + params.heartbeat), 60);
    }

    #[test]
    fn stops_follow_the_table() {
        for (name, instance, version, index, expected) in [
            ("unknown instance", "gone", "v", 0, None),
            ("extra index", "i9", "v", 9, Some(false)),
            ("evacuating", "e1", "v", 1, Some(true)),
            ("alone at its index", "i2", "v", 2, None),
            ("one of two", "i0", "v", 0, Some(true)),
        ] {
            let mut scene = scene(
                3,
                &[
                    ("i0", 0, Running),
                    ("j0", 0, Running),
                    ("e1", 1, Evacuating),
                    ("i2", 2, Running),
                    ("i9", 9, Running),
                ],
            );
            scene
                .pending
                .add_stop(stop(instance, version, index), scene.now);
            let sent = scene.send(60);
            let verdict = sent
                .first()
                .map(|message| matches!(message, Outgoing::Stop(_, true)));
            assert_eq!(verdict, expected, "{name}");
        }
    }

    #[test]
    fn of_three_duplicates_one_stays_even_when_all_stops_are_due_together() {
        let mut scene = scene(
            1,
            &[("a", 0, Running), ("b", 0, Running), ("c", 0, Running)],
        );
        for id in ["a", "b", "c"] {
            scene.pending.add_stop(stop(id, "v", 0), scene.now);
        }
        assert_eq!(scene.send(60).len(), 2);
    }
}
