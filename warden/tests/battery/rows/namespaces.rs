//! Mounts, roots and namespaces.

use std::ffi::CStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;

use super::{CAPS, CGROUPNS, SECCOMP, USERNS};
use crate::row::{Row, held, row};
use crate::sys::{call, fork, past, wait};
use crate::walls::Wall;

/// Rights over the container itself.
const CONTAINER: &[Wall] = &[SECCOMP, CAPS];

pub(super) const ROWS: &[Row] = &[
    row(
        "mount",
        "mount a file system",
        "EPERM",
        CONTAINER,
        mount_tmpfs,
    ),
    row(
        "fsopen",
        "mount by the new interface",
        "EPERM",
        CONTAINER,
        fsopen,
    ),
    row(
        "clone_mounts",
        "take a copy of the mount tree",
        "EPERM",
        CONTAINER,
        clone_mounts,
    ),
    row(
        "uncover_proc",
        "unmount a cover in /proc",
        "EPERM",
        CONTAINER,
        uncover_proc,
    ),
    row(
        "remount_proc",
        "make /proc/sys writable",
        "EPERM",
        CONTAINER,
        remount_proc,
    ),
    row(
        "pivot_root",
        "exchange the root",
        "EPERM",
        CONTAINER,
        pivot_root,
    ),
    row("chroot", "change the root", "EPERM", CONTAINER, chroot),
    row(
        "sethostname",
        "rename the container",
        "EPERM",
        CONTAINER,
        sethostname,
    ),
    row("setns", "enter a namespace", "EPERM", CONTAINER, setns),
    row(
        "unshare_net",
        "make a network namespace",
        "EPERM",
        CONTAINER,
        unshare_net,
    ),
    row(
        "unshare_cgroup",
        "make a cgroup namespace",
        "EPERM",
        &[CAPS],
        unshare_cgroup,
    ),
    row(
        "nested_userns_mount",
        "mount within a user namespace of its own",
        "EPERM",
        &[SECCOMP],
        nested_userns_mount,
    ),
    row(
        "clone_userns",
        "clone into a user namespace",
        "EPERM",
        &[SECCOMP],
        clone_userns,
    ),
    row(
        "clone3_userns",
        "the same by clone3, whose flags a filter cannot read",
        "ENOSYS",
        &[SECCOMP],
        clone3_userns,
    ),
    row(
        "uevent_helper",
        "mount sysfs and open a file of the kernel for writing",
        "EPERM",
        &[SECCOMP, CAPS, USERNS],
        uevent_helper,
    ),
    row(
        "release_agent",
        "mount cgroups and open release_agent",
        "EPERM",
        &[SECCOMP, CAPS, USERNS, CGROUPNS],
        release_agent,
    ),
    row(
        "cgroup_escape",
        "mount cgroups and move to their root",
        "EPERM",
        &[SECCOMP, CAPS, USERNS, CGROUPNS],
        cgroup_escape,
    ),
];

fn mount(kind: &CStr, data: &CStr) -> io::Result<()> {
    call!(SYS_mount, kind, c"/tmp", kind, 0, data).map(drop)
}

fn mount_tmpfs() -> io::Result<()> {
    mount(c"tmpfs", c"size=64k")
}

fn fsopen() -> io::Result<()> {
    call!(SYS_fsopen, c"tmpfs", 0).map(drop)
}

fn clone_mounts() -> io::Result<()> {
    const CLONE: i32 = 1;
    call!(
        SYS_open_tree,
        libc::AT_FDCWD,
        c"/",
        CLONE | libc::AT_RECURSIVE
    )
    .map(drop)
}

fn uncover_proc() -> io::Result<()> {
    call!(SYS_umount2, c"/proc/keys", 0).map(drop)
}

fn remount_proc() -> io::Result<()> {
    let flags =
        libc::MS_REMOUNT | libc::MS_BIND | libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    call!(SYS_mount, 0, c"/proc/sys", 0, flags, 0).map(drop)
}

fn pivot_root() -> io::Result<()> {
    // Refused for its form only after the right was granted.
    past(
        call!(SYS_pivot_root, c"/tmp", c"/tmp"),
        &[libc::EINVAL, libc::EBUSY],
    )
}

fn chroot() -> io::Result<()> {
    call!(SYS_chroot, c"/tmp").map(drop)
}

fn sethostname() -> io::Result<()> {
    call!(SYS_sethostname, c"taken", 5).map(drop)
}

fn setns() -> io::Result<()> {
    let own = File::open("/proc/self/ns/net")?;
    call!(SYS_setns, own.as_raw_fd(), libc::CLONE_NEWNET).map(drop)
}

fn unshare_net() -> io::Result<()> {
    call!(SYS_unshare, libc::CLONE_NEWNET).map(drop)
}

fn unshare_cgroup() -> io::Result<()> {
    call!(SYS_unshare, libc::CLONE_NEWCGROUP).map(drop)
}

fn nested_userns_mount() -> io::Result<()> {
    call!(SYS_unshare, libc::CLONE_NEWUSER | libc::CLONE_NEWNS)?;
    mount_tmpfs()
}

fn clone_userns() -> io::Result<()> {
    let flags = libc::CLONE_NEWUSER | libc::SIGCHLD;
    join(call!(SYS_clone, flags, 0, 0, 0, 0)?)
}

fn clone3_userns() -> io::Result<()> {
    // struct clone_args: flags first, the exit signal as its fifth word.
    let mut args = [0u8; 64];
    args[..8].copy_from_slice(&(libc::CLONE_NEWUSER as u64).to_ne_bytes());
    args[32..40].copy_from_slice(&(libc::SIGCHLD as u64).to_ne_bytes());
    join(call!(SYS_clone3, &args, 64)?)
}

/// The child ends at once, the parent waits for it.
fn join(pid: i64) -> io::Result<()> {
    if pid == 0 {
        let _ = call!(SYS_exit_group, 0);
    }
    wait(pid as i32).map(drop)
}

fn uevent_helper() -> io::Result<()> {
    mount(c"sysfs", c"")?;
    // Some kernels lack the first; the others reach as deep.
    let files = [
        "kernel/uevent_helper",
        "kernel/mm/ksm/run",
        "kernel/mm/transparent_hugepage/enabled",
        "kernel/rcu_normal",
    ];
    let file = files
        .iter()
        .map(|f| format!("/tmp/{f}"))
        .find(|f| fs::metadata(f).is_ok());
    open_for_writing(&file.ok_or_else(|| held("no such file in this sysfs"))?)
}

fn release_agent() -> io::Result<()> {
    mount(c"cgroup", c"memory").or_else(|_| mount(c"cgroup", c"none,name=battery"))?;
    let result = open_for_writing("/tmp/release_agent");
    // A hierarchy that was made for this must not stay.
    let _ = call!(SYS_umount2, c"/tmp", 0);
    result
}

fn cgroup_escape() -> io::Result<()> {
    let before = fs::read_to_string("/proc/self/cgroup")?;
    mount(c"cgroup", c"memory").or_else(|_| mount(c"cgroup2", c""))?;
    // In a child, so that the memory limit goes on holding the rest.
    let child = fork(|| {
        let moved = OpenOptions::new()
            .write(true)
            .open("/tmp/cgroup.procs")
            .and_then(|mut f| f.write_all(b"0"));
        let after = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        i32::from(moved.is_err() || after == before)
    })?;
    match wait(child)? {
        0 => Ok(()),
        _ => Err(held("still in its own group")),
    }
}

fn open_for_writing(path: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path).map(drop)
}
