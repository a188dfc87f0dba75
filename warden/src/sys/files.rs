//! Descriptors of files, pipes, memory, events; paths below a root.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use super::{cpath, cvt};

/// A pipe: read end, write end. Both close on exec.
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: the kernel fills two descriptors on success.
    unsafe {
        cvt(libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC).into())?;
        Ok((OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])))
    }
}

/// Reads and writes that would wait fail with EAGAIN instead.
pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no memory involved.
    unsafe {
        let flags = cvt(libc::fcntl(fd.as_raw_fd(), libc::F_GETFL).into())?;
        let flags = flags as i32 | libc::O_NONBLOCK;
        cvt(libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags).into()).map(drop)
    }
}

/// An anonymous file in memory.
pub(crate) fn memfd(name: &std::ffi::CStr) -> io::Result<File> {
    // SAFETY: name is a valid string; the result is a fresh descriptor.
    unsafe {
        let fd = cvt(libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC).into())?;
        Ok(File::from(OwnedFd::from_raw_fd(fd as i32)))
    }
}

/// An event counter, non-blocking.
pub(crate) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: the result is a fresh descriptor.
    unsafe {
        let fd = cvt(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK).into())?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

/// Opens `path` below `root` as if `root` were `/`: no link and no `..` leads out.
pub(crate) fn open_in_root(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: i32,
    mode: u32,
) -> io::Result<OwnedFd> {
    let path = cpath(path)?;
    // SAFETY: an all-zero open_how is valid.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (flags | libc::O_CLOEXEC) as u64;
    how.mode = mode.into();
    how.resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
    // SAFETY: path and how live through the call; the result is fresh.
    unsafe {
        let fd = cvt(libc::syscall(
            libc::SYS_openat2,
            root.as_raw_fd(),
            path.as_ptr(),
            std::ptr::from_ref(&how),
            size_of::<libc::open_how>(),
        ))?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

/// Makes a directory named `name` in the open directory; existing is fine.
pub(crate) fn mkdir_at(dir: BorrowedFd<'_>, name: &Path, mode: u32) -> io::Result<()> {
    let name = cpath(name)?;
    // SAFETY: name is a valid string.
    match cvt(unsafe { libc::mkdirat(dir.as_raw_fd(), name.as_ptr(), mode) }.into()) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map(drop),
    }
}

/// Removes a directory with everything below; absent is fine.
#[cfg(feature = "host")]
pub(crate) fn remove_tree(dir: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes the file or link `name` from the open directory; absent is fine.
pub(crate) fn unlink_at(dir: BorrowedFd<'_>, name: &Path) -> io::Result<()> {
    let name = cpath(name)?;
    // SAFETY: name is a valid string.
    match cvt(unsafe { libc::unlinkat(dir.as_raw_fd(), name.as_ptr(), 0) }.into()) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map(drop),
    }
}

/// Size, free space and files of the file system that holds `path`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FsUse {
    #[cfg(feature = "host")]
    pub(crate) total_bytes: u64,
    pub(crate) used_bytes: u64,
    pub(crate) used_inodes: u64,
}

/// `statvfs(3)`.
pub(crate) fn fs_use(path: &Path) -> io::Result<FsUse> {
    let path = cpath(path)?;
    // SAFETY: the structure is plain numbers and filled by the call.
    unsafe {
        let mut st: libc::statvfs = std::mem::zeroed();
        cvt(libc::statvfs(path.as_ptr(), &mut st).into())?;
        Ok(FsUse {
            #[cfg(feature = "host")]
            total_bytes: st.f_blocks * st.f_frsize,
            used_bytes: (st.f_blocks - st.f_bfree) * st.f_frsize,
            used_inodes: st.f_files - st.f_ffree,
        })
    }
}

/// Takes an exclusive lock that dies with the descriptor; `wait` for it or fail.
#[cfg(feature = "host")]
pub(crate) fn lock(file: &File, wait: bool) -> io::Result<()> {
    let flags = libc::LOCK_EX | if wait { 0 } else { libc::LOCK_NB };
    // SAFETY: no memory involved.
    cvt(unsafe { libc::flock(file.as_raw_fd(), flags) }.into()).map(drop)
}

/// Whether the process is root in the initial sense: effective uid 0.
pub(crate) fn is_root() -> bool {
    // SAFETY: always succeeds.
    unsafe { libc::geteuid() == 0 }
}

/// Whether a file is one that the kernel makes up as it is read (proc, sysfs, cgroup and their like).
#[cfg(feature = "host")]
pub(crate) fn is_of_the_kernel(file: &File) -> io::Result<bool> {
    const MADE_UP: [i64; 10] = [
        0x9fa0,      // proc
        0x6265_6572, // sysfs
        0x6462_6720, // debugfs
        0x7472_6163, // tracefs
        0x0027_e0eb, // cgroup
        0x6367_7270, // cgroup2
        0x7363_6673, // securityfs
        0x6265_6570, // configfs
        0xcafe_4a11, // bpf
        0x6165_676c, // pstore
    ];
    // SAFETY: the structure is plain numbers and filled by the call.
    unsafe {
        let mut st: libc::statfs = std::mem::zeroed();
        cvt(libc::fstatfs(file.as_raw_fd(), &mut st).into())?;
        #[allow(clippy::unnecessary_cast, reason = "its width differs by architecture")]
        Ok(MADE_UP.contains(&(st.f_type as i64)))
    }
}

/// Makes a FIFO.
#[cfg(test)]
pub(crate) fn make_fifo(path: &Path) -> io::Result<()> {
    let path = cpath(path)?;
    // SAFETY: path is a valid string.
    cvt(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }.into()).map(drop)
}

/// The start of the data region at or after `offset`, and its end.
#[cfg(feature = "host")]
pub(crate) fn data_region(file: &File, offset: i64) -> io::Result<Option<(i64, i64)>> {
    // SAFETY: no memory involved.
    unsafe {
        let start = match cvt(libc::lseek(file.as_raw_fd(), offset, libc::SEEK_DATA)) {
            Err(e) if e.raw_os_error() == Some(libc::ENXIO) => return Ok(None),
            other => other?,
        };
        let end = cvt(libc::lseek(file.as_raw_fd(), start, libc::SEEK_HOLE))?;
        Ok(Some((start, end)))
    }
}
