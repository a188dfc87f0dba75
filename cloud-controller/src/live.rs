//! What runs, as heartbeats and exits told us. Pure: takes `now`.
//!
//! It answers questions at once and from memory; it is never the truth about what *should* run.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use bus::dea::{Heartbeat, HeartbeatState, InstanceHeartbeat};
use bus::droplet::Exited;

/// Crashes after which an index is shown as FLAPPING.
pub const FLAPPING_THRESHOLD: u32 = 3;
/// A crash is forgotten after this long without another.
const CRASH_MEMORY: Duration = Duration::from_secs(600);
/// Indices with crashes that are remembered; beyond, the oldest go.
const MAX_CRASHES: usize = 20_000;

/// (process, version, index).
type Place = (String, String, u32);

/// The last crash of an index.
#[derive(Debug, Clone)]
pub struct Crash {
    /// Crashes counted.
    pub count: u32,
    /// When the last one came.
    pub at: Instant,
    /// Unix seconds of the last one.
    pub since: f64,
    /// The DEA's words.
    pub description: String,
    /// Exit status, -1 when unknown.
    pub status: i64,
}

impl Crash {
    /// One line for people.
    pub fn text(&self) -> String {
        format!(
            "last exit: {} (status {}), {} in a row",
            self.description, self.status, self.count
        )
    }
}

/// State of one index for the API.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexState {
    /// RUNNING, STARTING, FLAPPING or DOWN.
    pub state: &'static str,
    /// Unix seconds; None = now.
    pub since: Option<f64>,
    /// Why it is not up, when known.
    pub details: Option<String>,
}

/// Everything known about running instances.
#[derive(Debug)]
pub struct Live {
    ttl: Duration,
    deas: HashMap<String, (Instant, Vec<InstanceHeartbeat>)>,
    crashes: HashMap<Place, Crash>,
    outstanding: HashMap<Place, Instant>,
}

impl Live {
    /// Nothing known; a DEA not heard of for `ttl` is taken for lost.
    pub fn new(ttl: Duration) -> Live {
        Live {
            ttl,
            deas: HashMap::new(),
            crashes: HashMap::new(),
            outstanding: HashMap::new(),
        }
    }

    /// A heartbeat is the complete state of its DEA. True when that DEA was not known (any more).
    pub fn heartbeat(&mut self, beat: Heartbeat, now: Instant) -> bool {
        for instance in &beat.droplets {
            if is_up(instance) {
                self.outstanding.remove(&place(
                    &instance.droplet,
                    &instance.version,
                    instance.index,
                ));
            }
        }
        self.deas
            .retain(|_, (seen, _)| now.duration_since(*seen) < self.ttl);
        self.deas.insert(beat.dea, (now, beat.droplets)).is_none()
    }

    /// An instance ended.
    pub fn exited(&mut self, exit: &Exited, now: Instant) {
        for (_, instances) in self.deas.values_mut() {
            instances.retain(|i| i.instance != exit.instance);
        }
        let place = place(&exit.droplet, &exit.version, exit.index);
        self.outstanding.remove(&place);
        if exit.is_crash() {
            self.note_crash(place, exit, now);
        }
    }

    fn note_crash(&mut self, place: Place, exit: &Exited, now: Instant) {
        self.crashes
            .retain(|_, crash| now.duration_since(crash.at) < CRASH_MEMORY);
        if self.crashes.len() >= MAX_CRASHES
            && let Some(oldest) = self
                .crashes
                .iter()
                .min_by_key(|(_, crash)| crash.at)
                .map(|(p, _)| p.clone())
        {
            self.crashes.remove(&oldest);
        }
        let count = self.crashes.get(&place).map_or(0, |crash| crash.count) + 1;
        let crash = Crash {
            count,
            at: now,
            since: exit.crash_timestamp.unwrap_or_default() as f64,
            description: if exit.exit_description.is_empty() {
                "unknown reason".into()
            } else {
                exit.exit_description.clone()
            },
            status: exit.exit_status,
        };
        self.crashes.insert(place, crash);
    }

    /// How many DEAs are alive.
    pub fn deas(&self, now: Instant) -> usize {
        let is_alive = |seen: &Instant| now.duration_since(*seen) < self.ttl;
        self.deas
            .values()
            .filter(|(seen, _)| is_alive(seen))
            .count()
    }

    /// Instances of a process in one version on DEAs that are alive, in any state.
    fn of<'a>(
        &'a self,
        process: &'a str,
        version: &'a str,
        now: Instant,
    ) -> impl Iterator<Item = &'a InstanceHeartbeat> {
        self.deas
            .values()
            .filter(move |(seen, _)| now.duration_since(*seen) < self.ttl)
            .flat_map(|(_, instances)| instances)
            .filter(move |i| i.droplet == process && i.version == version)
    }

    /// Indices 0…n-1 with their states, gap-free.
    pub fn indices(
        &self,
        process: &str,
        version: &str,
        count: u32,
        now: Instant,
    ) -> BTreeMap<u32, IndexState> {
        let mut states = BTreeMap::new();
        for index in 0..count {
            let up = self
                .of(process, version, now)
                .filter(|i| i.index == index && is_up(i))
                .max_by_key(|i| i.state == HeartbeatState::Running);
            states.insert(index, self.state_of(process, version, index, up));
        }
        states
    }

    fn state_of(
        &self,
        process: &str,
        version: &str,
        index: u32,
        up: Option<&InstanceHeartbeat>,
    ) -> IndexState {
        let crash = self.crashes.get(&place(process, version, index));
        match (up, crash) {
            (Some(up), crash) => IndexState {
                state: if up.state == HeartbeatState::Running {
                    "RUNNING"
                } else {
                    "STARTING"
                },
                since: Some(up.state_timestamp),
                details: crash
                    .filter(|_| up.state != HeartbeatState::Running)
                    .map(Crash::text),
            },
            (None, Some(crash)) => IndexState {
                state: if crash.count >= FLAPPING_THRESHOLD {
                    "FLAPPING"
                } else {
                    "DOWN"
                },
                since: Some(crash.since),
                details: Some(crash.text()),
            },
            (None, None) => IndexState {
                state: "DOWN",
                since: None,
                details: None,
            },
        }
    }

    /// Distinct indices below `count` that are RUNNING or STARTING.
    pub fn running(&self, process: &str, version: &str, count: u32, now: Instant) -> u32 {
        let states = self.indices(process, version, count, now);
        states
            .values()
            .filter(|s| matches!(s.state, "RUNNING" | "STARTING"))
            .count() as u32
    }

    /// RUNNING instances of a version, however many per index.
    pub fn running_instances(&self, process: &str, version: &str, now: Instant) -> usize {
        self.of(process, version, now)
            .filter(|i| i.state == HeartbeatState::Running)
            .count()
    }

    /// Crashed instances: (instance id, unix seconds).
    pub fn crashed(&self, process: &str, version: &str, now: Instant) -> Vec<(String, f64)> {
        self.of(process, version, now)
            .filter(|i| i.state == HeartbeatState::Crashed)
            .map(|i| (i.instance.clone(), i.state_timestamp))
            .collect()
    }

    /// Claims a start: false while another start of the same place is under way or the index is up already.
    pub fn claim_start(
        &mut self,
        process: &str,
        version: &str,
        index: u32,
        now: Instant,
        until: Instant,
    ) -> bool {
        self.outstanding.retain(|_, deadline| *deadline > now);
        let up = self
            .of(process, version, now)
            .any(|i| i.index == index && is_up(i) && i.state != HeartbeatState::Evacuating);
        let place = place(process, version, index);
        if up || self.outstanding.contains_key(&place) {
            return false;
        }
        self.outstanding.insert(place, until);
        true
    }

    /// Gives a claim back: nothing was sent.
    pub fn release_start(&mut self, process: &str, version: &str, index: u32) {
        self.outstanding.remove(&place(process, version, index));
    }

    /// The app was stopped: what was under way is no more, and old crashes do not count.
    pub fn forget(&mut self, process: &str) {
        self.outstanding.retain(|(p, _, _), _| p != process);
        self.crashes.retain(|(p, _, _), _| p != process);
    }
}

fn place(process: &str, version: &str, index: u32) -> Place {
    (process.to_owned(), version.to_owned(), index)
}

fn is_up(instance: &InstanceHeartbeat) -> bool {
    instance.state != HeartbeatState::Crashed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beat(dea: &str, index: u32, state: HeartbeatState) -> Heartbeat {
        Heartbeat {
            dea: dea.into(),
            droplets: vec![InstanceHeartbeat {
                cc_partition: "default".into(),
                droplet: "p".into(),
                version: "v".into(),
                instance: format!("{dea}-{index}"),
                index,
                state,
                state_timestamp: 5.0,
            }],
        }
    }

    fn crash(index: u32) -> Exited {
        Exited {
            cc_partition: "default".into(),
            droplet: "p".into(),
            version: "v".into(),
            instance: "x".into(),
            index,
            reason: "CRASHED".into(),
            exit_status: 137,
            exit_description: "out of memory".into(),
            crash_timestamp: Some(7),
        }
    }

    fn live() -> (Live, Instant) {
        (Live::new(Duration::from_secs(30)), Instant::now())
    }

    #[test]
    fn indices_have_no_gap_and_missing_ones_are_down() {
        let (mut live, now) = live();
        live.heartbeat(beat("a", 1, HeartbeatState::Running), now);
        live.heartbeat(beat("b", 9, HeartbeatState::Running), now);
        let states: Vec<_> = live
            .indices("p", "v", 3, now)
            .into_iter()
            .map(|(i, s)| (i, s.state))
            .collect();
        assert_eq!(states, [(0, "DOWN"), (1, "RUNNING"), (2, "DOWN")]);
        assert_eq!(live.running("p", "v", 3, now), 1);
    }

    #[test]
    fn a_silent_dea_is_lost_after_the_ttl() {
        let (mut live, now) = live();
        live.heartbeat(beat("a", 0, HeartbeatState::Running), now);
        assert_eq!(live.running("p", "v", 1, now + Duration::from_secs(29)), 1);
        assert_eq!(live.running("p", "v", 1, now + Duration::from_secs(30)), 0);
    }

    #[test]
    fn three_crashes_make_an_index_flap_and_say_why() {
        let (mut live, now) = live();
        live.exited(&crash(0), now);
        let once = &live.indices("p", "v", 1, now)[&0];
        assert_eq!(once.state, "DOWN");
        assert!(
            once.details
                .as_deref()
                .is_some_and(|d| d.contains("out of memory (status 137)"))
        );
        live.exited(&crash(0), now);
        live.exited(&crash(0), now);
        assert_eq!(live.indices("p", "v", 1, now)[&0].state, "FLAPPING");
        live.heartbeat(beat("a", 0, HeartbeatState::Running), now);
        assert_eq!(live.indices("p", "v", 1, now)[&0].state, "RUNNING");
    }

    #[test]
    fn one_start_per_place_until_heartbeat_exit_or_deadline() {
        let (mut live, now) = live();
        let until = now + Duration::from_secs(10);
        assert!(live.claim_start("p", "v", 0, now, until));
        assert!(!live.claim_start("p", "v", 0, now, until));
        assert!(live.claim_start("p", "v", 1, now, until));
        live.exited(&crash(0), now);
        assert!(
            live.claim_start("p", "v", 0, now, until),
            "an exit frees the place"
        );
        assert!(
            live.claim_start("p", "v", 0, until, until + Duration::from_secs(1)),
            "so does the deadline"
        );
        live.heartbeat(beat("a", 0, HeartbeatState::Starting), now);
        assert!(
            !live.claim_start("p", "v", 0, now, until),
            "a started index is not started again"
        );
    }

    #[test]
    fn an_evacuating_instance_may_be_replaced() {
        let (mut live, now) = live();
        live.heartbeat(beat("a", 0, HeartbeatState::Evacuating), now);
        assert!(live.claim_start("p", "v", 0, now, now + Duration::from_secs(1)));
    }
}
