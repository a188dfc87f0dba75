//! Processes, namespaces, signals.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use super::cvt;

/// `CLONE_INTO_CGROUP`, Linux 5.7.
const INTO_CGROUP: u64 = 0x2_0000_0000;

/// What `clone3` and `fork` return in the two processes.
#[derive(Debug)]
pub(crate) enum Side<T> {
    /// The caller, with what it got.
    Parent(T),
    /// The new process.
    Child,
}

/// A new process in the namespaces `flags`, with a pidfd. The program must be
/// single-threaded, because the child goes on with the same heap.
pub(crate) fn clone_with_pidfd(flags: u64) -> io::Result<Side<(i32, OwnedFd)>> {
    clone_into(flags, None)
}

/// The same, in a version 2 control group. In a program with threads the child
/// may do nothing but system calls until it execs.
pub(crate) fn clone_into(
    flags: u64,
    group: Option<BorrowedFd<'_>>,
) -> io::Result<Side<(i32, OwnedFd)>> {
    let mut pidfd: libc::c_int = -1;
    // SAFETY: an all-zero clone_args is valid.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = flags | libc::CLONE_PIDFD as u64;
    args.pidfd = ptr::from_mut(&mut pidfd) as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    if let Some(group) = group {
        args.flags |= INTO_CGROUP;
        args.cgroup = group.as_raw_fd() as u64;
    }
    // SAFETY: args is initialised and lives through the call; without a stack
    // the child gets a copy of the caller's, as after fork.
    let pid = cvt(unsafe {
        libc::syscall(
            libc::SYS_clone3,
            ptr::from_mut(&mut args),
            size_of::<libc::clone_args>(),
        )
    })?;
    if pid == 0 {
        return Ok(Side::Child);
    }
    // SAFETY: the kernel stored a fresh descriptor.
    Ok(Side::Parent((pid as i32, unsafe {
        OwnedFd::from_raw_fd(pidfd)
    })))
}

/// `fork(2)`; the caller is single-threaded.
pub(crate) fn fork() -> io::Result<Side<i32>> {
    // SAFETY: single-threaded caller, so the child may do anything.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Side::Child),
        pid => Ok(Side::Parent(pid)),
    }
}

/// Ends the process without running destructors or exit handlers.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: always allowed.
    unsafe { libc::_exit(code) }
}

/// `setsid(2)`.
pub(crate) fn setsid() -> io::Result<()> {
    // SAFETY: no memory involved.
    cvt(unsafe { libc::setsid() }.into()).map(drop)
}

/// `unshare(2)`.
pub(crate) fn unshare(flags: i32) -> io::Result<()> {
    // SAFETY: no memory involved; it concerns the calling thread alone.
    cvt(unsafe { libc::unshare(flags) }.into()).map(drop)
}

/// Enters the namespace behind `fd`.
pub(crate) fn setns(fd: BorrowedFd<'_>, kind: i32) -> io::Result<()> {
    // SAFETY: no memory involved.
    cvt(unsafe { libc::setns(fd.as_raw_fd(), kind) }.into()).map(drop)
}

/// Sends a signal to one process. `pid` must be positive: the broadcast forms
/// have their own function so that a bug cannot reach them.
pub(crate) fn kill(pid: i32, signal: i32) -> io::Result<()> {
    if pid <= 0 {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: no memory involved.
    cvt(unsafe { libc::kill(pid, signal) }.into()).map(drop)
}

/// Signals every process of the caller's pid namespace except the caller.
/// Refuses to run anywhere but in pid 1 of a namespace.
pub(crate) fn kill_namespace(signal: i32) -> io::Result<()> {
    if std::process::id() != 1 {
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    // SAFETY: no memory involved; pid 1 checked above. A host's pid 1 never
    // runs this program.
    cvt(unsafe { libc::kill(-1, signal) }.into()).map(drop)
}

/// Signals the process behind a pidfd.
pub(crate) fn pidfd_kill(fd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let null = ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo is allowed.
    cvt(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd.as_raw_fd(), signal, null, 0) })
        .map(drop)
}

/// A finished child: pid and raw status; `None` when all are alive.
/// ECHILD when there is no child at all.
pub(crate) fn reap() -> io::Result<Option<(i32, i32)>> {
    let mut status = 0;
    // SAFETY: status is writable.
    let pid = cvt(unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) }.into())?;
    Ok((pid > 0).then_some((pid as i32, status)))
}

/// Waits for one child; returns its raw status.
pub(crate) fn wait_pid(pid: i32) -> io::Result<i32> {
    let mut status = 0;
    loop {
        // SAFETY: status is writable.
        match cvt(unsafe { libc::waitpid(pid, &mut status, 0) }.into()) {
            Ok(_) => return Ok(status),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Ends the caller as `kill -9` would.
pub(crate) fn die() -> ! {
    // Pid 1 of a namespace cannot be killed from inside.
    if std::process::id() != 1 {
        let _ = kill(std::process::id() as i32, libc::SIGKILL);
    }
    exit_now(128 + libc::SIGKILL)
}

/// Kills the parent, if it is in the caller's pid namespace.
pub(crate) fn kill_parent() -> io::Result<()> {
    // SAFETY: always succeeds.
    kill(unsafe { libc::getppid() }, libc::SIGKILL)
}

/// Asks for SIGKILL when the parent dies.
pub(crate) fn die_with_parent() -> io::Result<()> {
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64)
}

/// Orphaned descendants become children of the caller.
pub(crate) fn become_subreaper() -> io::Result<()> {
    prctl(libc::PR_SET_CHILD_SUBREAPER, 1)
}

/// Hides /proc/self and the core from everybody but root.
pub(crate) fn not_dumpable() -> io::Result<()> {
    set_dumpable(false)
}

/// Whether others of the same user may look into this process.
pub(crate) fn set_dumpable(yes: bool) -> io::Result<()> {
    prctl(libc::PR_SET_DUMPABLE, yes.into())
}

/// `prctl(2)` with one argument.
pub(crate) fn prctl(option: i32, arg: u64) -> io::Result<()> {
    // SAFETY: only options without pointers are used by this crate.
    cvt(unsafe { libc::prctl(option, arg, 0u64, 0u64, 0u64) }.into()).map(drop)
}

/// Sets the name shown by `ps`.
pub(crate) fn set_name(name: &std::ffi::CStr) {
    // SAFETY: the kernel copies at most 16 bytes of a valid string.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) };
}

/// The program of `command` will not be able to make device files, even as root.
#[cfg(feature = "host")]
pub(crate) fn without_device_files(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    const CAP_MKNOD: u64 = 27;
    // SAFETY: the closure makes one system call and allocates nothing.
    unsafe {
        command.pre_exec(|| match prctl(libc::PR_CAPBSET_DROP, CAP_MKNOD) {
            // Not root: it could not make any before.
            Err(e) if e.raw_os_error() == Some(libc::EPERM) => Ok(()),
            other => other,
        });
    }
}

/// Closes every descriptor from `first` on.
pub(crate) fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: the caller gives up all those descriptors.
    cvt(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) }).map(drop)
}

/// Makes `fd` available as number `to`, without close-on-exec.
pub(crate) fn dup_to(fd: i32, to: i32) -> io::Result<()> {
    if fd == to {
        // SAFETY: no memory involved.
        return cvt(unsafe { libc::fcntl(fd, libc::F_SETFD, 0) }.into()).map(drop);
    }
    // SAFETY: `to` is one of 0–3, which the caller owns.
    cvt(unsafe { libc::dup2(fd, to) }.into()).map(drop)
}

/// A copy of `fd` numbered at least `min`, close-on-exec.
pub(crate) fn dup_above(fd: BorrowedFd<'_>, min: i32) -> io::Result<OwnedFd> {
    // SAFETY: the result is a fresh descriptor.
    unsafe {
        let new = cvt(libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, min).into())?;
        Ok(OwnedFd::from_raw_fd(new as i32))
    }
}

/// Sets the mode mask for new files.
pub(crate) fn umask(mask: u32) {
    // SAFETY: no memory involved.
    unsafe { libc::umask(mask) };
}

/// Sets the host name of the caller's UTS namespace.
pub(crate) fn set_hostname(name: &str) -> io::Result<()> {
    // SAFETY: pointer and length describe `name`.
    cvt(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }.into()).map(drop)
}

extern "C" fn nothing(_: libc::c_int) {}

/// Blocks SIGCHLD outside of [`super::socket::poll_with_sigchld`], where it
/// interrupts the wait; ignores SIGPIPE.
pub(crate) fn prepare_sigchld() -> io::Result<()> {
    // SAFETY: the action is zeroed and then filled; the handler does nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
        cvt(libc::sigaction(libc::SIGCHLD, &action, ptr::null_mut()).into())?;
        libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGCHLD);
        cvt(libc::sigprocmask(libc::SIG_BLOCK, &set, ptr::null_mut()).into()).map(drop)
    }
}

/// Default dispositions and an empty mask, as a job expects them.
pub(crate) fn reset_signals() {
    // SAFETY: SIG_DFL is always valid; the set is initialised.
    unsafe {
        for signal in 1..=64 {
            libc::signal(signal, libc::SIG_DFL);
        }
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &set, ptr::null_mut());
    }
}

/// Replaces the program; returns only on failure.
pub(crate) fn exec(program: &CString, argv: &[CString], env: &[CString]) -> io::Error {
    let argv = pointers(argv);
    let env = pointers(env);
    // SAFETY: both arrays end with a null pointer and their strings are alive.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings
        .iter()
        .map(|s| s.as_ptr())
        .chain(std::iter::once(ptr::null()))
        .collect()
}

/// Closes `fd` at the next exec.
pub(crate) fn close_on_exec(fd: i32) -> io::Result<()> {
    // SAFETY: no memory involved.
    cvt(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) }.into()).map(drop)
}

/// Effective uid and gid.
pub(crate) fn own_ids() -> (u32, u32) {
    // SAFETY: always succeed.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// Makes an open directory the current one.
pub(crate) fn change_dir(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no memory involved.
    cvt(unsafe { libc::fchdir(fd.as_raw_fd()) }.into()).map(drop)
}
