//! The states of an instance and the table of allowed changes.

use std::fmt;

use bus::dea::HeartbeatState;
use serde::{Deserialize, Serialize};

/// The original's state names, upper case on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Accepted, nothing done yet.
    Born,
    /// On its way.
    Starting,
    /// Serving.
    Running,
    /// Asked to end.
    Stopping,
    /// Ended as asked.
    Stopped,
    /// Ended by itself, or could not start.
    Crashed,
    /// Found in the snapshot, not yet looked at.
    Resuming,
    /// Serving until the health manager has replaced it.
    Evacuating,
}

use State::{Born, Crashed, Evacuating, Resuming, Running, Starting, Stopped, Stopping};

/// Every allowed change. Anything else is a defect of the caller and refused.
const TABLE: &[(State, &[State])] = &[
    (Born, &[Starting, Crashed, Stopped, Evacuating]),
    (Starting, &[Running, Crashed, Stopping, Evacuating]),
    (Running, &[Crashed, Stopping, Evacuating]),
    (Stopping, &[Stopping, Stopped, Crashed]),
    (Evacuating, &[Stopping, Crashed]),
    (Resuming, &[Running, Stopping, Crashed, Evacuating]),
    (Stopped, &[]),
    (Crashed, &[]),
];

/// Every state, in the order of a life.
pub const ALL: [State; 8] = [
    Born, Starting, Running, Stopping, Stopped, Crashed, Resuming, Evacuating,
];

impl State {
    /// Whether the table allows `self` → `next`.
    pub fn may_become(self, next: State) -> bool {
        TABLE
            .iter()
            .any(|(from, to)| *from == self && to.contains(&next))
    }

    /// Nothing follows any more.
    pub fn is_terminal(self) -> bool {
        matches!(self, Stopped | Crashed)
    }

    /// Whether its memory is promised.
    pub fn holds_memory(self) -> bool {
        matches!(self, Born | Starting | Running | Stopping)
    }

    /// Whether its disk is promised; a crash keeps its files.
    pub fn holds_disk(self) -> bool {
        self.holds_memory() || self == Crashed
    }

    /// Whether routers are told about it.
    pub fn is_routed(self) -> bool {
        matches!(self, Running | Evacuating)
    }

    /// Whether `dea.stop` acts on it.
    pub fn is_stoppable(self) -> bool {
        matches!(self, Born | Starting | Running | Evacuating | Stopping)
    }

    /// Whether it stands in the snapshot file.
    pub fn is_snapshotted(self) -> bool {
        matches!(self, Starting | Stopping | Running | Crashed | Evacuating)
    }

    /// The name used in heartbeats, for states that appear there.
    pub fn in_heartbeat(self) -> Option<HeartbeatState> {
        match self {
            Starting => Some(HeartbeatState::Starting),
            Running => Some(HeartbeatState::Running),
            Crashed => Some(HeartbeatState::Crashed),
            Evacuating => Some(HeartbeatState::Evacuating),
            _ => None,
        }
    }

    /// The state of that name, any case.
    pub fn parse(name: &str) -> Option<State> {
        ALL.into_iter()
            .find(|s| s.to_string().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Born => "BORN",
            Starting => "STARTING",
            Running => "RUNNING",
            Stopping => "STOPPING",
            Stopped => "STOPPED",
            Crashed => "CRASHED",
            Resuming => "RESUMING",
            Evacuating => "EVACUATING",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_a_row_and_terminal_states_lead_nowhere() {
        for state in ALL {
            assert!(
                TABLE.iter().any(|(from, _)| *from == state),
                "{state} has no row"
            );
            let leads_on = ALL.into_iter().any(|next| state.may_become(next));
            assert_eq!(leads_on, !state.is_terminal(), "{state}");
        }
    }

    #[test]
    fn nothing_comes_back_from_the_dead() {
        for dead in [Stopped, Crashed] {
            assert!(ALL.into_iter().all(|next| !dead.may_become(next)));
        }
    }

    #[test]
    fn a_born_instance_never_runs_without_starting() {
        assert!(!Born.may_become(Running));
        assert!(Born.may_become(Starting) && Starting.may_become(Running));
    }

    #[test]
    fn names_are_parsed_in_any_case() {
        assert_eq!(State::parse("running"), Some(Running));
        assert_eq!(State::parse("CRASHED"), Some(Crashed));
        assert_eq!(State::parse("flapping"), None);
    }

    #[test]
    fn evacuating_instances_serve_but_hold_no_memory() {
        assert!(Evacuating.is_routed() && !Evacuating.holds_memory());
        assert!(Crashed.holds_disk() && !Crashed.holds_memory());
    }
}
