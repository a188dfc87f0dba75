//! What can be left out, and how: walls of the keeper by a keeper of our own,
//! the others by what the container is created with.

use std::path::Path;
use std::process::ExitCode;

use warden::Limits;
use warden::wshd::{self, Guard, Guards};

/// One wall between an attempt and its success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Wall {
    /// Built by `wshd`.
    Keeper(Guard),
    /// The memory limit.
    Memory,
    /// The limit on processes.
    Pids,
    /// The limit on bytes on disk.
    Disk,
    /// The limit on files on disk.
    Inodes,
    /// The packet filter's chains.
    Firewall,
    /// A bind mount is read-only.
    ReadOnlyBind,
    /// Init reaps what others leave behind.
    Reaper,
    /// The container as a whole.
    Container,
}

/// File name under which this program is the keeper.
pub(crate) const KEEPER: &str = "battery-wshd";

/// The walls that are down, and whether the container has a disk of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Down {
    bits: u32,
    pub(crate) has_disk: bool,
}

const OTHERS: [Wall; 8] = [
    Wall::Memory,
    Wall::Pids,
    Wall::Disk,
    Wall::Inodes,
    Wall::Firewall,
    Wall::ReadOnlyBind,
    Wall::Reaper,
    Wall::Container,
];

fn bit(wall: Wall) -> u32 {
    let position = match wall {
        Wall::Keeper(guard) => guard as usize,
        other => Guard::ALL.len() + OTHERS.iter().position(|w| *w == other).unwrap(),
    };
    1 << position
}

impl Down {
    /// These walls are down.
    pub(crate) fn new<'a>(walls: impl IntoIterator<Item = &'a Wall>, has_disk: bool) -> Self {
        let bits = walls.into_iter().fold(0, |bits, wall| bits | bit(*wall));
        Self { bits, has_disk }
    }

    pub(crate) fn contains(self, wall: Wall) -> bool {
        self.bits & bit(wall) != 0
    }

    /// A handle that tells our keeper what to leave out.
    pub(crate) fn handle(self, serial: u32) -> String {
        format!("b{serial}-{:x}", self.bits)
    }

    fn of_handle(handle: &str) -> Option<Self> {
        let (_, bits) = handle.rsplit_once('-')?;
        let bits = u32::from_str_radix(bits, 16).ok()?;
        Some(Self {
            bits,
            has_disk: false,
        })
    }

    /// The limits that stand.
    pub(crate) fn limits(self) -> Limits {
        let unless = |wall, value: u64| (!self.contains(wall)).then_some(value);
        let disk = self.has_disk.then_some(64 << 20);
        Limits {
            memory_bytes: unless(Wall::Memory, 96 << 20),
            pids: unless(Wall::Pids, 96),
            disk_bytes: disk.map(|roomy| unless(Wall::Disk, 16 << 20).unwrap_or(roomy)),
            disk_inodes: disk.map(|_| unless(Wall::Inodes, 1000).unwrap_or(4000)),
            ..Limits::default()
        }
    }
}

/// The keeper's role: all walls but those that the handle names.
pub(crate) fn keep(args: Vec<String>) -> ExitCode {
    let handle = args.get(1).and_then(|dir| Path::new(dir).file_name());
    let down = handle.and_then(|name| Down::of_handle(name.to_str()?));
    let Some(down) = down else {
        eprintln!("the battery's keeper needs a handle of the battery");
        return ExitCode::FAILURE;
    };
    let missing = Guard::ALL
        .into_iter()
        .filter(|guard| down.contains(Wall::Keeper(*guard)));
    let guards = Guards::without(missing);
    let args = args.into_iter().map(Into::into);
    ExitCode::from(wshd::main_with(args, guards) as u8)
}
