//! What users and fate do to a world.

use super::super::dea::Dea;
use super::super::plan::{Fault, Operation};
use super::super::wire::{Due, Effect, Party};
use super::{Rates, World};

impl World {
    pub(super) fn operate(&mut self) {
        let delay = self.dice.between(self.beat, self.beat * 8);
        self.after(delay, Due::Operation);
        let apps: Vec<String> = self.controller.apps.keys().cloned().collect();
        // The API refuses changes while the controller is cut off.
        if !self.is_online(Party::Controller) {
            return;
        }
        let operation = Operation::draw(&mut self.dice, self.least_scale);
        if apps.is_empty() || (matches!(operation, Operation::Push(_)) && apps.len() > 4) {
            return;
        }
        let app = self.dice.pick(&apps);
        self.note(format!("user: {operation:?} {app}"));
        self.happened.1 += 1;
        if matches!(
            operation,
            Operation::Scale(_) | Operation::Stop | Operation::Delete
        ) {
            self.served.remove(&app);
        }
        let effects = self.effects_of(operation, &app);
        self.carry_out(Party::Controller, effects);
    }

    fn effects_of(&mut self, operation: Operation, app: &str) -> Vec<Effect> {
        let (now, dice, controller) = (self.clock(), &mut self.dice, &mut self.controller);
        match operation {
            Operation::Push(instances) => controller.push(instances, dice),
            Operation::Scale(instances) => controller.scale(app, instances, now, dice),
            Operation::Stop => controller.stop(app, false),
            Operation::Delete => controller.stop(app, true),
            Operation::Start => controller.start(app, now, dice),
            Operation::Resize => controller.resize(app),
            Operation::Restage => controller.restage(app, dice),
            Operation::Route => controller.routes(app, 4),
        }
    }

    pub(super) fn strike(&mut self) {
        let delay = self.dice.between(self.beat / 2, self.beat * 8);
        self.after(delay, Due::Fault);
        let (fault, number) = (
            self.dice.pick(&self.mode.faults()),
            self.dice.between(0, self.deas.len() as u64 - 1) as usize,
        );
        self.note(format!("fault: {fault:?} (DEA {number}, where it matters)"));
        self.happened.0 += 1;
        match fault {
            Fault::KillDea => self.on_dea(number, Dea::die),
            Fault::LoseHost => self.lose_host(number),
            Fault::Evacuate => self.evacuate(number),
            Fault::DeaOffline => self.cut(Party::Dea(number)),
            Fault::HealthOffline => self.cut(Party::Health),
            Fault::HealthRestart => self.health.restart(self.clock()),
            Fault::ControllerOffline => self.cut(Party::Controller),
            Fault::ControllerRestart => self.controller.restart(),
            Fault::Crash => self.crash(number),
            Fault::BadBus => {
                let mut upto = |most| self.dice.between(0, most);
                self.rates = Rates {
                    lost: upto(30),
                    late: upto(30),
                    twice: upto(30),
                    ..self.rates
                };
            }
            Fault::TornFetch => self.rates.torn = self.dice.between(0, 90),
        }
    }

    fn on_dea(&mut self, number: usize, act: impl FnOnce(&mut Dea)) {
        if self.deas[number].alive {
            act(&mut self.deas[number]);
            self.mend_later(Party::Dea(number));
        }
    }

    fn lose_host(&mut self, number: usize) {
        if !self.deas[number].alive {
            return;
        }
        if self.deas.len() > 2 && self.buried.is_none() && self.dice.chance(30) {
            self.buried = Some(number);
            self.note(format!("DEA {number} never comes back"));
        }
        self.on_dea(number, Dea::lose);
    }

    fn evacuate(&mut self, number: usize) {
        if self.deas[number].alive && self.deas[number].open {
            let effects = self.deas[number].evacuate();
            self.carry_out(Party::Dea(number), effects);
            self.mend_later(Party::Dea(number));
        }
    }

    fn crash(&mut self, number: usize) {
        let live: Vec<String> = self.deas[number]
            .instances
            .iter()
            .filter(|i| i.is_live())
            .map(|i| i.id.clone())
            .collect();
        if !live.is_empty() {
            let id = self.dice.pick(&live);
            let effects = self.deas[number].crash(&id);
            self.carry_out(Party::Dea(number), effects);
        }
    }

    fn cut(&mut self, party: Party) {
        if !self.cut_off.contains(&party) {
            self.cut_off.push(party);
            if party == Party::Health {
                self.health.connect(false, self.clock());
            }
            self.mend_later(party);
        }
    }

    fn mend_later(&mut self, party: Party) {
        let delay = self.dice.between(self.beat / 2, self.beat * 15);
        self.after(delay, Due::Heal(party));
    }

    pub(super) fn mend(&mut self, party: Party) {
        let was_cut = self.cut_off.contains(&party);
        self.cut_off.retain(|other| *other != party);
        match party {
            Party::Health if was_cut => self.health.connect(true, self.clock()),
            Party::Dea(number) if self.buried != Some(number) => self.revive(number),
            _ => {}
        }
    }

    fn revive(&mut self, number: usize) {
        let dea = &mut self.deas[number];
        if dea.alive && !dea.open {
            dea.lose();
        }
        if !dea.alive {
            let effects = dea.resume(&mut self.dice);
            self.note(format!("DEA {number} is back"));
            self.carry_out(Party::Dea(number), effects);
        }
    }
}
