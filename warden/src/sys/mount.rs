//! Mounts: the old call for new file systems, the new ones for clones.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::ptr;

use super::{cpath, cstr, cvt};

/// Attributes that `mount_setattr` sets; existing ones stay.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Attr(pub(crate) u64);

impl Attr {
    pub(crate) const RDONLY: u64 = libc::MOUNT_ATTR_RDONLY;
    pub(crate) const NOSUID: u64 = libc::MOUNT_ATTR_NOSUID;
    pub(crate) const NODEV: u64 = libc::MOUNT_ATTR_NODEV;
    pub(crate) const NOEXEC: u64 = libc::MOUNT_ATTR_NOEXEC;
}

/// `mount(2)`.
pub(crate) fn mount(
    source: &str,
    target: &Path,
    fstype: &str,
    flags: libc::c_ulong,
    data: &str,
) -> io::Result<()> {
    let (source, target) = (cstr(source)?, cpath(target)?);
    let (fstype, data) = (cstr(fstype)?, cstr(data)?);
    // SAFETY: all four pointers are valid NUL-terminated strings for the call.
    let ret = unsafe {
        libc::mount(
            source.as_ptr(),
            target.as_ptr(),
            fstype.as_ptr(),
            flags,
            data.as_ptr().cast(),
        )
    };
    cvt(ret.into()).map(drop)
}

/// Changes the propagation of `/` and everything below to private.
pub(crate) fn make_root_private() -> io::Result<()> {
    propagation(c"/".to_owned(), libc::MS_REC | libc::MS_PRIVATE)
}

fn propagation(target: CString, flags: libc::c_ulong) -> io::Result<()> {
    // SAFETY: target is a valid string; the other pointers are ignored for a
    // propagation change and may be null.
    let ret = unsafe {
        libc::mount(
            ptr::null(),
            target.as_ptr(),
            ptr::null(),
            flags,
            ptr::null(),
        )
    };
    cvt(ret.into()).map(drop)
}

/// `mount --bind`.
pub(crate) fn bind(source: &Path, target: &Path) -> io::Result<()> {
    let source = source
        .to_str()
        .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
    mount(source, target, "", libc::MS_BIND, "")
}

/// `umount2(2)`; `detach` unmounts lazily.
pub(crate) fn umount(target: &Path, detach: bool) -> io::Result<()> {
    let target = cpath(target)?;
    let flags = if detach { libc::MNT_DETACH } else { 0 };
    // SAFETY: target is a valid string.
    let ret = unsafe { libc::umount2(target.as_ptr(), flags) };
    cvt(ret.into()).map(drop)
}

/// A detached clone of the mount that holds `path`, starting at `path`.
pub(crate) fn open_tree_clone(path: &Path) -> io::Result<OwnedFd> {
    clone_tree(path, 0)
}

/// The same with all mounts below.
pub(crate) fn open_tree_clone_all(path: &Path) -> io::Result<OwnedFd> {
    clone_tree(path, libc::AT_RECURSIVE as u32)
}

fn clone_tree(path: &Path, more: u32) -> io::Result<OwnedFd> {
    let path = cpath(path)?;
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | more;
    // SAFETY: path is a valid string; the result is a fresh descriptor.
    unsafe {
        let fd = cvt(libc::syscall(
            libc::SYS_open_tree,
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
        ))?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

/// Sets attributes on the mount behind `fd`, idmapping it when `userns` is given.
pub(crate) fn set_attr(
    fd: BorrowedFd<'_>,
    set: Attr,
    userns: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let idmap = if userns.is_some() {
        libc::MOUNT_ATTR_IDMAP
    } else {
        0
    };
    let attr = libc::mount_attr {
        attr_set: set.0 | idmap,
        attr_clr: 0,
        propagation: 0,
        userns_fd: userns.map_or(0, |fd| fd.as_raw_fd() as u64),
    };
    setattr(fd.as_raw_fd(), c"", libc::AT_EMPTY_PATH, &attr)
}

/// Sets attributes on the mount at `path`.
pub(crate) fn set_attr_at(path: &Path, set: Attr) -> io::Result<()> {
    let attr = libc::mount_attr {
        attr_set: set.0,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    setattr(libc::AT_FDCWD, &cpath(path)?, 0, &attr)
}

fn setattr(dir: i32, path: &std::ffi::CStr, flags: i32, attr: &libc::mount_attr) -> io::Result<()> {
    let size = size_of::<libc::mount_attr>();
    // SAFETY: path and attr live through the call and size is attr's size.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            dir,
            path.as_ptr(),
            flags,
            ptr::from_ref(attr),
            size,
        )
    };
    cvt(ret).map(drop)
}

/// Attaches a detached mount at `target`.
pub(crate) fn move_to(fd: BorrowedFd<'_>, target: &Path) -> io::Result<()> {
    let target = cpath(target)?;
    let flags = libc::MOVE_MOUNT_F_EMPTY_PATH;
    // SAFETY: both strings are valid for the call.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            fd.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            target.as_ptr(),
            flags,
        )
    };
    cvt(ret).map(drop)
}

/// Attaches a detached mount onto an open directory or file.
pub(crate) fn move_onto(fd: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    let flags = libc::MOVE_MOUNT_F_EMPTY_PATH | libc::MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: the empty paths are valid strings; both descriptors are open.
    let ret = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            fd.as_raw_fd(),
            c"".as_ptr(),
            target.as_raw_fd(),
            c"".as_ptr(),
            flags,
        )
    };
    cvt(ret).map(drop)
}

/// Makes the current directory the root and drops the old one.
pub(crate) fn pivot_here() -> io::Result<()> {
    // SAFETY: constant strings.
    let ret = unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) };
    cvt(ret)?;
    umount(Path::new("."), true)
}

/// A file system on a device, mounted nowhere yet: it lives as long as the
/// descriptor and may be moved into any mount namespace.
#[cfg(feature = "host")]
pub(crate) fn detached(kind: &str, device: &str, flags: &[&str]) -> io::Result<OwnedFd> {
    const SET_FLAG: u32 = 0;
    const SET_STRING: u32 = 1;
    const CREATE: u32 = 6;
    const CLOEXEC: u32 = 1;
    let kind = cstr(kind)?;
    // SAFETY: kind is a valid string; the result is a fresh descriptor.
    let context = unsafe {
        let fd = cvt(libc::syscall(libc::SYS_fsopen, kind.as_ptr(), CLOEXEC))?;
        OwnedFd::from_raw_fd(fd as i32)
    };
    let configure = |command: u32, key: Option<&str>, value: Option<&str>| -> io::Result<()> {
        let (key, value) = (key.map(cstr).transpose()?, value.map(cstr).transpose()?);
        let text = |text: &Option<CString>| text.as_ref().map_or(ptr::null(), |t| t.as_ptr());
        let (key_at, value_at) = (text(&key), text(&value));
        // SAFETY: both strings are alive or null, as the command wants them.
        let ret = unsafe {
            libc::syscall(
                libc::SYS_fsconfig,
                context.as_raw_fd(),
                command,
                key_at,
                value_at,
                0,
            )
        };
        cvt(ret).map(drop)
    };
    configure(SET_STRING, Some("source"), Some(device))?;
    for flag in flags {
        configure(SET_FLAG, Some(flag), None)?;
    }
    configure(CREATE, None, None)?;
    let attributes = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOATIME;
    // SAFETY: the context is a valid descriptor; the result is fresh.
    unsafe {
        let fd = cvt(libc::syscall(
            libc::SYS_fsmount,
            context.as_raw_fd(),
            CLOEXEC,
            attributes as u32,
        ))?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}
