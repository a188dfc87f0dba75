//! Starting a program as `fork` and `exec` do, but born in a control group: the
//! kernel takes 10 to 20 ms to move a process there after a quiet time, and
//! nothing to make it there.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::ptr;

use super::cpath;
use super::process::{self, Side};

/// A program that was started; somebody must wait for it.
#[derive(Debug)]
pub(crate) struct Spawned {
    pid: i32,
    pidfd: OwnedFd,
}

impl Spawned {
    /// `kill -9`; a process that has ended is fine.
    pub(crate) fn kill(&self) -> io::Result<()> {
        match process::pidfd_kill(self.pidfd.as_fd(), libc::SIGKILL) {
            Err(e) if e.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            other => other,
        }
    }

    /// Waits for the end and collects it.
    pub(crate) fn wait(self) -> io::Result<()> {
        process::wait_pid(self.pid).map(drop)
    }
}

/// Starts `program` with one argument, no environment, and nothing open but the
/// three standard streams. `group` is the directory of a version 2 control group;
/// the program is not in there if the kernel is too old for that.
pub(crate) fn spawn(
    program: &Path,
    argument: &Path,
    stdin: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
    group: Option<BorrowedFd<'_>>,
) -> io::Result<Spawned> {
    // The child could not say that there is no such program.
    File::open(program)?;
    let (program, argument) = (cpath(program)?, cpath(argument)?);
    let argv = [program.as_ptr(), argument.as_ptr(), ptr::null()];
    let env = [ptr::null()];
    let streams = [stdin, output, output].map(|fd| fd.as_raw_fd());
    match clone(group)? {
        Side::Parent((pid, pidfd)) => Ok(Spawned { pid, pidfd }),
        Side::Child => {
            if become_child(streams).is_ok() {
                // SAFETY: both arrays end with a null pointer and their strings are alive.
                unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr()) };
            }
            process::exit_now(127)
        }
    }
}

fn clone(group: Option<BorrowedFd<'_>>) -> io::Result<Side<(i32, OwnedFd)>> {
    let flags = libc::CLONE_VFORK as u64;
    if group.is_some() {
        let made = process::clone_into(flags, group);
        if made.is_ok() {
            return made;
        }
    }
    process::clone_into(flags, None)
}

/// In the child of a program with threads: system calls only, no allocation.
fn become_child(streams: [i32; 3]) -> io::Result<()> {
    process::reset_signals();
    for (to, fd) in (0..).zip(streams) {
        process::dup_to(fd, to)?;
    }
    // SAFETY: a constant string.
    super::cvt(unsafe { libc::chdir(c"/".as_ptr()) }.into()).map(drop)
}
