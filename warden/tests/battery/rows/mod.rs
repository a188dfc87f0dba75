//! The table: every attempt that runs inside.

mod exhaustion;
mod files;
mod kernel;
mod namespaces;
mod network;
mod peeking;
mod processes;
#[cfg(target_arch = "x86_64")]
mod x86;

use warden::wshd::Guard;

use crate::row::Row;
use crate::walls::Wall;

/// Every row.
pub(crate) fn all() -> impl Iterator<Item = &'static Row> {
    let tables = [
        kernel::ROWS,
        namespaces::ROWS,
        files::ROWS,
        peeking::ROWS,
        processes::ROWS,
        exhaustion::ROWS,
        network::ROWS,
        #[cfg(target_arch = "x86_64")]
        x86::ROWS,
    ];
    tables.into_iter().flatten()
}

// The walls by short names: the tables are read by column.
const USERNS: Wall = Wall::Keeper(Guard::UserNamespace);
const PIDNS: Wall = Wall::Keeper(Guard::PidNamespace);
const NETNS: Wall = Wall::Keeper(Guard::NetNamespace);
const IPCNS: Wall = Wall::Keeper(Guard::IpcNamespace);
const CGROUPNS: Wall = Wall::Keeper(Guard::CgroupNamespace);
const HIDDEN_PROC: Wall = Wall::Keeper(Guard::HiddenProc);
const READ_ONLY_PROC: Wall = Wall::Keeper(Guard::ReadOnlyProc);
const READ_ONLY_DEV: Wall = Wall::Keeper(Guard::ReadOnlyDev);
const READ_ONLY_STACK: Wall = Wall::Keeper(Guard::ReadOnlyStack);
const NOSUID: Wall = Wall::Keeper(Guard::NoSuid);
const NODEV: Wall = Wall::Keeper(Guard::NoDev);
const KEYRING: Wall = Wall::Keeper(Guard::Keyring);
const CAPS: Wall = Wall::Keeper(Guard::Capabilities);
const NO_NEW_PRIVS: Wall = Wall::Keeper(Guard::NoNewPrivs);
const SECCOMP: Wall = Wall::Keeper(Guard::Seccomp);
const UNDUMPABLE: Wall = Wall::Keeper(Guard::Undumpable);
const RLIMITS: Wall = Wall::Keeper(Guard::ResourceLimits);
