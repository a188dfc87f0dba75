//! What does run, as the DEAs' heartbeats say.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use bus::dea::{Heartbeat, HeartbeatState, InstanceHeartbeat};
use bus::droplet::Exited;

use crate::desired::Process;

/// One instance as last heard of.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// What its DEA said.
    pub heartbeat: InstanceHeartbeat,
    /// The DEA.
    pub dea: String,
}

impl Instance {
    /// What it is an instance of.
    pub fn process(&self) -> Process {
        Process {
            guid: self.heartbeat.droplet.clone(),
            version: self.heartbeat.version.clone(),
        }
    }

    /// STARTING or RUNNING.
    pub fn is_alive(&self) -> bool {
        matches!(
            self.heartbeat.state,
            HeartbeatState::Starting | HeartbeatState::Running
        )
    }
}

#[derive(Debug, Clone)]
struct Dea {
    expires: Instant,
    instances: HashMap<String, InstanceHeartbeat>,
}

/// The table of heartbeats.
#[derive(Debug, Clone)]
pub struct Actual {
    ttl: Duration,
    deas: BTreeMap<String, Dea>,
    connected: bool,
    /// Since when somebody has been heard of without a silence longer than the ttl.
    listening_since: Option<Instant>,
    last_sign: Option<Instant>,
    last_heartbeat: Option<Instant>,
}

impl Actual {
    /// Nothing heard yet.
    pub fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            deas: BTreeMap::new(),
            connected: false,
            listening_since: None,
            last_sign: None,
            last_heartbeat: None,
        }
    }

    /// The bus went away: from now on nothing is lost, and nothing can be concluded.
    pub fn disconnected(&mut self) {
        self.connected = false;
        self.listening_since = None;
        self.last_sign = None;
    }

    /// The bus is (back) there: every DEA gets its full time anew, and we listen before we judge.
    pub fn connected(&mut self, now: Instant) {
        self.connected = true;
        for dea in self.deas.values_mut() {
            dea.expires = now + self.ttl;
        }
    }

    /// Takes a heartbeat as the complete state of its DEA. True when anything changed.
    pub fn heartbeat(&mut self, message: Heartbeat, now: Instant) -> bool {
        self.sign(now);
        self.last_heartbeat = Some(now);
        let dea = self.deas.entry(message.dea).or_insert_with(|| Dea {
            expires: now,
            instances: HashMap::new(),
        });
        dea.expires = now + self.ttl;
        let instances: HashMap<String, InstanceHeartbeat> = message
            .droplets
            .into_iter()
            .map(|instance| (instance.instance.clone(), instance))
            .collect();
        let changed = dea.instances != instances;
        dea.instances = instances;
        changed
    }

    /// An advertisement stands in for heartbeats where there are none: a platform without any app.
    pub fn advertised(&mut self, now: Instant) {
        if self
            .last_heartbeat
            .is_none_or(|at| now.saturating_duration_since(at) >= self.ttl)
        {
            self.sign(now);
        }
    }

    /// A crash heard of before its heartbeat. True when it concerns an instance we thought alive.
    pub fn exited(&mut self, message: &Exited) -> bool {
        let known = self
            .deas
            .values_mut()
            .find_map(|dea| dea.instances.get_mut(&message.instance));
        match known {
            Some(instance) if message.is_crash() && instance.state != HeartbeatState::Crashed => {
                instance.state = HeartbeatState::Crashed;
                true
            }
            _ => false,
        }
    }

    /// Forgets DEAs that were silent for too long; never while we could not have heard them. Returns their ids.
    pub fn expire(&mut self, now: Instant) -> Vec<String> {
        if !self.connected {
            return Vec::new();
        }
        self.deas
            .extract_if(.., |_, dea| dea.expires <= now)
            .map(|(id, _)| id)
            .collect()
    }

    /// True when the picture may be acted upon: we have been listening for a whole ttl, and somebody still speaks.
    pub fn is_fresh(&self, now: Instant) -> bool {
        let age = |since: Option<Instant>| since.map(|since| now.saturating_duration_since(since));
        self.connected
            && age(self.last_sign).is_some_and(|age| age <= self.ttl)
            && age(self.listening_since).is_some_and(|age| age >= self.ttl)
    }

    /// All instances, of all DEAs.
    pub fn instances(&self) -> impl Iterator<Item = Instance> + '_ {
        let of_dea = |(id, dea): (&'_ String, &'_ Dea)| {
            let id = id.clone();
            let list: Vec<Instance> = dea
                .instances
                .values()
                .map(|heartbeat| Instance {
                    heartbeat: heartbeat.clone(),
                    dea: id.clone(),
                })
                .collect();
            list
        };
        self.deas.iter().flat_map(of_dea)
    }

    /// Instances by process and version, in a stable order.
    pub fn by_process(&self) -> BTreeMap<Process, Vec<Instance>> {
        let mut map: BTreeMap<Process, Vec<Instance>> = BTreeMap::new();
        for instance in self.instances() {
            map.entry(instance.process()).or_default().push(instance);
        }
        for list in map.values_mut() {
            list.sort_by(|a, b| {
                (a.heartbeat.index, &a.heartbeat.instance)
                    .cmp(&(b.heartbeat.index, &b.heartbeat.instance))
            });
        }
        map
    }

    /// Number of DEAs heard of.
    pub fn dea_count(&self) -> usize {
        self.deas.len()
    }

    fn sign(&mut self, now: Instant) {
        let silent = self
            .last_sign
            .is_none_or(|at| now.saturating_duration_since(at) > self.ttl);
        if silent || self.listening_since.is_none() {
            self.listening_since = Some(now);
        }
        self.last_sign = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(30);
    const SECOND: Duration = Duration::from_secs(1);

    fn beat(dea: &str, instances: &[(&str, HeartbeatState)]) -> Heartbeat {
        let droplets = instances.iter().map(|(id, state)| InstanceHeartbeat {
            cc_partition: "default".into(),
            droplet: "app".into(),
            version: "v".into(),
            instance: (*id).into(),
            index: 0,
            state: *state,
            state_timestamp: 1.5,
        });
        Heartbeat {
            dea: dea.into(),
            droplets: droplets.collect(),
        }
    }

    fn connected(now: Instant) -> Actual {
        let mut actual = Actual::new(TTL);
        actual.connected(now);
        actual
    }

    #[test]
    fn a_heartbeat_is_the_complete_state_of_its_dea() {
        let now = Instant::now();
        let mut actual = connected(now);
        assert!(actual.heartbeat(
            beat(
                "d",
                &[
                    ("a", HeartbeatState::Running),
                    ("b", HeartbeatState::Running)
                ]
            ),
            now
        ));
        assert!(!actual.heartbeat(
            beat(
                "d",
                &[
                    ("a", HeartbeatState::Running),
                    ("b", HeartbeatState::Running)
                ]
            ),
            now
        ));
        assert!(actual.heartbeat(beat("d", &[("b", HeartbeatState::Crashed)]), now));
        assert_eq!(actual.instances().count(), 1);
    }

    #[test]
    fn is_fresh_only_after_listening_for_a_whole_ttl() {
        let start = Instant::now();
        let mut actual = connected(start);
        for second in 0..=30 {
            actual.heartbeat(beat("d", &[]), start + SECOND * second);
            assert_eq!(
                actual.is_fresh(start + SECOND * second),
                second == 30,
                "after {second} s"
            );
        }
        assert!(
            !actual.is_fresh(start + TTL + TTL + SECOND),
            "nobody speaks any more"
        );
    }

    #[test]
    fn a_long_silence_starts_the_listening_anew() {
        let start = Instant::now();
        let mut actual = connected(start);
        actual.heartbeat(beat("d", &[]), start);
        actual.heartbeat(beat("d", &[]), start + TTL);
        assert!(actual.is_fresh(start + TTL));
        let late = start + TTL * 2 + SECOND;
        actual.heartbeat(beat("d", &[]), late);
        assert!(!actual.is_fresh(late));
        actual.heartbeat(beat("d", &[]), late + TTL);
        assert!(actual.is_fresh(late + TTL));
    }

    #[test]
    fn a_silent_dea_is_lost_after_the_ttl() {
        let start = Instant::now();
        let mut actual = connected(start);
        actual.heartbeat(beat("d", &[("a", HeartbeatState::Running)]), start);
        assert!(actual.expire(start + TTL - SECOND).is_empty());
        assert_eq!(actual.expire(start + TTL), ["d"]);
        assert_eq!(actual.instances().count(), 0);
    }

    #[test]
    fn no_dea_is_lost_while_our_own_connection_is_down() {
        let start = Instant::now();
        let mut actual = connected(start);
        actual.heartbeat(beat("d", &[]), start);
        actual.disconnected();
        assert!(actual.expire(start + TTL * 10).is_empty());
        assert!(!actual.is_fresh(start + TTL));
        let back = start + TTL * 10;
        actual.connected(back);
        assert!(
            actual.expire(back + TTL - SECOND).is_empty(),
            "full time after the return"
        );
        assert_eq!(actual.expire(back + TTL), ["d"]);
    }

    #[test]
    fn advertisements_keep_an_empty_platform_fresh() {
        let start = Instant::now();
        let mut actual = connected(start);
        for second in 0..=30 {
            actual.advertised(start + SECOND * second);
        }
        assert!(actual.is_fresh(start + TTL));
    }

    #[test]
    fn a_crash_is_believed_before_its_heartbeat() {
        let now = Instant::now();
        let mut actual = connected(now);
        actual.heartbeat(beat("d", &[("a", HeartbeatState::Running)]), now);
        let exit = |instance: &str, reason: &str| Exited {
            cc_partition: String::new(),
            droplet: "app".into(),
            version: "v".into(),
            instance: instance.into(),
            index: 0,
            reason: reason.into(),
            exit_status: 1,
            exit_description: String::new(),
            crash_timestamp: None,
        };
        assert!(!actual.exited(&exit("unknown", "CRASHED")));
        assert!(!actual.exited(&exit("a", "STOPPED")));
        assert!(actual.exited(&exit("a", "CRASHED")));
        assert!(
            !actual.exited(&exit("a", "CRASHED")),
            "said twice, counted once"
        );
    }
}
