//! The simulated bus: what travels, to whom, and what handlers ask of the world.

use bus::dea::{Heartbeat, Stop, Update};
use bus::droplet::Exited;
use bus::health;
use cloud_controller::placement::Offer;

use super::Ms;

/// A message.
#[derive(Debug, Clone)]
pub enum Wire {
    /// `dea.heartbeat`.
    Heartbeat(Heartbeat),
    /// `dea.advertise`, as the controller reads it.
    Advertise(Offer),
    /// `droplet.exited`.
    Exited(Exited),
    /// `dea.<id>.start`: the number of the DEA and what to start.
    Start(usize, Place),
    /// `dea.stop`.
    Stop(Stop),
    /// `dea.update`.
    Update(Update),
    /// `hm9000.start`.
    Wanted(health::Start),
    /// `hm9000.stop`.
    Unwanted(health::Stop),
}

/// What a start message is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Process guid.
    pub process: String,
    /// Version.
    pub version: String,
    /// Index.
    pub index: u32,
}

/// Somebody on the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// The health manager.
    Health,
    /// The controller.
    Controller,
    /// A DEA by number.
    Dea(usize),
}

impl Wire {
    /// Who subscribes to it, on a platform of that many DEAs.
    pub fn readers(&self, deas: usize) -> Vec<Party> {
        match self {
            Wire::Heartbeat(_) | Wire::Exited(_) => vec![Party::Health, Party::Controller],
            Wire::Advertise(_) | Wire::Wanted(_) | Wire::Unwanted(_) => vec![Party::Controller],
            Wire::Start(dea, _) => vec![Party::Dea(*dea)],
            Wire::Stop(_) | Wire::Update(_) => (0..deas).map(Party::Dea).collect(),
        }
    }

    /// Whether it belongs into the history of a failure: periodic voices do not.
    pub fn is_news(&self) -> bool {
        !matches!(self, Wire::Heartbeat(_) | Wire::Advertise(_))
    }
}

/// What a handler asks of the world.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Say this on the bus.
    Publish(Wire),
    /// Do this after so many heartbeats, in hundredths.
    After(u64, Due),
}

/// Something that happens at a moment.
#[derive(Debug, Clone)]
pub enum Due {
    /// A message arrives.
    Deliver(Party, Wire),
    /// The health manager's regular look.
    Look,
    /// A DEA's regular heartbeat and advertisement.
    Beat(usize),
    /// The health manager reads desired state.
    Fetch,
    /// A starting instance is ready: DEA, life of the DEA process, instance id.
    Ready(usize, u32, String),
    /// A stopping instance has ended: DEA, life of the DEA process, instance id.
    Ended(usize, u32, String),
    /// A staging is complete: app, task.
    Staged(String, u32),
    /// Routes are told again: app, times left.
    Routes(String, u32),
    /// The next operation of a user.
    Operation,
    /// The next fault.
    Fault,
    /// A fault is over.
    Heal(Party),
}

/// Virtual time of a delay in hundredths of a heartbeat.
pub fn hundredths(heartbeat: Ms, count: u64) -> Ms {
    (heartbeat * count / 100).max(1)
}
