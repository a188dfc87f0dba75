//! A DEA without containers: the product's state table, reactions and stop
//! filter; admission (`inbox::accept`) and resumption (`resume`) mirrored.

use bus::dea::{Heartbeat, HeartbeatState, InstanceHeartbeat, Stop, Update};
use bus::droplet::Exited;
use cloud_controller::placement::Offer;
use dea::find::matches;
use dea::instance::reactions::{Reaction, reactions};
use dea::instance::state::State;

use super::dice::Dice;
use super::flaw::Flaw;
use super::wire::{Due, Effect, Place, Wire};

/// MB of every DEA; one instance takes [`MEMORY`].
pub const CAPACITY: i64 = 4096;
/// MB of every instance.
pub const MEMORY: i64 = 64;

/// One instance.
#[derive(Debug, Clone)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// What it is called now.
    pub place: Place,
    /// The version whose code it runs.
    pub born: String,
    /// Its state in the DEA's books.
    pub state: State,
    /// Its process has ended while no DEA was looking.
    pub ended_unseen: bool,
    /// It runs, and its DEA knows nothing of it any more.
    pub forgotten: bool,
}

impl Instance {
    /// STARTING or RUNNING, in truth.
    pub fn is_live(&self) -> bool {
        matches!(self.state, State::Starting | State::Running) && !self.ended_unseen
    }

    /// It answers requests.
    pub fn serves(&self) -> bool {
        matches!(self.state, State::Running | State::Evacuating) && !self.ended_unseen
    }
}

/// One DEA and the host it is on.
#[derive(Debug)]
pub struct Dea {
    /// Number, also in its id.
    pub number: usize,
    /// The DEA's process is there.
    pub alive: bool,
    /// Takes work.
    pub open: bool,
    /// Which life of the process this is: timers of an earlier one mean nothing.
    pub life: u32,
    /// Instances on this host.
    pub instances: Vec<Instance>,
    born: u32,
    flaw: Option<Flaw>,
}

impl Dea {
    /// An empty one.
    pub fn new(number: usize, flaw: Option<Flaw>) -> Self {
        Self {
            number,
            alive: true,
            open: true,
            life: 0,
            instances: Vec::new(),
            born: 0,
            flaw,
        }
    }

    /// Its id on the bus.
    pub fn id(&self) -> String {
        format!("dea-{}", self.number)
    }

    /// The complete list, as on the wire.
    pub fn heartbeat(&self) -> Effect {
        let beat = |i: &Instance| {
            let state = match i.state.in_heartbeat()? {
                HeartbeatState::Crashed if self.flaw == Some(Flaw::CrashReportedAsRunning) => {
                    HeartbeatState::Running
                }
                state => state,
            };
            let Place {
                process,
                version,
                index,
            } = i.place.clone();
            let (instance, cc_partition) = (i.id.clone(), String::new());
            Some(InstanceHeartbeat {
                cc_partition,
                droplet: process,
                version,
                instance,
                index,
                state,
                state_timestamp: 0.0,
            })
        };
        let droplets = self
            .instances
            .iter()
            .filter(|i| !i.forgotten)
            .filter_map(beat)
            .collect();
        Effect::Publish(Wire::Heartbeat(Heartbeat {
            dea: self.id(),
            droplets,
        }))
    }

    /// What is left to promise; nothing when it takes no work.
    pub fn advertise(&self) -> Option<Effect> {
        let held = self
            .instances
            .iter()
            .filter(|i| i.state.holds_memory())
            .count() as i64;
        let mut offer = Offer {
            id: self.id(),
            stacks: vec!["host".into()],
            available_memory: CAPACITY - held * MEMORY,
            available_disk: None,
            app_counts: Default::default(),
            zone: "default".into(),
        };
        for instance in &self.instances {
            *offer
                .app_counts
                .entry(instance.place.process.clone())
                .or_default() += 1;
        }
        self.open.then_some(Effect::Publish(Wire::Advertise(offer)))
    }

    /// A start message.
    pub fn start(&mut self, place: Place, dice: &mut Dice) -> Vec<Effect> {
        let here = self
            .instances
            .iter()
            .any(|i| i.is_live() && !i.forgotten && i.place == place);
        let repeated = here && self.flaw != Some(Flaw::StartsAreNotIdempotent);
        if !self.open || repeated {
            return Vec::new();
        }
        self.born += 1;
        let id = format!("{}.{}", self.id(), self.born);
        let born = place.version.clone();
        self.instances.push(Instance {
            id: id.clone(),
            place,
            born,
            state: State::Born,
            ended_unseen: false,
            forgotten: false,
        });
        let mut effects = self.change(&id, State::Starting);
        effects.push(Effect::After(
            dice.between(10, 400),
            Due::Ready(self.number, self.life, id),
        ));
        effects
    }

    /// A stop message: the ids it means, all on their way to STOPPING.
    pub fn stop(&mut self, filter: &Stop, dice: &mut Dice) -> (Vec<String>, Vec<Effect>) {
        let hit = |i: &&Instance| {
            !i.forgotten
                && i.state.is_stoppable()
                && matches(
                    filter,
                    &i.place.process,
                    &i.place.version,
                    &i.id,
                    i.place.index,
                    i.state,
                )
        };
        let ids: Vec<String> = self
            .instances
            .iter()
            .filter(hit)
            .map(|i| i.id.clone())
            .collect();
        let effects = ids.iter().flat_map(|id| self.end(id, dice)).collect();
        (ids, effects)
    }

    fn end(&mut self, id: &str, dice: &mut Dice) -> Vec<Effect> {
        let mut effects = self.change(id, State::Stopping);
        effects.push(Effect::After(
            dice.between(1, 150),
            Due::Ended(self.number, self.life, id.to_owned()),
        ));
        effects
    }

    /// `dea.update`: what counts here is only whether it touches the version.
    pub fn update(&mut self, message: &Update) {
        for instance in self
            .instances
            .iter_mut()
            .filter(|i| i.place.process == message.droplet && i.serves())
        {
            if let Some(version) = &message.version {
                instance.place.version.clone_from(version);
            }
        }
    }

    /// An instance enters a state, if the table allows it; what the product's reactions say follows.
    pub fn change(&mut self, id: &str, to: State) -> Vec<Effect> {
        let Some(at) = self.instances.iter().position(|i| i.id == id) else {
            return Vec::new();
        };
        let from = self.instances[at].state;
        if !from.may_become(to) {
            return Vec::new();
        }
        self.instances[at].state = to;
        let instance = self.instances[at].clone();
        let mut effects = Vec::new();
        for reaction in reactions(from, to) {
            match reaction {
                Reaction::PublishCrash => effects.push(exited(&instance, "CRASHED")),
                Reaction::PublishEvacuation => effects.push(exited(&instance, "DEA_EVACUATION")),
                Reaction::Forget => self.instances.retain(|i| i.id != instance.id),
                Reaction::Heartbeat => effects.push(self.heartbeat()),
                Reaction::Advertise => effects.extend(self.advertise()),
                _ => {}
            }
        }
        effects
    }

    /// An instance ends by itself, seen by the DEA or not.
    pub fn crash(&mut self, id: &str) -> Vec<Effect> {
        if self.alive {
            return self.change(id, State::Crashed);
        }
        self.instances
            .iter_mut()
            .filter(|i| i.id == id)
            .for_each(|i| i.ended_unseen = true);
        Vec::new()
    }

    /// The DEA's process dies; containers run on.
    pub fn die(&mut self) {
        (self.alive, self.open) = (false, false);
    }

    /// The whole host is lost.
    pub fn lose(&mut self) {
        self.die();
        self.instances.clear();
    }

    /// Everything that runs is to be replaced elsewhere.
    pub fn evacuate(&mut self) -> Vec<Effect> {
        self.open = false;
        let ids: Vec<String> = self
            .instances
            .iter()
            .filter(|i| i.is_live())
            .map(|i| i.id.clone())
            .collect();
        ids.iter()
            .flat_map(|id| self.change(id, State::Evacuating))
            .collect()
    }

    /// The DEA's process is back and looks at what its snapshot says.
    pub fn resume(&mut self, dice: &mut Dice) -> Vec<Effect> {
        (self.alive, self.open) = (true, true);
        self.life += 1;
        if self.flaw == Some(Flaw::ResumeForgets) {
            // They run on, and nobody knows: kept for the rules to see, out of every message's reach.
            self.instances.retain(Instance::serves);
            self.instances.iter_mut().for_each(|i| i.forgotten = true);
            return Vec::new();
        }
        let found: Vec<(String, State)> = self
            .instances
            .iter()
            .map(|i| (i.id.clone(), i.state))
            .collect();
        found
            .into_iter()
            .flat_map(|(id, was)| self.resume_one(&id, was, dice))
            .collect()
    }

    fn resume_one(&mut self, id: &str, was: State, dice: &mut Dice) -> Vec<Effect> {
        let Some(instance) = self.instances.iter_mut().find(|i| i.id == id) else {
            return Vec::new();
        };
        let gone = std::mem::take(&mut instance.ended_unseen);
        match was {
            State::Crashed => Vec::new(),
            State::Stopping if self.flaw == Some(Flaw::ResumeForgetsStops) => Vec::new(),
            State::Stopping => self.end(id, dice),
            _ => {
                instance.state = State::Resuming;
                let adopted = matches!(was, State::Running | State::Evacuating) && !gone;
                self.change(
                    id,
                    if adopted {
                        State::Running
                    } else {
                        State::Crashed
                    },
                )
            }
        }
    }
}

fn exited(instance: &Instance, reason: &str) -> Effect {
    Effect::Publish(Wire::Exited(Exited {
        cc_partition: String::new(),
        droplet: instance.place.process.clone(),
        version: instance.place.version.clone(),
        instance: instance.id.clone(),
        index: instance.place.index,
        reason: reason.into(),
        exit_status: 1,
        exit_description: String::new(),
        crash_timestamp: None,
    }))
}
