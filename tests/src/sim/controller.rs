//! The controller: the product's `Live`, `Pool` and `choose_dea`; what it makes of a
//! change (`runner`), and which wishes it refuses (`health`), mirrored.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use bus::dea::{Stop, Update};
use bus::health;
use bus::times::Times;
use cloud_controller::live::Live;
use cloud_controller::placement::{Need, choose_dea};
use cloud_controller::pools::Pool;
use health_manager::desired::Row;

use super::dea::MEMORY;
use super::dice::Dice;
use super::flaw::Flaw;
use super::wire::{Due, Effect, Place, Wire};

/// A row of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Guid, also of its one process.
    pub guid: String,
    /// Version.
    pub version: String,
    /// Instances wanted.
    pub instances: u32,
    /// STARTED.
    pub started: bool,
    /// STAGED, or else PENDING.
    pub staged: bool,
    /// The last staging task; an earlier one's end means nothing.
    pub task: u32,
}

/// The controller and its database.
#[derive(Debug)]
pub struct Controller {
    /// The database, which survives restarts.
    pub apps: BTreeMap<String, App>,
    live: Live,
    pool: Pool,
    times: Times,
    versions: u32,
    flaw: Option<Flaw>,
}

impl Controller {
    /// With an empty database.
    pub fn new(times: Times, flaw: Option<Flaw>) -> Self {
        let (live, pool) = memory(&times);
        Self {
            apps: BTreeMap::new(),
            live,
            pool,
            times,
            versions: 0,
            flaw,
        }
    }

    /// Everything but the database is forgotten.
    pub fn restart(&mut self) {
        (self.live, self.pool) = memory(&self.times);
    }

    /// What the health manager reads.
    pub fn bulk(&self) -> Vec<Row> {
        let row = |app: &App| Row {
            id: app.guid.clone(),
            version: app.version.clone(),
            instances: app.instances,
            state: if app.started { "STARTED" } else { "STOPPED" }.into(),
            package_state: if app.staged { "STAGED" } else { "PENDING" }.into(),
        };
        self.apps.values().map(row).collect()
    }

    fn new_version(&mut self) -> String {
        self.versions += 1;
        format!("v{}", self.versions)
    }

    /// A new app is pushed.
    pub fn push(&mut self, instances: u32, dice: &mut Dice) -> Vec<Effect> {
        let version = self.new_version();
        let guid = format!("app-{version}");
        self.apps.insert(
            guid.clone(),
            App {
                guid: guid.clone(),
                version,
                instances,
                started: true,
                staged: false,
                task: 0,
            },
        );
        self.stage(&guid, dice)
    }

    /// New bits for an app that runs: a new version, staged anew.
    pub fn restage(&mut self, guid: &str, dice: &mut Dice) -> Vec<Effect> {
        let version = self.new_version();
        let Some(app) = self.apps.get_mut(guid) else {
            return Vec::new();
        };
        (app.version, app.staged, app.started) = (version, false, true);
        self.stage(guid, dice)
    }

    fn stage(&mut self, guid: &str, dice: &mut Dice) -> Vec<Effect> {
        let Some(app) = self.apps.get_mut(guid) else {
            return Vec::new();
        };
        app.task += 1;
        vec![Effect::After(
            dice.between(20, 300),
            Due::Staged(guid.to_owned(), app.task),
        )]
    }

    /// A staging is complete. What changed meanwhile, the version too, does not make it void.
    pub fn staged(&mut self, guid: &str, task: u32, now: Instant, dice: &mut Dice) -> Vec<Effect> {
        match self.apps.get_mut(guid).filter(|app| app.task == task) {
            Some(app) => app.staged = true,
            None => return Vec::new(),
        }
        self.start_all(guid, now, dice)
    }

    /// A new version of what runs (a change of memory): told to nobody, the health manager sees to it.
    pub fn resize(&mut self, guid: &str) -> Vec<Effect> {
        let version = self.new_version();
        let Some(app) = self.apps.get_mut(guid) else {
            return Vec::new();
        };
        if app.started {
            app.version = version;
        }
        match self.flaw {
            Some(Flaw::OldVersionStoppedAtOnce) => vec![Effect::Publish(Wire::Stop(stop(guid)))],
            _ => Vec::new(),
        }
    }

    /// Scales.
    pub fn scale(&mut self, guid: &str, wants: u32, now: Instant, dice: &mut Dice) -> Vec<Effect> {
        let Some(app) = self.apps.get_mut(guid) else {
            return Vec::new();
        };
        let had = std::mem::replace(&mut app.instances, wants);
        let app = app.clone();
        if !app.started || !app.staged {
            return Vec::new();
        }
        if wants > had {
            return self.start_range(&app, had..wants, now, dice);
        }
        let indices: Vec<u32> = match self.flaw {
            Some(Flaw::ScaleDownStopsLowest) => (0..had - wants).collect(),
            _ => (wants..had).collect(),
        };
        let sweeping = self.flaw == Some(Flaw::EmptyScaleStopsAll);
        match indices.is_empty() {
            true if sweeping => vec![Effect::Publish(Wire::Stop(stop(guid)))],
            true => Vec::new(),
            false => {
                let message = Stop {
                    version: Some(app.version),
                    indices: Some(indices),
                    ..stop(guid)
                };
                vec![Effect::Publish(Wire::Stop(message))]
            }
        }
    }

    /// Starts a stopped app, as a new version.
    pub fn start(&mut self, guid: &str, now: Instant, dice: &mut Dice) -> Vec<Effect> {
        let version = self.new_version();
        match self.apps.get_mut(guid).filter(|app| !app.started) {
            Some(app) => (app.started, app.version) = (true, version),
            None => return Vec::new(),
        }
        if self.apps[guid].staged {
            self.start_all(guid, now, dice)
        } else {
            self.stage(guid, dice)
        }
    }

    /// Stops an app, or deletes it.
    pub fn stop(&mut self, guid: &str, delete: bool) -> Vec<Effect> {
        if delete {
            self.apps.remove(guid);
        } else if let Some(app) = self.apps.get_mut(guid) {
            app.started = false;
        }
        self.live.forget(guid);
        vec![Effect::Publish(Wire::Stop(stop(guid)))]
    }

    /// Tells the routes, and again after a heartbeat.
    pub fn routes(&self, guid: &str, left: u32) -> Vec<Effect> {
        let again = (left > 0).then(|| Effect::After(100, Due::Routes(guid.to_owned(), left - 1)));
        let running = self.apps.get(guid).filter(|app| app.started && app.staged);
        let version =
            |app: &App| (self.flaw == Some(Flaw::UpdateRelabels)).then(|| app.version.clone());
        let now = running.map(|app| {
            let uris = vec!["app.example".to_owned()];
            Effect::Publish(Wire::Update(Update {
                droplet: app.guid.clone(),
                uris,
                version: version(app),
            }))
        });
        now.into_iter().chain(again).collect()
    }

    fn start_all(&mut self, guid: &str, now: Instant, dice: &mut Dice) -> Vec<Effect> {
        let app = self.apps[guid].clone();
        let all = 0..app.instances;
        if app.started {
            self.start_range(&app, all, now, dice)
        } else {
            Vec::new()
        }
    }

    fn start_range(
        &mut self,
        app: &App,
        indices: Range<u32>,
        now: Instant,
        dice: &mut Dice,
    ) -> Vec<Effect> {
        indices
            .filter_map(|index| self.start_index(app, index, now, dice))
            .collect()
    }

    fn start_index(
        &mut self,
        app: &App,
        index: u32,
        now: Instant,
        dice: &mut Dice,
    ) -> Option<Effect> {
        let patience = match self.flaw {
            Some(Flaw::ClaimNeverExpires) => Duration::from_secs(1_000_000),
            _ => patience(&self.times),
        };
        if !self
            .live
            .claim_start(&app.guid, &app.version, index, now, now + patience)
        {
            return None;
        }
        let need = Need {
            process: &app.guid,
            stack: "host",
            memory: MEMORY,
            disk: 0,
        };
        let Ok(dea) =
            choose_dea(&self.pool.live(now), need, dice.roll()).map(|offer| offer.id.clone())
        else {
            self.live.release_start(&app.guid, &app.version, index);
            return None;
        };
        self.pool.reserve(&dea, MEMORY, Some(&app.guid));
        let number = dea
            .trim_start_matches("dea-")
            .parse()
            .expect("ids of the simulator end in a number");
        let place = Place {
            process: app.guid.clone(),
            version: app.version.clone(),
            index,
        };
        Some(Effect::Publish(Wire::Start(number, place)))
    }

    /// Reads the bus.
    pub fn hear(&mut self, wire: &Wire, now: Instant, dice: &mut Dice) -> Vec<Effect> {
        match wire {
            Wire::Heartbeat(beat) => {
                let apps: Vec<String> = beat.droplets.iter().map(|i| i.droplet.clone()).collect();
                let is_new = self.live.heartbeat(beat.clone(), now);
                return if is_new {
                    apps.iter().flat_map(|app| self.routes(app, 0)).collect()
                } else {
                    Vec::new()
                };
            }
            Wire::Exited(exit) => self.live.exited(exit, now),
            Wire::Advertise(offer) => self.pool.advertise(offer.clone(), now),
            Wire::Wanted(wish) => return self.wanted(wish, now, dice).into_iter().collect(),
            Wire::Unwanted(wish) => return self.unwanted(wish, now).into_iter().collect(),
            _ => {}
        }
        Vec::new()
    }

    fn wanted(&mut self, wish: &health::Start, now: Instant, dice: &mut Dice) -> Option<Effect> {
        let app = self.apps.get(&wish.droplet)?.clone();
        let allowed = app.version == wish.version
            && wish.instance_index < app.instances
            && app.staged
            && app.started;
        if allowed {
            self.start_index(&app, wish.instance_index, now, dice)
        } else {
            None
        }
    }

    fn unwanted(&self, wish: &health::Stop, now: Instant) -> Option<Effect> {
        let indices = Some(vec![wish.instance_index]);
        let instances = Some(vec![wish.instance_guid.clone()]);
        let message = match self.flaw {
            Some(Flaw::StopIgnoresVersion) => Stop {
                indices,
                ..stop(&wish.droplet)
            },
            Some(Flaw::DuplicatesAllStopped) if wish.is_duplicate => Stop {
                indices,
                ..stop(&wish.droplet)
            },
            _ => Stop {
                instances,
                ..stop(&wish.droplet)
            },
        };
        self.allows_stop(wish, now)
            .then_some(Effect::Publish(Wire::Stop(message)))
    }

    fn allows_stop(&self, wish: &health::Stop, now: Instant) -> bool {
        let Some(app) = self.apps.get(&wish.droplet) else {
            return true;
        };
        if !app.started || wish.is_duplicate {
            return true;
        }
        if app.version != wish.version {
            let serving = self.live.running_instances(&app.guid, &app.version, now) > 0;
            return (serving || app.instances == 0)
                && self.flaw != Some(Flaw::OldVersionNeverStopped);
        }
        wish.instance_index >= app.instances
    }
}

/// How long a start may take to show up in a heartbeat before it may be sent again.
pub fn patience(times: &Times) -> Duration {
    Duration::from_secs(5).max(times.heartbeat * 5)
}

fn memory(times: &Times) -> (Live, Pool) {
    let ttl = times.heartbeat * times.hm_ttl_heartbeats;
    (Live::new(ttl), Pool::new(times.advertise_ttl))
}

fn stop(process: &str) -> Stop {
    Stop {
        droplet: process.to_owned(),
        ..Stop::default()
    }
}
