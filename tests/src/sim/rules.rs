//! What must hold, exactly.
//!
//! | rule | when | claim |
//! |---|---|---|
//! | one per DEA | always | no DEA has two live instances of one (process, version, index) |
//! | silent | runs in which only the health manager itself fails, once settled | it asks for no start and no stop |
//! | serving | runs with operations and no fault | an app that was up and is not scaled, stopped or deleted always has an instance that answers, whatever its version changes |
//! | last one stays | runs without faults; in all runs from [`picture`] after the last fault | nobody stops the only RUNNING instance of a wanted index of the current version |
//! | no new surplus | once calm | live instances beyond one per wanted index never become more |
//! | converges | [`bound`] after the last fault | exactly 0…n-1 of the current version RUNNING once each, with that version's code, and nothing else STARTING, RUNNING, STOPPING or EVACUATING on any host; and so it stays for [`quiet`] |
//!
//! "Live" is STARTING or RUNNING in truth, whatever the DEA knows. "Calm" begins [`calm`] after the last fault.
//! During faults the number of live instances of one index is bounded only by the number of DEAs (the first
//! rule): with a bus that loses messages, a DEA that is cut off cannot be told from one that is gone.

use std::collections::BTreeMap;

use health_manager::params::Params;

use super::controller::App;
use super::dea::{Dea, Instance};
use super::wire::Place;
use dea::instance::state::State;

/// Messages are late by at most this, in heartbeats.
pub const LATE: u32 = 3;
/// Slowest start and slowest stop together, in heartbeats.
const START_STOP: u32 = 6;

/// In heartbeats after the last fault: every late message has come and the health manager has heard every DEA.
/// Sooner than [`calm`], because duplicates are stopped before that.
pub fn picture(params: &Params) -> u32 {
    LATE + 2 * params.ttl.div_duration_f64(params.heartbeat).ceil() as u32
}

/// In heartbeats: the tallest sum of waits that may come one after the other. Late messages; a fresh health
/// manager listens, then a DEA expires (2 ttl); a fetch; three rounds of a crash answered late, each after a full
/// back-off, a lost claim and a slow start; then staggered stops of duplicates, or of an older version. Without `crashes` no back-off counts.
pub fn bound(params: &Params, fetch: u32, deas: u32, crashes: bool) -> u32 {
    let beats = |time: std::time::Duration| time.div_duration_f64(params.heartbeat).ceil() as u32;
    let (ttl, grace) = (beats(params.ttl), beats(params.grace));
    let backoff = if crashes {
        beats(params.backoff_max)
    } else {
        0
    };
    let round = backoff + grace + 5 + START_STOP;
    LATE + 2 * ttl + fetch + 3 * round + grace * (5 + deas) + START_STOP
}

/// In heartbeats: how long the goal must hold without interruption.
pub fn quiet(params: &Params, deas: u32) -> u32 {
    let beats = |time: std::time::Duration| time.div_duration_f64(params.heartbeat).ceil() as u32;
    beats(params.ttl) + beats(params.grace) * (5 + deas)
}

/// In heartbeats after the last fault: every late message has come, every claim is over, everybody has been heard.
pub fn calm(params: &Params) -> u32 {
    let ttl = params.ttl.div_duration_f64(params.heartbeat).ceil() as u32;
    LATE + 2 * ttl + 5 + START_STOP
}

/// Two live instances of one place on one DEA.
pub fn doubled(dea: &Dea) -> Option<Place> {
    let live: Vec<&Instance> = dea
        .instances
        .iter()
        .filter(|i| i.is_live() && !i.forgotten)
        .collect();
    let again =
        |(at, one): (usize, &&Instance)| live[..at].iter().any(|other| other.place == one.place);
    live.iter()
        .enumerate()
        .find(|&(at, one)| again((at, one)))
        .map(|(_, one)| one.place.clone())
}

/// Whether some instance of the app answers.
pub fn is_served(app: &str, deas: &[Dea]) -> bool {
    deas.iter()
        .flat_map(|dea| &dea.instances)
        .any(|i| i.place.process == app && i.serves())
}

/// Whether a running instance is the only one of a wanted index of the current version.
pub fn is_last(instance: &Instance, apps: &BTreeMap<String, App>, deas: &[Dea]) -> bool {
    let place = &instance.place;
    let wanted = apps.get(&place.process).is_some_and(|app| {
        app.started && app.staged && app.version == instance.born && place.index < app.instances
    });
    let others =
        |other: &&Instance| other.serves() && other.id != instance.id && other.place == *place;
    wanted
        && instance.state == State::Running
        && !deas
            .iter()
            .flat_map(|dea| &dea.instances)
            .any(|i| others(&i))
}

/// Live instances beyond one per wanted index, of all apps.
pub fn surplus(apps: &BTreeMap<String, App>, deas: &[Dea]) -> usize {
    let mut live: BTreeMap<&Place, usize> = BTreeMap::new();
    for instance in deas
        .iter()
        .flat_map(|dea| &dea.instances)
        .filter(|i| i.is_live())
    {
        let app = apps.get(&instance.place.process);
        if app.is_some_and(|app| {
            app.version == instance.place.version && instance.place.index < app.instances
        }) {
            *live.entry(&instance.place).or_default() += 1;
        }
    }
    live.values().map(|count| count - 1).sum()
}

/// The goal of every run.
///
/// # Errors
/// What is missing or too much, in words.
pub fn exact(apps: &BTreeMap<String, App>, deas: &[Dea]) -> Result<(), String> {
    let mut missing: BTreeMap<(&str, u32), &str> = BTreeMap::new();
    for app in apps.values().filter(|app| app.started) {
        missing.extend(
            (0..app.instances).map(|index| ((app.guid.as_str(), index), app.version.as_str())),
        );
    }
    for instance in deas
        .iter()
        .flat_map(|dea| &dea.instances)
        .filter(|i| i.state != State::Crashed)
    {
        let place = &instance.place;
        let version = missing.remove(&(place.process.as_str(), place.index));
        if instance.state != State::Running
            || version != Some(instance.born.as_str())
            || instance.ended_unseen
        {
            return Err(format!("too much: {instance:?}"));
        }
    }
    match missing.first_key_value() {
        Some(((app, index), version)) => Err(format!("missing: {app} {version} index {index}")),
        None => Ok(()),
    }
}
