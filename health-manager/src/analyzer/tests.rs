use std::time::Instant;

use HeartbeatState::{Crashed, Evacuating, Running, Starting};
use bus::dea::{Heartbeat, InstanceHeartbeat};

use super::*;

const GRACE: u64 = 30;

/// A world in a few words: rows as (guid, version, instances, package state), instances as
/// (guid, version, index, state), crashes as (guid, version, index, count).
struct World<'a> {
    rows: &'a [(&'a str, &'a str, u32, &'a str)],
    instances: &'a [(&'a str, &'a str, u32, HeartbeatState)],
    crashes: &'a [(&'a str, &'a str, u32, u32)],
}

fn process(guid: &str, version: &str) -> Process {
    Process {
        guid: guid.into(),
        version: version.into(),
    }
}

impl World<'_> {
    fn decide(&self) -> Decisions {
        let params = Params::from(&bus::times::COMPAT);
        let now = Instant::now();
        let mut desired = Desired::new(params.desired_ttl);
        let row = |(id, version, instances, package): &(&str, &str, u32, &str)| Row {
            id: (*id).into(),
            version: (*version).into(),
            instances: *instances,
            state: "STARTED".into(),
            package_state: (*package).into(),
        };
        desired.replace(self.rows.iter().map(row).collect(), now);
        let mut actual = Actual::new(params.ttl);
        let instance =
            |(nth, (guid, version, index, state)): (usize, &(&str, &str, u32, HeartbeatState))| {
                InstanceHeartbeat {
                    cc_partition: String::new(),
                    droplet: (*guid).into(),
                    version: (*version).into(),
                    instance: format!("i{nth}"),
                    index: *index,
                    state: *state,
                    state_timestamp: 0.0,
                }
            };
        actual.heartbeat(
            Heartbeat {
                dea: "d".into(),
                droplets: self.instances.iter().enumerate().map(instance).collect(),
            },
            now,
        );
        let mut crashes = Crashes::new(&params);
        for (guid, version, index, count) in self.crashes {
            (0..*count).for_each(|_| crashes.count(&process(guid, version), *index, now, 0));
        }
        analyze(&desired, &actual, &crashes, &params)
    }

    /// (index, reason, delay in s)
    fn starts(&self) -> Vec<(u32, StartReason, u64)> {
        self.decide()
            .starts
            .into_iter()
            .map(|start| (start.key.index, start.reason, start.delay.as_secs()))
            .collect()
    }

    /// (instance, reason, delay in s)
    fn stops(&self) -> Vec<(String, StopReason, u64)> {
        self.decide()
            .stops
            .into_iter()
            .map(|stop| (stop.instance, stop.reason, stop.delay.as_secs()))
            .collect()
    }
}

fn world<'a>(
    rows: &'a [(&'a str, &'a str, u32, &'a str)],
    instances: &'a [(&'a str, &'a str, u32, HeartbeatState)],
) -> World<'a> {
    World {
        rows,
        instances,
        crashes: &[],
    }
}

const TWO: &[(&str, &str, u32, &str)] = &[("app", "v", 2, "STAGED")];
const THREE: &[(&str, &str, u32, &str)] = &[("app", "v", 3, "STAGED")];

#[test]
fn a_world_in_order_needs_nothing() {
    assert_eq!(
        world(TWO, &[("app", "v", 0, Running), ("app", "v", 1, Starting)]).decide(),
        Decisions::default()
    );
}

#[test]
fn starts_missing_instances_after_the_grace_period() {
    let found = world(THREE, &[("app", "v", 1, Running)]);
    assert_eq!(
        found.starts(),
        [
            (0, StartReason::Missing, GRACE),
            (2, StartReason::Missing, GRACE)
        ]
    );
    let decisions = found.decide();
    assert!(
        decisions
            .starts
            .iter()
            .all(|start| (start.priority - 2.0 / 3.0).abs() < 1e-9 && start.keep_alive.is_zero())
    );
}

#[test]
fn an_unstaged_process_is_not_started() {
    assert_eq!(world(&[("app", "v", 2, "PENDING")], &[]).starts(), []);
}

#[test]
fn a_crashed_instance_is_restarted_with_growing_delay() {
    for (crashes, delay) in [(0, 0), (2, 0), (3, 30), (5, 120), (50, 960)] {
        let counts = [("app", "v", 1, crashes)];
        let found = World {
            crashes: &counts,
            ..world(TWO, &[("app", "v", 0, Running), ("app", "v", 1, Crashed)])
        };
        assert_eq!(
            found.starts(),
            [(1, StartReason::Crashed, delay)],
            "{crashes} crashes"
        );
    }
}

#[test]
fn only_index_0_is_tried_when_everything_has_crashed() {
    let found = world(
        THREE,
        &[
            ("app", "v", 0, Crashed),
            ("app", "v", 1, Crashed),
            ("app", "v", 2, Crashed),
        ],
    );
    assert_eq!(found.starts(), [(0, StartReason::Crashed, 0)]);
}

#[test]
fn a_crash_beside_a_running_instance_at_the_index_is_history() {
    assert_eq!(
        world(
            TWO,
            &[
                ("app", "v", 0, Running),
                ("app", "v", 1, Crashed),
                ("app", "v", 1, Running)
            ]
        )
        .starts(),
        []
    );
}

#[test]
fn stops_extra_instances_at_once() {
    let found = world(
        &[("app", "v", 1, "STAGED")],
        &[
            ("app", "v", 0, Running),
            ("app", "v", 1, Running),
            ("app", "v", 2, Starting),
            ("app", "v", 3, Crashed),
        ],
    );
    assert_eq!(
        found.stops(),
        [
            ("i1".into(), StopReason::Extra, 0),
            ("i2".into(), StopReason::Extra, 0)
        ]
    );
}

#[test]
fn stops_nothing_of_a_process_that_still_needs_starts() {
    let found = world(TWO, &[("app", "v", 0, Running), ("app", "v", 5, Running)]);
    assert_eq!((found.starts().len(), found.stops()), (1, vec![]));
}

#[test]
fn stops_duplicates_staggered() {
    let found = world(
        &[("app", "v", 1, "STAGED")],
        &[
            ("app", "v", 0, Running),
            ("app", "v", 0, Starting),
            ("app", "v", 0, Running),
        ],
    );
    let expected = [("i0", 120), ("i1", 150), ("i2", 180)]
        .map(|(id, delay)| (id.to_owned(), StopReason::Duplicate, delay));
    assert_eq!(found.stops(), expected);
}

#[test]
fn stops_whatever_is_not_desired_at_all() {
    assert_eq!(
        world(&[], &[("app", "v", 0, Running)]).stops(),
        [("i0".into(), StopReason::Extra, 0)]
    );
}

#[test]
fn an_older_version_runs_until_the_current_one_serves() {
    let rows = &[("app", "new", 1, "STAGED")][..];
    assert_eq!(world(rows, &[("app", "old", 0, Running)]).stops(), []);
    assert_eq!(
        world(
            rows,
            &[("app", "old", 0, Running), ("app", "new", 0, Starting)]
        )
        .stops(),
        []
    );
    assert_eq!(
        world(
            rows,
            &[("app", "old", 0, Running), ("app", "new", 0, Running)]
        )
        .stops(),
        [("i0".into(), StopReason::Extra, 0)]
    );
    assert_eq!(
        world(
            &[("app", "new", 1, "PENDING")],
            &[("app", "old", 0, Running)]
        )
        .stops(),
        [],
        "while it is being staged"
    );
}

#[test]
fn an_evacuating_instance_follows_the_table() {
    use StopReason::{EvacuationComplete, Extra};
    let staged = &[("app", "v", 1, "STAGED")][..];
    let leaving = ("app", "v", 0, Evacuating);
    for (name, rows, others, crashes, start, stop) in [
        ("not desired", &[][..], vec![], 0, None, Some(Extra)),
        (
            "index not desired",
            &[("app", "v", 0, "STAGED")][..],
            vec![],
            0,
            None,
            Some(Extra),
        ),
        (
            "not staged",
            &[("app", "v", 1, "PENDING")][..],
            vec![],
            0,
            None,
            Some(Extra),
        ),
        (
            "replacement runs",
            staged,
            vec![("app", "v", 0, Running)],
            0,
            None,
            Some(EvacuationComplete),
        ),
        (
            "replacement starts",
            staged,
            vec![("app", "v", 0, Starting)],
            0,
            None,
            None,
        ),
        (
            "crashed before",
            staged,
            vec![],
            1,
            Some(StartReason::Missing),
            Some(Extra),
        ),
        (
            "plain",
            staged,
            vec![],
            0,
            Some(StartReason::Evacuating),
            None,
        ),
        (
            "older version, current not yet serving",
            &[("app", "new", 1, "PENDING")][..],
            vec![],
            0,
            None,
            None,
        ),
    ] {
        let instances = [vec![leaving], others].concat();
        let counts = [("app", "v", 0, crashes)];
        let decisions = World {
            rows,
            instances: &instances,
            crashes: &counts,
        }
        .decide();
        assert_eq!(
            decisions.starts.first().map(|start| start.reason),
            start,
            "{name}"
        );
        assert_eq!(
            decisions.stops.first().map(|stop| stop.reason),
            stop,
            "{name}"
        );
    }
}

#[test]
fn an_evacuation_start_replaces_the_missing_one_and_is_urgent() {
    let decisions = world(&[("app", "v", 1, "STAGED")], &[("app", "v", 0, Evacuating)]).decide();
    assert_eq!(decisions.starts.len(), 1);
    let start = &decisions.starts[0];
    assert_eq!(
        (start.delay, start.keep_alive.as_secs()),
        (Duration::ZERO, GRACE)
    );
    assert!(start.priority >= EVACUATION_PRIORITY);
}
