//! What befalls a run: which faults and operations, drawn from its seed.

use super::dice::Dice;

/// What kind of trouble a run has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Every fault and every operation.
    Everything,
    /// Every operation, and one or two kinds of faults only: rare faults are not drowned by frequent ones.
    Few(Fault, Fault),
    /// No operations; only the health manager's own connection, process and fetches fail.
    OwnOutage,
    /// Operations and no fault.
    Calm,
}

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A DEA's process dies and comes back; its containers run on.
    KillDea,
    /// A host is lost with everything on it, and comes back empty, or never.
    LoseHost,
    /// A DEA is evacuated and comes back empty.
    Evacuate,
    /// A DEA is cut off from the bus for a while.
    DeaOffline,
    /// The health manager is cut off from the bus for a while.
    HealthOffline,
    /// The health manager is replaced by a fresh process.
    HealthRestart,
    /// The controller is cut off from the bus for a while.
    ControllerOffline,
    /// The controller restarts; its database stays.
    ControllerRestart,
    /// An instance ends by itself, and some never come up.
    Crash,
    /// Messages are lost, late by up to three heartbeats, or come twice.
    BadBus,
    /// Fetches of desired state break off.
    TornFetch,
}

/// All of them.
pub const FAULTS: [Fault; 11] = [
    Fault::KillDea,
    Fault::LoseHost,
    Fault::Evacuate,
    Fault::DeaOffline,
    Fault::HealthOffline,
    Fault::HealthRestart,
    Fault::ControllerOffline,
    Fault::ControllerRestart,
    Fault::Crash,
    Fault::BadBus,
    Fault::TornFetch,
];

const OWN: [Fault; 3] = [Fault::HealthOffline, Fault::HealthRestart, Fault::TornFetch];

impl Mode {
    /// The mode of a seed.
    pub fn of(seed: u64, dice: &mut Dice) -> Self {
        match seed % 5 {
            0 | 1 => Mode::Everything,
            2 => Mode::Few(dice.pick(&FAULTS), dice.pick(&FAULTS)),
            3 => Mode::OwnOutage,
            _ => Mode::Calm,
        }
    }

    /// The faults that may happen.
    pub fn faults(self) -> Vec<Fault> {
        match self {
            Mode::Everything => FAULTS.to_vec(),
            Mode::Few(one, other) => vec![one, other],
            Mode::OwnOutage => OWN.to_vec(),
            Mode::Calm => Vec::new(),
        }
    }

    /// Whether users do anything.
    pub fn has_operations(self) -> bool {
        self != Mode::OwnOutage
    }

    /// Whether that may happen.
    pub fn has(self, fault: Fault) -> bool {
        self.faults().contains(&fault)
    }
}

/// Something a user does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A new app of so many instances.
    Push(u32),
    /// To so many instances.
    Scale(u32),
    /// Stop.
    Stop,
    /// Start.
    Start,
    /// Change the memory: a new version, nothing else.
    Resize,
    /// New bits.
    Restage,
    /// Map a route: told several times.
    Route,
    /// Delete.
    Delete,
}

impl Operation {
    /// One of them; the common ones more often. Nothing is scaled below `least`.
    pub fn draw(dice: &mut Dice, least: u32) -> Self {
        match dice.between(0, 19) {
            0 | 1 => Operation::Push(dice.between(1, 4) as u32),
            2..=6 => Operation::Scale(dice.between(u64::from(least), 5) as u32),
            7 | 8 => Operation::Stop,
            9..=11 => Operation::Start,
            12..=14 => Operation::Resize,
            15 | 16 => Operation::Restage,
            17 | 18 => Operation::Route,
            _ => Operation::Delete,
        }
    }
}
