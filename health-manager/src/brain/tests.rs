use std::time::Duration;

use bus::dea::{HeartbeatState, InstanceHeartbeat};

use super::*;
use crate::pending::StopReason;

const SECOND: Duration = Duration::from_secs(1);

/// A brain, its clock, and one DEA that beats every second.
struct Sim {
    brain: Brain,
    now: Instant,
    instances: Vec<InstanceHeartbeat>,
    sent: Vec<Outgoing>,
    /// Rows wanted, fetched anew every second while present.
    wanted: Option<u32>,
}

impl Sim {
    fn new(instances: u32) -> Self {
        let mut sim = Self {
            brain: Brain::new(Params::from(&bus::times::DEFAULT)),
            now: Instant::now(),
            instances: vec![],
            sent: vec![],
            wanted: Some(instances),
        };
        sim.brain.learn(Event::BusUp, sim.now);
        sim.want(instances);
        sim
    }

    fn want(&mut self, instances: u32) {
        let row = Row {
            id: "app".into(),
            version: "v".into(),
            instances,
            state: "STARTED".into(),
            package_state: "STAGED".into(),
        };
        self.brain.learn(Event::Desired(vec![row]), self.now);
    }

    fn put(&mut self, id: &str, index: u32, state: HeartbeatState) {
        self.instances.retain(|instance| instance.instance != id);
        self.instances.push(InstanceHeartbeat {
            cc_partition: String::new(),
            droplet: "app".into(),
            version: "v".into(),
            instance: id.into(),
            index,
            state,
            state_timestamp: 0.0,
        });
    }

    fn learn_heartbeat(&mut self) {
        let droplets = self.instances.clone();
        let dea = "d".into();
        self.brain
            .learn(Event::Heartbeat(Heartbeat { dea, droplets }), self.now);
    }

    fn run(&mut self, seconds: u32) -> Vec<Outgoing> {
        let before = self.sent.len();
        for _ in 0..seconds {
            self.now += SECOND;
            if let Some(instances) = self.wanted {
                self.want(instances);
            }
            self.learn_heartbeat();
            let sent = self.brain.step(true, self.now, 0);
            self.sent.extend(sent);
        }
        self.sent[before..].to_vec()
    }
}

fn indices(sent: &[Outgoing]) -> Vec<u32> {
    sent.iter()
        .map(|message| match message {
            Outgoing::Start(start) => start.key.index,
            Outgoing::Stop(stop, _) => stop.index,
        })
        .collect()
}

#[test]
fn says_nothing_before_it_has_listened_long_enough() {
    let mut sim = Sim::new(1);
    assert!(sim.run(3).is_empty());
    assert_eq!(
        indices(&sim.run(4)),
        [0],
        "three heartbeats of listening, three of grace"
    );
}

#[test]
fn a_crash_is_answered_at_once_three_times_and_then_later_and_later() {
    let mut sim = Sim::new(1);
    sim.put("i", 0, HeartbeatState::Running);
    sim.run(5);
    let mut waits = Vec::new();
    for crash in 0..6 {
        sim.put(&format!("i{crash}"), 0, HeartbeatState::Crashed);
        sim.instances
            .retain(|instance| instance.state == HeartbeatState::Crashed);
        let from = sim.sent.len();
        let mut wait = 0;
        while sim.sent.len() == from {
            sim.run(1);
            wait += 1;
            assert!(wait < 1000, "never restarted");
        }
        waits.push(wait);
        // It runs for a moment, long enough for the sent start to stop blocking.
        sim.put(&format!("i{crash}"), 0, HeartbeatState::Running);
        sim.run(4);
    }
    assert_eq!(waits, [1, 1, 1, 31, 61, 121]);
}

#[test]
fn a_crash_notice_does_not_wait_for_the_heartbeat() {
    let mut sim = Sim::new(1);
    sim.put("i", 0, HeartbeatState::Running);
    sim.run(5);
    let exit = Exited {
        cc_partition: String::new(),
        droplet: "app".into(),
        version: "v".into(),
        instance: "i".into(),
        index: 0,
        reason: "CRASHED".into(),
        exit_status: 1,
        exit_description: String::new(),
        crash_timestamp: None,
    };
    assert!(sim.brain.learn(Event::Exited(exit), sim.now));
    assert_eq!(indices(&sim.brain.step(true, sim.now, 0)), [0]);
}

#[test]
fn a_start_is_not_repeated_while_it_is_outstanding() {
    let mut sim = Sim::new(1);
    sim.put("i", 0, HeartbeatState::Running);
    sim.run(5);
    sim.put("i", 0, HeartbeatState::Crashed);
    assert_eq!(sim.run(3).len(), 1);
}

#[test]
fn an_evacuation_notice_is_answered_without_a_second_look() {
    let mut sim = Sim::new(1);
    sim.put("i", 0, HeartbeatState::Running);
    sim.run(5);
    let exit = Exited {
        cc_partition: String::new(),
        droplet: "app".into(),
        version: "v".into(),
        instance: "i".into(),
        index: 0,
        reason: "DEA_EVACUATION".into(),
        exit_status: -1,
        exit_description: String::new(),
        crash_timestamp: None,
    };
    sim.brain.learn(Event::Exited(exit), sim.now);
    assert!(
        matches!(sim.run(1).as_slice(), [Outgoing::Start(start)] if start.reason == StartReason::EvacuationNotice)
    );
    sim.put("i", 0, HeartbeatState::Evacuating);
    assert!(sim.run(1).is_empty(), "already on its way");
    sim.put("j", 0, HeartbeatState::Running);
    assert!(
        matches!(sim.run(1).as_slice(), [Outgoing::Stop(stop, true)] if stop.reason == StopReason::EvacuationComplete && stop.instance == "i")
    );
}

#[test]
fn scaling_down_stops_the_surplus() {
    let mut sim = Sim::new(2);
    sim.put("a", 0, HeartbeatState::Running);
    sim.put("b", 1, HeartbeatState::Running);
    sim.run(5);
    sim.wanted = Some(1);
    assert!(matches!(sim.run(1).as_slice(), [Outgoing::Stop(stop, false)] if stop.instance == "b"));
}

#[test]
fn acts_on_nothing_once_desired_state_is_old() {
    let mut sim = Sim::new(1);
    sim.put("i", 0, HeartbeatState::Running);
    sim.run(5);
    sim.wanted = None;
    sim.run(35);
    sim.put("i", 0, HeartbeatState::Crashed);
    assert!(sim.run(20).is_empty());
    sim.want(1);
    assert_eq!(sim.run(1).len(), 1);
}

#[test]
fn a_standby_sends_nothing_and_counts_crashes_like_the_speaker() {
    let mut speaker = Sim::new(1);
    speaker.put("i", 0, HeartbeatState::Running);
    speaker.run(5);
    let mut standby = speaker.brain.clone();
    speaker.put("i", 0, HeartbeatState::Crashed);
    let beat = Heartbeat {
        dea: "d".into(),
        droplets: speaker.instances.clone(),
    };
    for second in 1..10 {
        speaker.run(1);
        let now = speaker.now;
        standby.learn(Event::Heartbeat(beat.clone()), now);
        assert!(standby.step(false, now, 0).is_empty(), "second {second}");
    }
    let process = Process {
        guid: "app".into(),
        version: "v".into(),
    };
    let counts = [&speaker.brain, &standby].map(|brain| brain.crashes.of(&process, 0));
    assert!(counts[0] > 1 && counts[0] == counts[1], "{counts:?}");
    assert_eq!(standby.tally.start_crashed, 0);
}

#[test]
fn a_standby_takes_over_where_things_stand() {
    let mut sim = Sim::new(1);
    sim.put("i", 0, HeartbeatState::Running);
    sim.run(5);
    sim.put("i", 0, HeartbeatState::Crashed);
    for _ in 0..2 {
        sim.now += SECOND;
        sim.learn_heartbeat();
        assert!(sim.brain.step(false, sim.now, 0).is_empty());
    }
    // What the standby believed to be sent is sent once it no longer blocks: a grace period at most.
    let sent = sim.run(3);
    assert_eq!(indices(&sent), [0]);
}

#[test]
fn a_lost_dea_is_replaced_but_not_after_our_own_outage() {
    let mut sim = Sim::new(1);
    let elsewhere = Heartbeat {
        dea: "other".into(),
        droplets: vec![],
    };
    sim.put("i", 0, HeartbeatState::Running);
    sim.run(5);
    // Our own outage of a minute.
    sim.brain.learn(Event::BusDown, sim.now);
    sim.now += SECOND * 60;
    sim.want(1);
    sim.brain.learn(Event::BusUp, sim.now);
    assert!(sim.run(10).is_empty(), "nobody was lost");
    // Now the DEA is silent while another speaks.
    let mut waited = 0;
    while sim.sent.is_empty() {
        sim.now += SECOND;
        waited += 1;
        assert!(waited < 60, "never replaced");
        sim.brain
            .learn(Event::Heartbeat(elsewhere.clone()), sim.now);
        let sent = sim.brain.step(true, sim.now, 0);
        sim.sent.extend(sent);
    }
    assert_eq!(waited, 6, "three missed heartbeats and the grace period");
}
