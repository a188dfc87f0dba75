//! The clock, the bus and everybody on it; one run from a seed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use bus::times::{COMPAT, DEFAULT, Times};
use dea::instance::state::State;
use health_manager::params::Params;

use super::controller::Controller;
use super::dea::Dea;
use super::dice::Dice;
use super::flaw::Flaw;
use super::health::Health;
use super::plan::{Fault, Mode};
use super::wire::{Due, Effect, Party, Wire, hundredths};
use super::{Ms, rules};

mod trouble;

/// Events shown with a failure.
const HISTORY: usize = 60;
/// Heartbeats of trouble.
const TROUBLE: u32 = 60;
/// What a message takes on a good bus.
const TRANSIT: Ms = 5;

/// How a run went.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// Heartbeats from the last fault to the goal.
    pub converged_after: u32,
    /// The most it may have taken.
    pub bound: u32,
    /// Faults and operations that happened.
    pub happened: (u32, u32),
}

/// A broken rule.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The seed to run again.
    pub seed: u64,
    /// The rule of [`rules`].
    pub rule: &'static str,
    /// What was seen.
    pub detail: String,
    /// The last events, oldest first.
    pub history: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}: rule \"{}\" is broken: {}",
            self.seed, self.rule, self.detail
        )?;
        writeln!(
            f,
            "the last events (time in heartbeats):\n{}",
            self.history.join("\n")
        )
    }
}

/// Percentages of what the bus and the bulk API do wrong at the moment.
#[derive(Debug, Clone, Copy, Default)]
struct Rates {
    lost: u64,
    late: u64,
    twice: u64,
    torn: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    WarmUp,
    Trouble,
    Last { since: Ms },
}

struct World {
    seed: u64,
    mode: Mode,
    phase: Phase,
    now: Ms,
    base: Instant,
    times: Times,
    beat: Ms,
    queue: BTreeMap<(Ms, u64), Due>,
    sequence: u64,
    dice: Dice,
    rates: Rates,
    health: Health,
    controller: Controller,
    deas: Vec<Dea>,
    cut_off: Vec<Party>,
    buried: Option<usize>,
    served: BTreeSet<String>,
    least_surplus: usize,
    quiet_asked: u64,
    history: VecDeque<String>,
    happened: (u32, u32),
    least_scale: u32,
    broken: Option<(&'static str, String)>,
}

/// What a run is tried with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Setup {
    /// A planted defect.
    pub flaw: Option<Flaw>,
    /// Apps are also scaled to no instance at all.
    pub scale_to_zero: bool,
}

/// Runs a seed.
///
/// # Errors
/// The first rule that is broken.
pub fn run(seed: u64, setup: Setup) -> Result<Report, Failure> {
    let mut world = World::new(seed, setup.flaw);
    world.least_scale = u32::from(!setup.scale_to_zero);
    let params = Params::from(&world.times);
    let count = world.deas.len() as u32;
    // A DEA that dies takes what was just starting down with it.
    let crashes = world.mode.has(Fault::Crash) || world.mode.has(Fault::KillDea);
    let (bound, quiet) = (
        rules::bound(&params, world.times.hm_fetch_heartbeats, count, crashes),
        rules::quiet(&params, count),
    );
    world.warm_up();
    world.settle(bound, quiet)?;
    world.quiet_asked = world.health.asked;
    world.trouble()?;
    world.heal();
    let converged_after = world.settle(bound, quiet)?;
    Ok(Report {
        converged_after,
        bound,
        happened: world.happened,
    })
}

impl World {
    fn new(seed: u64, flaw: Option<Flaw>) -> Self {
        let mut dice = Dice::new(seed);
        let mode = Mode::of(seed, &mut dice);
        let times = if dice.chance(50) { COMPAT } else { DEFAULT };
        let base = Instant::now();
        let deas = (0..dice.between(2, 4) as usize)
            .map(|n| Dea::new(n, flaw))
            .collect();
        Self {
            seed,
            mode,
            phase: Phase::WarmUp,
            now: 0,
            base,
            times,
            beat: times.heartbeat.as_millis() as Ms,
            queue: BTreeMap::new(),
            sequence: 0,
            dice,
            rates: Rates::default(),
            health: Health::new(Params::from(&times), base, flaw),
            controller: Controller::new(times, flaw),
            deas,
            cut_off: Vec::new(),
            buried: None,
            served: BTreeSet::new(),
            least_surplus: usize::MAX,
            quiet_asked: 0,
            history: VecDeque::new(),
            happened: (0, 0),
            least_scale: 1,
            broken: None,
        }
    }

    fn clock(&self) -> Instant {
        self.base + Duration::from_millis(self.now)
    }

    fn after(&mut self, delay: Ms, due: Due) {
        self.sequence += 1;
        self.queue.insert((self.now + delay, self.sequence), due);
    }

    fn note(&mut self, text: String) {
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history
            .push_back(format!("{:8.2} {text}", self.now as f64 / self.beat as f64));
    }

    fn warm_up(&mut self) {
        self.note(format!(
            "{:?}, {} DEAs, heartbeat {} ms",
            self.mode,
            self.deas.len(),
            self.beat
        ));
        for dea in 0..self.deas.len() {
            let delay = self.dice.between(1, self.beat);
            self.after(delay, Due::Beat(dea));
        }
        self.after(1, Due::Look);
        self.after(2, Due::Fetch);
        for _ in 0..self.dice.between(1, 3) {
            let instances = self.dice.between(1, 4) as u32;
            let effects = self.controller.push(instances, &mut self.dice);
            self.carry_out(Party::Controller, effects);
        }
    }

    fn trouble(&mut self) -> Result<(), Failure> {
        self.phase = Phase::Trouble;
        if self.mode.has_operations() {
            self.after(self.beat, Due::Operation);
        }
        if self.mode != Mode::Calm {
            self.after(self.beat, Due::Fault);
        }
        self.advance(TROUBLE)
    }

    /// Everything is mended; a host that was buried stays lost.
    fn heal(&mut self) {
        self.rates = Rates::default();
        self.queue
            .retain(|_, due| !matches!(due, Due::Operation | Due::Fault | Due::Heal(_)));
        for party in [Party::Health, Party::Controller]
            .into_iter()
            .chain((0..self.deas.len()).map(Party::Dea))
        {
            self.mend(party);
        }
        self.phase = Phase::Last { since: self.now };
        self.note("the last fault is over".into());
    }

    /// Lets time pass until the goal has held for `quiet` heartbeats. Returns when it was reached.
    fn settle(&mut self, bound: u32, quiet: u32) -> Result<u32, Failure> {
        let (mut held, mut passed) = (0, 0);
        loop {
            self.advance(1)?;
            passed += 1;
            match rules::exact(&self.controller.apps, &self.deas) {
                Ok(()) => held += 1,
                Err(_) if held > 0 && passed > bound => {
                    return Err(self.failure("converges", "the goal was left again".into()));
                }
                Err(why) if passed > bound => {
                    return Err(
                        self.failure("converges", format!("not after {passed} heartbeats: {why}"))
                    );
                }
                Err(_) => held = 0,
            }
            if held > quiet {
                return Ok(passed - held);
            }
        }
    }

    fn failure(&self, rule: &'static str, detail: String) -> Failure {
        Failure {
            seed: self.seed,
            rule,
            detail,
            history: self.history.iter().cloned().collect(),
        }
    }

    fn advance(&mut self, beats: u32) -> Result<(), Failure> {
        let until = self.now + Ms::from(beats) * self.beat;
        while let Some(entry) = self
            .queue
            .first_entry()
            .filter(|entry| entry.key().0 <= until)
        {
            let ((at, _), due) = entry.remove_entry();
            self.now = at;
            self.happen(due);
            self.check();
            if let Some((rule, detail)) = self.broken.take() {
                return Err(self.failure(rule, detail));
            }
        }
        self.now = until;
        Ok(())
    }

    fn is_online(&self, party: Party) -> bool {
        let alive = match party {
            Party::Dea(number) => self.deas[number].alive,
            _ => true,
        };
        alive && !self.cut_off.contains(&party)
    }

    fn carry_out(&mut self, from: Party, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::After(delay, due) => self.after(hundredths(self.beat, delay), due),
                Effect::Publish(wire) => self.publish(from, wire),
            }
        }
    }

    fn publish(&mut self, from: Party, wire: Wire) {
        let online = self.is_online(from);
        if wire.is_news() {
            self.note(format!(
                "{from:?}{} {wire:?}",
                if online { "" } else { " (cut off)" }
            ));
        }
        if !online {
            return;
        }
        for reader in wire.readers(self.deas.len()) {
            if self.dice.chance(self.rates.lost) {
                if wire.is_news() {
                    self.note(format!("  lost on its way to {reader:?}"));
                }
                continue;
            }
            let copies = if self.dice.chance(self.rates.twice) {
                2
            } else {
                1
            };
            for _ in 0..copies {
                let late = self.dice.chance(self.rates.late);
                let extra = if late {
                    self.dice.between(1, self.beat * Ms::from(rules::LATE))
                } else {
                    0
                };
                self.after(TRANSIT + extra, Due::Deliver(reader, wire.clone()));
            }
        }
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Deliver(party, wire) => self.deliver(party, wire),
            Due::Look => {
                self.after(self.beat / 2, Due::Look);
                let effects = self.health.look(self.clock());
                self.carry_out(Party::Health, effects);
            }
            Due::Beat(number) => self.beat_of(number),
            Due::Fetch => self.fetch(),
            Due::Ready(number, life, id) => self.ready(number, life, &id),
            Due::Ended(number, life, id) => {
                self.by_dea(number, life, |dea| dea.change(&id, State::Stopped))
            }
            Due::Staged(app, task) => {
                let effects = self
                    .controller
                    .staged(&app, task, self.clock(), &mut self.dice);
                self.carry_out(Party::Controller, effects);
            }
            Due::Routes(app, left) => {
                let effects = self.controller.routes(&app, left);
                self.carry_out(Party::Controller, effects);
            }
            Due::Operation => self.operate(),
            Due::Fault => self.strike(),
            Due::Heal(party) => self.mend(party),
        }
    }

    fn deliver(&mut self, party: Party, wire: Wire) {
        if !self.is_online(party) {
            return;
        }
        let now = self.clock();
        let effects = match party {
            Party::Health => self.health.hear(wire, now),
            Party::Controller => self.controller.hear(&wire, now, &mut self.dice),
            Party::Dea(number) => self.tell_dea(number, wire),
        };
        self.carry_out(party, effects);
    }

    fn tell_dea(&mut self, number: usize, wire: Wire) -> Vec<Effect> {
        match wire {
            Wire::Start(_, place) => self.deas[number].start(place, &mut self.dice),
            Wire::Stop(filter) => {
                let before = self.deas[number].instances.clone();
                let (ids, effects) = self.deas[number].stop(&filter, &mut self.dice);
                for victim in before.iter().filter(|i| ids.contains(&i.id)) {
                    self.check_stop(victim);
                }
                effects
            }
            Wire::Update(update) => {
                self.deas[number].update(&update);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    fn beat_of(&mut self, number: usize) {
        self.after(self.beat, Due::Beat(number));
        if self.deas[number].alive {
            let effects = vec![self.deas[number].heartbeat()]
                .into_iter()
                .chain(self.deas[number].advertise())
                .collect();
            self.carry_out(Party::Dea(number), effects);
        }
    }

    fn fetch(&mut self) {
        self.after(
            self.beat * Ms::from(self.times.hm_fetch_heartbeats),
            Due::Fetch,
        );
        let complete = !self.dice.chance(self.rates.torn);
        let effects = self
            .health
            .fetched(self.controller.bulk(), complete, self.clock());
        self.carry_out(Party::Health, effects);
    }

    /// A timer of a DEA's process: void when that process is gone.
    fn by_dea(&mut self, number: usize, life: u32, act: impl FnOnce(&mut Dea) -> Vec<Effect>) {
        let dea = &mut self.deas[number];
        if dea.alive && dea.life == life {
            let effects = act(dea);
            self.carry_out(Party::Dea(number), effects);
        }
    }

    fn ready(&mut self, number: usize, life: u32, id: &str) {
        let fails =
            self.phase == Phase::Trouble && self.mode.has(Fault::Crash) && self.dice.chance(20);
        self.by_dea(number, life, |dea| {
            dea.change(
                id,
                if fails {
                    State::Crashed
                } else {
                    State::Running
                },
            )
        });
    }

    /// So many heartbeats have passed since the last fault.
    fn has_healed_for(&self, beats: u32) -> bool {
        matches!(self.phase, Phase::Last { since } if self.now >= since + Ms::from(beats) * self.beat)
    }

    fn check_stop(&mut self, victim: &super::dea::Instance) {
        let params = Params::from(&self.times);
        let faultless = self.mode == Mode::Calm || self.has_healed_for(rules::picture(&params));
        if faultless && rules::is_last(victim, &self.controller.apps, &self.deas) {
            self.broken = Some(("last one stays", format!("{victim:?}")));
        }
    }

    fn check(&mut self) {
        if let Some(place) = self.deas.iter().find_map(rules::doubled) {
            self.broken = Some(("one per DEA", format!("{place:?}")));
        }
        if self.mode == Mode::OwnOutage
            && self.phase != Phase::WarmUp
            && self.health.asked > self.quiet_asked
        {
            self.broken = Some((
                "silent",
                "the health manager asked for something after its own outage".into(),
            ));
        }
        if self.mode == Mode::Calm {
            self.check_served();
        }
        if self.has_healed_for(rules::calm(&Params::from(&self.times))) {
            let surplus = rules::surplus(&self.controller.apps, &self.deas);
            if surplus > self.least_surplus {
                self.broken = Some((
                    "no new surplus",
                    format!("{surplus} after {}", self.least_surplus),
                ));
            }
            self.least_surplus = surplus;
        }
    }

    fn check_served(&mut self) {
        if let Some(app) = self
            .served
            .iter()
            .find(|app| !rules::is_served(app, &self.deas))
        {
            self.broken = Some(("serving", format!("nobody answers for {app}")));
        }
        if rules::exact(&self.controller.apps, &self.deas).is_ok() {
            let up = self
                .controller
                .apps
                .values()
                .filter(|app| app.started && app.instances > 0);
            self.served.extend(up.map(|app| app.guid.clone()));
        }
    }
}
