//! Project quotas: a number on files, what the kernel counts by it, and limits.
//! Every call names the file system by a path on it.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use super::cvt;

const Q_GETQUOTA: u32 = 0x80_0007;
const PROJECTS: u32 = 2;
/// Limits are given in these.
#[cfg(feature = "host")]
const BLOCK: u64 = 1024;

/// The kernel's `if_nextdqblk`; the other commands use all of it but `id`.
#[repr(C)]
#[derive(Default)]
struct Block {
    limit_blocks: u64,
    soft_blocks: u64,
    used_bytes: u64,
    limit_inodes: u64,
    soft_inodes: u64,
    used_inodes: u64,
    block_time: u64,
    inode_time: u64,
    valid: u32,
    id: u32,
}

/// What a project uses, and whether it is limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Quota {
    pub(crate) used_bytes: u64,
    pub(crate) used_inodes: u64,
    #[cfg(feature = "host")]
    pub(crate) limited: bool,
}

impl From<Block> for Quota {
    fn from(block: Block) -> Self {
        Self {
            used_bytes: block.used_bytes,
            used_inodes: block.used_inodes,
            #[cfg(feature = "host")]
            limited: block.limit_blocks > 0 || block.limit_inodes > 0,
        }
    }
}

fn command(on: &Path, command: u32, project: u32, block: &mut Block) -> io::Result<()> {
    let on = File::open(on)?;
    // SAFETY: block is as large as the largest structure of the three commands
    // used here, and lives through the call.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_quotactl_fd,
            on.as_raw_fd(),
            command << 8 | PROJECTS,
            project,
            std::ptr::from_mut(block),
        )
    };
    cvt(ret).map(drop)
}

/// What is known of a project; zeros when nothing is.
pub(crate) fn get(on: &Path, project: u32) -> io::Result<Quota> {
    let mut block = Block::default();
    match command(on, Q_GETQUOTA, project, &mut block) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Quota::default()),
        other => other.map(|()| block.into()),
    }
}

#[cfg(feature = "host")]
pub(crate) use manage::{assign, limit, limited_from};

/// Setting numbers and limits: the backend's part.
#[cfg(feature = "host")]
mod manage {
    use super::*;

    const Q_SETQUOTA: u32 = 0x80_0008;
    const Q_GETNEXTQUOTA: u32 = 0x80_0009;
    const BOTH_LIMITS: u32 = 1 | 4;
    const FS_IOC_FSGETXATTR: libc::c_ulong = 0x801c_581f;
    const FS_IOC_FSSETXATTR: libc::c_ulong = 0x401c_5820;
    const INHERIT: u32 = 0x200;

    /// The kernel's `fsxattr`.
    #[repr(C)]
    #[derive(Default)]
    struct Attributes {
        flags: u32,
        extent_size: u32,
        extents: u32,
        project: u32,
        cow_extent_size: u32,
        padding: [u8; 8],
    }

    /// Limits a project to bytes and files; 0 and 0 make the kernel forget it.
    pub(crate) fn limit(on: &Path, project: u32, bytes: u64, inodes: u64) -> io::Result<()> {
        let mut block = Block {
            limit_blocks: bytes / BLOCK,
            limit_inodes: inodes,
            valid: BOTH_LIMITS,
            ..Block::default()
        };
        command(on, Q_SETQUOTA, project, &mut block)
    }

    /// The first project with a limit from number `first` on.
    pub(crate) fn limited_from(on: &Path, first: u32) -> io::Result<Option<u32>> {
        let mut from = first;
        loop {
            let mut block = Block::default();
            match command(on, Q_GETNEXTQUOTA, from, &mut block) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
                other => other?,
            }
            let id = block.id;
            if Quota::from(block).limited {
                return Ok(Some(id));
            }
            match id.checked_add(1) {
                Some(next) => from = next,
                None => return Ok(None),
            }
        }
    }

    /// Puts an empty directory, and whatever will be made below it, into a project.
    pub(crate) fn assign(dir: &Path, project: u32) -> io::Result<()> {
        let dir = File::open(dir)?;
        let mut attributes = Attributes::default();
        // SAFETY: the structure is the one both calls take, and outlives them.
        unsafe {
            let at = std::ptr::from_mut(&mut attributes);
            cvt(libc::ioctl(dir.as_raw_fd(), FS_IOC_FSGETXATTR as _, at).into())?;
            (*at).project = project;
            (*at).flags |= INHERIT;
            cvt(libc::ioctl(dir.as_raw_fd(), FS_IOC_FSSETXATTR as _, at).into()).map(drop)
        }
    }
}
