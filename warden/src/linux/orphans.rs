//! Which objects of a depot's tag belong to no container. Pure.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

/// Something of the depot that exists outside of its directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Thing {
    /// Control groups of a handle.
    Cgroup(String),
    /// A link of the host.
    Link(String),
    /// A mount in our own mount namespace (keepers have theirs).
    Mount(PathBuf),
    /// A loop device on a file of the depot.
    Loop {
        /// `/dev/loopN`.
        device: PathBuf,
        /// What it shows.
        file: PathBuf,
    },
    /// A keeper, by pid and the directory it was started for.
    Keeper {
        /// On the host.
        pid: i32,
        /// Its argument.
        dir: PathBuf,
    },
    /// A port of the packet filter.
    Port(u16),
    /// A container's entry into the rules.
    Egress {
        /// From this link …
        link: String,
        /// … and address …
        ip: Ipv4Addr,
        /// … through this chain.
        chain: String,
    },
    /// The chain of a rule set.
    Chain(String),
    /// Limits of a project of this depot.
    Project(u32),
}

/// What belongs to somebody.
#[derive(Debug, Clone, Default)]
pub(crate) struct Owned {
    /// Handles that have a directory.
    pub(crate) handles: BTreeSet<String>,
    /// Links of slots in use.
    pub(crate) links: BTreeSet<String>,
    /// Ports in use.
    pub(crate) ports: BTreeSet<u16>,
    /// Projects in use.
    pub(crate) projects: BTreeSet<u32>,
}

/// The things that belong to nobody, in an order in which they can be removed.
pub(crate) fn find(depot: &Path, seen: &[Thing], owned: &Owned) -> Vec<Thing> {
    let used_chains: BTreeSet<&str> = seen
        .iter()
        .filter_map(|thing| match thing {
            Thing::Egress { link, chain, .. } if owned.links.contains(link) => Some(chain.as_str()),
            _ => None,
        })
        .collect();
    let has_owner = |thing: &Thing| match thing {
        Thing::Cgroup(handle) => owned.handles.contains(handle),
        Thing::Link(link) | Thing::Egress { link, .. } => owned.links.contains(link),
        Thing::Mount(path) => owner_of(depot, path, owned),
        Thing::Loop { file, .. } => owner_of(depot, file, owned),
        Thing::Keeper { dir, .. } => owner_of(depot, dir, owned),
        Thing::Port(port) => owned.ports.contains(port),
        Thing::Chain(chain) => used_chains.contains(chain.as_str()),
        Thing::Project(project) => owned.projects.contains(project),
    };
    let mut found: Vec<Thing> = seen.iter().filter(|t| !has_owner(t)).cloned().collect();
    found.sort_by_key(rank);
    found
}

/// Processes first, then what they held, last what others refer to.
fn rank(thing: &Thing) -> u8 {
    match thing {
        Thing::Keeper { .. } => 0,
        Thing::Cgroup(_) => 1,
        Thing::Mount(_) => 2,
        Thing::Loop { .. } => 3,
        Thing::Link(_) => 4,
        Thing::Port(_) | Thing::Egress { .. } => 5,
        Thing::Chain(_) | Thing::Project(_) => 6,
    }
}

/// Whether a path belongs to a container that exists. What lies in the depot
/// outside of its containers is nobody's to judge, except the trash.
fn owner_of(depot: &Path, path: &Path, owned: &Owned) -> bool {
    if path.starts_with(depot.join("trash")) {
        return false;
    }
    let Ok(below) = path.strip_prefix(depot.join("c")) else {
        return true;
    };
    match below.components().next() {
        Some(handle) => owned
            .handles
            .contains(handle.as_os_str().to_string_lossy().as_ref()),
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned() -> Owned {
        Owned {
            handles: ["web".to_owned()].into(),
            links: ["b1234560".to_owned()].into(),
            ports: [61_001].into(),
            projects: [1 << 30].into(),
        }
    }

    fn egress(link: &str, chain: &str) -> Thing {
        Thing::Egress {
            link: link.into(),
            ip: Ipv4Addr::LOCALHOST,
            chain: chain.into(),
        }
    }

    #[test]
    fn what_has_an_owner_stays() {
        let keeper = |dir: &str| Thing::Keeper {
            pid: 7,
            dir: dir.into(),
        };
        let mine = [
            Thing::Cgroup("web".into()),
            Thing::Link("b1234560".into()),
            Thing::Mount("/d/c/web/root".into()),
            Thing::Mount("/d/stacks".into()),
            Thing::Mount("/d/c".into()),
            keeper("/d/c/web"),
            Thing::Port(61_001),
            Thing::Project(1 << 30),
            egress("b1234560", "rules_1"),
            Thing::Chain("rules_1".into()),
        ];
        assert_eq!(find(Path::new("/d"), &mine, &owned()), []);
    }

    #[test]
    fn what_has_none_goes_and_chains_go_last() {
        let loops = |file: &str| Thing::Loop {
            device: "/dev/loop9".into(),
            file: file.into(),
        };
        let theirs = [
            Thing::Project(7),
            Thing::Chain("rules_2".into()),
            egress("b1234569", "rules_2"),
            Thing::Port(61_002),
            Thing::Link("b1234569".into()),
            loops("/d/trash/web.1/disk.img"),
            Thing::Mount("/d/c/ghost/root".into()),
            Thing::Cgroup("ghost".into()),
        ];
        let mut found = find(Path::new("/d"), &theirs, &owned());
        assert_eq!(found.len(), theirs.len());
        assert_eq!(found.pop(), Some(Thing::Chain("rules_2".into())));
        assert_eq!(found[0], Thing::Cgroup("ghost".into()));
    }
}
