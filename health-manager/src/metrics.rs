//! The numbers behind `/varz` and `/metrics`, under the original's names.

use std::collections::BTreeMap;
use std::time::Instant;

use bus::dea::HeartbeatState;
use serde_json::{Map, Value, json};

use crate::actual::Instance;
use crate::brain::Brain;
use crate::desired::Process;

/// Names and values, in a fixed order.
pub(crate) type Numbers = Vec<(&'static str, f64)>;

/// Counts what there is; every count of the world is -1 while a picture is stale.
pub(crate) fn collect(brain: &Brain, fetch_seconds: f64, now: Instant) -> Numbers {
    let tally = &brain.tally;
    let mut numbers = world(brain, now);
    numbers.extend([
        ("StartCrashed", tally.start_crashed as f64),
        ("StartMissing", tally.start_missing as f64),
        ("StartEvacuating", tally.start_evacuating as f64),
        ("StopDuplicate", tally.stop_duplicate as f64),
        ("StopExtra", tally.stop_extra as f64),
        (
            "StopEvacuationComplete",
            tally.stop_evacuation_complete as f64,
        ),
        ("DesiredStateSyncTimeInMilliseconds", fetch_seconds * 1000.0),
        ("ReceivedHeartbeats", tally.received_heartbeats as f64),
        ("SavedHeartbeats", tally.received_heartbeats as f64),
    ]);
    numbers
}

fn world(brain: &Brain, now: Instant) -> Numbers {
    let mut count = Count::default();
    let running = brain.actual.by_process();
    for row in brain.desired.rows() {
        let process = Process {
            guid: row.id.clone(),
            version: row.version.clone(),
        };
        count.desired(
            row.instances,
            row.is_staged(),
            running.get(&process).map(Vec::as_slice).unwrap_or_default(),
        );
    }
    count.undesired = running
        .iter()
        .filter(|(process, list)| {
            brain.desired.get(process).is_none() && list.iter().any(Instance::is_alive)
        })
        .count();
    let of_state = |wanted: HeartbeatState| {
        brain
            .actual
            .instances()
            .filter(|instance| instance.heartbeat.state == wanted)
            .count()
    };
    let fresh = brain.is_fresh(now);
    let shown = |value: usize| if fresh { value as f64 } else { -1.0 };
    vec![
        (
            "NumberOfAppsWithAllInstancesReporting",
            shown(count.complete),
        ),
        ("NumberOfAppsWithMissingInstances", shown(count.incomplete)),
        ("NumberOfUndesiredRunningApps", shown(count.undesired)),
        (
            "NumberOfRunningInstances",
            shown(of_state(HeartbeatState::Running) + of_state(HeartbeatState::Starting)),
        ),
        ("NumberOfMissingIndices", shown(count.missing)),
        (
            "NumberOfCrashedInstances",
            shown(of_state(HeartbeatState::Crashed)),
        ),
        ("NumberOfCrashedIndices", shown(count.crashed)),
        ("NumberOfDesiredApps", shown(count.apps)),
        ("NumberOfDesiredInstances", shown(count.instances)),
        ("NumberOfDesiredAppsPendingStaging", shown(count.pending)),
    ]
}

#[derive(Default)]
struct Count {
    apps: usize,
    instances: usize,
    pending: usize,
    complete: usize,
    incomplete: usize,
    missing: usize,
    crashed: usize,
    undesired: usize,
}

impl Count {
    fn desired(&mut self, wanted: u32, staged: bool, instances: &[Instance]) {
        if !staged {
            self.pending += 1;
            return;
        }
        let mut at: BTreeMap<u32, (bool, bool)> = BTreeMap::new();
        for instance in instances
            .iter()
            .filter(|instance| instance.heartbeat.index < wanted)
        {
            let (alive, crashed) = at.entry(instance.heartbeat.index).or_default();
            *alive |= instance.is_alive();
            *crashed |= instance.heartbeat.state == HeartbeatState::Crashed;
        }
        let alive = at.values().filter(|(alive, _)| *alive).count();
        self.apps += 1;
        self.instances += wanted as usize;
        self.missing += wanted as usize - alive;
        self.crashed += at
            .values()
            .filter(|(alive, crashed)| *crashed && !alive)
            .count();
        if alive == wanted as usize {
            self.complete += 1
        } else {
            self.incomplete += 1
        }
    }
}

/// The keys of the original's `/varz`.
pub(crate) fn varz(numbers: &Numbers) -> Map<String, Value> {
    let metrics: Vec<Value> = numbers
        .iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    let mut map = Map::new();
    map.insert("name".into(), "HM9000".into());
    map.insert("tags".into(), json!({}));
    map.insert(
        "contexts".into(),
        json!([{"name": "HM9000", "metrics": metrics}]),
    );
    map
}
