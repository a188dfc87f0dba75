//! Looking into init, the keeper and the host, and reaching into their memory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;

use super::files::may_write;
use super::{CAPS, HIDDEN_PROC, PIDNS, SECCOMP, UNDUMPABLE, USERNS};
use crate::attacker::fact;
use crate::row::{Row, held, row};
use crate::sys::{call, past};
use crate::walls::Wall;

/// Init gives nothing away: it is not dumpable, and has capabilities jobs lack.
const INIT: &[Wall] = &[UNDUMPABLE, CAPS];
const INIT_BY_CALL: &[Wall] = &[SECCOMP, UNDUMPABLE, CAPS];

pub(super) const ROWS: &[Row] = &[
    row(
        "init_fds",
        "see init's descriptors",
        "EACCES",
        INIT,
        init_fds,
    ),
    row(
        "init_memory",
        "open init's memory",
        "EACCES",
        INIT,
        init_memory,
    ),
    row(
        "init_environ",
        "read init's environment",
        "EACCES",
        INIT,
        init_environ,
    ),
    row("init_root", "follow init's root", "EACCES", INIT, init_root),
    row(
        "init_exe",
        "overwrite init's program",
        "EACCES",
        &[CAPS, USERNS],
        init_exe,
    ),
    row(
        "keeper_fds",
        "see the keeper's descriptors",
        "ENOENT",
        &[PIDNS, CAPS, USERNS],
        keeper_fds,
    ),
    row(
        "ptrace_init",
        "trace init",
        "EPERM",
        INIT_BY_CALL,
        ptrace_init,
    ),
    row(
        "ptrace_host",
        "trace a process of the host",
        "EPERM",
        &[SECCOMP, CAPS, USERNS, PIDNS],
        ptrace_host,
    ),
    row(
        "read_init_memory",
        "read init's memory by call",
        "EPERM",
        INIT_BY_CALL,
        read_init_memory,
    ),
    row(
        "steal_init_fd",
        "take init's socket through a pidfd",
        "EPERM",
        INIT_BY_CALL,
        steal_init_fd,
    ),
    row(
        "compare_with_init",
        "compare kernel objects with init's",
        "EPERM",
        INIT_BY_CALL,
        compare_with_init,
    ),
    row(
        "proc_keys",
        "read /proc/keys",
        "held",
        &[HIDDEN_PROC],
        proc_keys,
    ),
    row(
        "proc_kmsg",
        "open /proc/kmsg",
        "held",
        &[HIDDEN_PROC, CAPS, USERNS],
        proc_kmsg,
    ),
    row(
        "proc_timer_list",
        "read the addresses in /proc/timer_list",
        "held",
        &[HIDDEN_PROC, USERNS],
        proc_timer_list,
    )
    .vcap("held|EACCES"),
    row(
        "host_processes",
        "see a process of the host in /proc",
        "ENOENT",
        &[PIDNS],
        host_processes,
    ),
];

fn init_fds() -> io::Result<()> {
    fs::read_link("/proc/1/fd/3").map(drop)
}

fn init_memory() -> io::Result<()> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(init("mem")?)
        .map(drop)
}

fn init_environ() -> io::Result<()> {
    File::open(init("environ")?).map(drop)
}

fn init_root() -> io::Result<()> {
    fs::read_link(init("root")?).map(drop)
}

fn init_exe() -> io::Result<()> {
    may_write(&init("exe")?)
}

fn init(name: &str) -> io::Result<String> {
    Ok(format!("/proc/1/{name}"))
}

fn keeper_fds() -> io::Result<()> {
    fs::read_link(format!("/proc/{}/fd/0", fact("KEEPER")?)).map(drop)
}

const SEIZE: i32 = 0x4206;

fn ptrace_init() -> io::Result<()> {
    call!(SYS_ptrace, SEIZE, 1, 0, 0).map(drop)
}

fn ptrace_host() -> io::Result<()> {
    call!(SYS_ptrace, SEIZE, victim()?, 0, 0).map(drop)
}

fn victim() -> io::Result<i32> {
    fact("VICTIM")?.parse().map_err(io::Error::other)
}

fn read_init_memory() -> io::Result<()> {
    // One remote piece at an address that is never mapped, and no local one
    // to put it in: the right is judged before the address.
    let mut byte = [0u8; 1];
    let local = [byte.as_mut_ptr() as u64, 1].map(u64::to_ne_bytes).concat();
    let remote = [0u64, 1].map(u64::to_ne_bytes).concat();
    let result = call!(SYS_process_vm_readv, 1, &local[..], 1, &remote[..], 1, 0);
    past(result, &[libc::EFAULT])
}

fn steal_init_fd() -> io::Result<()> {
    let pidfd = call!(SYS_pidfd_open, 1, 0)?;
    call!(SYS_pidfd_getfd, pidfd, 3, 0).map(drop)
}

fn compare_with_init() -> io::Result<()> {
    const FILES: i32 = 2;
    call!(SYS_kcmp, std::process::id(), 1, FILES, 0, 0).map(drop)
}

fn proc_keys() -> io::Result<()> {
    // The cover is /dev/null.
    something_in("/proc/keys")
}

fn proc_timer_list() -> io::Result<()> {
    something_in("/proc/timer_list")
}

fn something_in(path: &str) -> io::Result<()> {
    let mut byte = [0];
    match File::open(path)?.read(&mut byte)? {
        0 => Err(held("empty")),
        _ => Ok(()),
    }
}

fn proc_kmsg() -> io::Result<()> {
    // Not read: the host's own reader would miss what was.
    let file = File::open("/proc/kmsg")?;
    match file.metadata()?.rdev() {
        0 => Ok(()),
        _ => Err(held("covered by a device")),
    }
}

fn host_processes() -> io::Result<()> {
    fs::metadata(format!("/proc/{}", victim()?)).map(drop)
}
