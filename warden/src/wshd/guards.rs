//! The walls around a job by name. The program `wshd` always builds all of
//! them; no file and no message can ask for less. The security battery has a
//! keeper of its own that leaves some out, to show that its attempts succeed
//! without them.

/// One wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Guard {
    /// Root of the container is nobody on the host.
    UserNamespace,
    /// Processes of the host have no number inside.
    PidNamespace,
    /// Own interfaces, ports and abstract sockets.
    NetNamespace,
    /// Own System V objects and message queues.
    IpcNamespace,
    /// The job's cgroup is the root of what it sees.
    CgroupNamespace,
    /// Entries of `/proc` that tell about the host are covered.
    HiddenProc,
    /// Entries of `/proc` that change the host are read-only.
    ReadOnlyProc,
    /// No file can be made in `/dev`.
    ReadOnlyDev,
    /// The host's `/usr` is read-only.
    ReadOnlyStack,
    /// Setuid files gain nothing.
    NoSuid,
    /// Device files on disk do not open.
    NoDev,
    /// A session keyring of its own.
    Keyring,
    /// No capability, also not within the user namespace.
    Capabilities,
    /// exec never gains a right.
    NoNewPrivs,
    /// The list of allowed system calls.
    Seccomp,
    /// Descriptors, memory and namespaces of init are closed to jobs.
    Undumpable,
    /// Limits on descriptors and core files.
    ResourceLimits,
}

impl Guard {
    /// All of them.
    pub const ALL: [Guard; 17] = [
        Guard::UserNamespace,
        Guard::PidNamespace,
        Guard::NetNamespace,
        Guard::IpcNamespace,
        Guard::CgroupNamespace,
        Guard::HiddenProc,
        Guard::ReadOnlyProc,
        Guard::ReadOnlyDev,
        Guard::ReadOnlyStack,
        Guard::NoSuid,
        Guard::NoDev,
        Guard::Keyring,
        Guard::Capabilities,
        Guard::NoNewPrivs,
        Guard::Seccomp,
        Guard::Undumpable,
        Guard::ResourceLimits,
    ];
}

/// The set of walls to build, kept as the ones that are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guards(u32);

impl Guards {
    /// Every wall.
    pub const ALL: Self = Self(0);

    /// All but these.
    pub fn without(missing: impl IntoIterator<Item = Guard>) -> Self {
        Self(missing.into_iter().fold(0, |bits, guard| bits | bit(guard)))
    }

    /// Whether this wall is built.
    pub(super) fn has(self, guard: Guard) -> bool {
        self.0 & bit(guard) == 0
    }

    /// `value` when this wall is built, zero otherwise.
    pub(super) fn flag<T: Default>(self, guard: Guard, value: T) -> T {
        if self.has(guard) { value } else { T::default() }
    }
}

fn bit(guard: Guard) -> u32 {
    1 << guard as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guard_has_a_bit_of_its_own() {
        for missing in Guard::ALL {
            let guards = Guards::without([missing]);
            for guard in Guard::ALL {
                assert_eq!(guards.has(guard), guard != missing, "{guard:?}");
            }
        }
    }
}
