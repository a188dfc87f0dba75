//! Signals, priorities, zombies.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use super::{CAPS, PIDNS, RLIMITS, USERNS};
use crate::attacker::fact;
use crate::row::{Row, held, row};
use crate::sys::{call, fork, kill, wait};
use crate::walls::Wall;

/// Priorities are the machine's: capabilities of the first user namespace.
const PRIORITY: &[Wall] = &[CAPS, USERNS];

pub(super) const ROWS: &[Row] = &[
    row(
        "signal_host",
        "signal a process of the host",
        "ESRCH",
        &[PIDNS, USERNS],
        signal_host,
    )
    .root_only(),
    row("kill_init", "kill -9 init", "held", &[PIDNS], kill_init)
        .vcap("EPERM")
        .succeeds("ok|SIGKILL"),
    row("stop_init", "stop init", "held", &[PIDNS], stop_init)
        .vcap("EPERM")
        .succeeds("ok|SIGKILL"),
    row(
        "real_time",
        "take a real-time priority",
        "EPERM",
        PRIORITY,
        real_time,
    )
    .in_vm(),
    row(
        "nice",
        "become more important than the host",
        "EACCES",
        PRIORITY,
        nice,
    ),
    row(
        "io_priority",
        "take a real-time I/O priority",
        "EPERM",
        PRIORITY,
        io_priority,
    ),
    row(
        "oom_score",
        "hide from the OOM killer",
        "EACCES",
        PRIORITY,
        oom_score,
    )
    .in_vm(),
    row(
        "core_files",
        "allow core files again",
        "EPERM",
        &[RLIMITS],
        core_files,
    ),
    row(
        "zombie_flood",
        "leave zombies behind",
        "held",
        &[Wall::Reaper],
        zombie_flood,
    ),
];

fn signal_host() -> io::Result<()> {
    let victim = fact("VICTIM")?.parse().map_err(io::Error::other)?;
    // A running process takes no notice of this one.
    kill(victim, libc::SIGCONT)
}

/// Signals init and looks whether it took effect.
fn signal_init(signal: i32, hit: impl Fn(i64) -> bool) -> io::Result<()> {
    let init = call!(SYS_getppid)?;
    if init == 0 {
        // Number 0 would be the attacker's own group.
        return Err(held("nobody above"));
    }
    // It still has to tell the keeper that this attempt runs.
    comes_true(Duration::from_secs(10), || state_of(init) == Some('S'));
    kill(init as i32, signal)?;
    match comes_true(Duration::from_millis(300), || hit(init)) {
        true => Ok(()),
        false => Err(held("init goes on")),
    }
}

fn comes_true(within: Duration, what: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + within;
    while Instant::now() < deadline {
        if what() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

/// `S` sleeps, `T` is stopped.
fn state_of(pid: i64) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

fn kill_init() -> io::Result<()> {
    signal_init(libc::SIGKILL, |init| {
        call!(SYS_getppid).is_ok_and(|now| now != init)
    })
}

fn stop_init() -> io::Result<()> {
    let stopped = signal_init(libc::SIGSTOP, |init| state_of(init) == Some('T'));
    // Otherwise nobody notices the end of this attempt.
    kill(call!(SYS_getppid)? as i32, libc::SIGCONT)?;
    stopped
}

fn real_time() -> io::Result<()> {
    let lowest = 1i32.to_ne_bytes();
    call!(SYS_sched_setscheduler, 0, libc::SCHED_RR, &lowest).map(drop)
}

fn nice() -> io::Result<()> {
    call!(SYS_setpriority, libc::PRIO_PROCESS, 0, -20).map(drop)
}

fn io_priority() -> io::Result<()> {
    const WHO_PROCESS: i32 = 1;
    const REAL_TIME: i32 = 1 << 13;
    call!(SYS_ioprio_set, WHO_PROCESS, 0, REAL_TIME).map(drop)
}

fn oom_score() -> io::Result<()> {
    fs::write("/proc/self/oom_score_adj", "-1000")
}

fn core_files() -> io::Result<()> {
    let limit = [1u64 << 20; 2].map(u64::to_ne_bytes).concat();
    call!(SYS_setrlimit, libc::RLIMIT_CORE, &limit[..]).map(drop)
}

const ZOMBIES: usize = 300;

/// More orphans, one after the other, than the limit has room for.
fn zombie_flood() -> io::Result<()> {
    for _ in 0..ZOMBIES {
        // Those left behind fill the limit, for a moment or for good.
        while !leave_orphan()? {
            if !all_are_reaped() {
                return Ok(());
            }
        }
    }
    match all_are_reaped() {
        true => Err(held("all of them were reaped")),
        false => Ok(()),
    }
}

/// False: the limit of processes is reached.
fn leave_orphan() -> io::Result<bool> {
    match fork(|| i32::from(fork(|| 0).is_err())) {
        Err(e) if e.raw_os_error() == Some(libc::EAGAIN) => Ok(false),
        Err(e) => Err(e),
        Ok(child) => Ok(wait(child)? == 0),
    }
}

fn all_are_reaped() -> bool {
    comes_true(Duration::from_secs(5), || {
        zombies().is_ok_and(|count| count == 0)
    })
}

fn zombies() -> io::Result<usize> {
    let stats = fs::read_dir("/proc")?
        .flatten()
        .map(|e| e.path().join("stat"));
    let is_zombie = |path: &std::path::PathBuf| {
        fs::read_to_string(path).is_ok_and(|text| text.contains(") Z "))
    };
    Ok(stats.filter(is_zombie).count())
}
