//! What a change of state entails, as a table.

use super::state::State;
use State::{Crashed, Evacuating, Running, Stopped, Stopping};

/// Something to do after a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reaction {
    /// Routers learn the routes.
    Register,
    /// Routers forget the routes.
    Unregister,
    /// `droplet.exited` with reason CRASHED.
    PublishCrash,
    /// `droplet.exited` with reason DEA_EVACUATION.
    PublishEvacuation,
    /// The instance leaves the registry.
    Forget,
    /// The container is destroyed in the background.
    DestroyContainer,
    /// A heartbeat now.
    Heartbeat,
    /// The snapshot is written.
    Snapshot,
    /// Free resources are advertised now.
    Advertise,
}

use Reaction::*;

/// Reactions to `from` → `to`, in the order they are carried out. Routes go
/// first: no request may reach a container that is being taken down.
pub fn reactions(from: State, to: State) -> Vec<Reaction> {
    let mut list = Vec::new();
    if from.is_routed() && !to.is_routed() {
        list.push(Unregister);
    }
    list.extend_from_slice(match to {
        Running => &[Register, Heartbeat, Snapshot],
        Crashed => &[
            PublishCrash,
            Heartbeat,
            DestroyContainer,
            Snapshot,
            Advertise,
        ],
        Stopping => &[Snapshot],
        Stopped => &[Forget, DestroyContainer, Heartbeat, Snapshot, Advertise],
        Evacuating => &[PublishEvacuation, Heartbeat, Snapshot],
        _ => &[Snapshot],
    });
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::state::ALL;

    #[test]
    fn whoever_leaves_the_routed_states_is_unregistered_first() {
        for from in ALL.into_iter().filter(|s| s.is_routed()) {
            for to in ALL.into_iter().filter(|to| from.may_become(*to)) {
                let first = reactions(from, to).first().copied();
                assert_eq!(first == Some(Unregister), !to.is_routed(), "{from} -> {to}");
            }
        }
    }

    #[test]
    fn every_end_destroys_the_container_and_is_heartbeated() {
        for end in [Crashed, Stopped] {
            let list = reactions(Running, end);
            assert!(
                list.contains(&DestroyContainer) && list.contains(&Heartbeat),
                "{end}"
            );
        }
    }

    #[test]
    fn only_a_crash_is_published_as_a_crash() {
        for to in ALL {
            assert_eq!(
                reactions(Running, to).contains(&PublishCrash),
                to == Crashed
            );
        }
    }
}
