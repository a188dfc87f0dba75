//! A few facts from `/proc/PID`.

use std::fs;

/// Fields of `/proc/PID/stat` after the command name; the first is the state.
fn stat(pid: i32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// Clock ticks after boot when the process started: tells a reused pid apart.
pub(crate) fn start_time(pid: i32) -> Option<u64> {
    stat(pid)?.get(19)?.parse().ok()
}

/// Whether exactly this process runs (a zombie does not).
#[cfg(feature = "host")]
pub(crate) fn is_alive(pid: i32, started: u64) -> bool {
    let Some(stat) = stat(pid) else { return false };
    let same = stat.get(19).and_then(|t| t.parse::<u64>().ok()) == Some(started);
    same && !matches!(stat.first().map(String::as_str), Some("Z" | "X"))
}

/// Whether no such process runs (a zombie does not).
#[cfg(feature = "host")]
pub(crate) fn has_ended(pid: i32) -> bool {
    let state = stat(pid).and_then(|stat| stat.into_iter().next());
    state.is_none_or(|state| matches!(state.as_str(), "Z" | "X"))
}

/// The parent's pid.
pub(crate) fn parent(pid: i32) -> Option<i32> {
    stat(pid)?.get(1)?.parse().ok()
}

/// Resident bytes and CPU nanoseconds (at the usual 100 ticks per second).
pub(crate) fn usage(pid: i32) -> Option<(u64, u64)> {
    let stat = stat(pid)?;
    let number = |i: usize| stat.get(i).and_then(|t| t.parse::<u64>().ok());
    let ticks = number(11)? + number(12)?;
    Some((number(21)? * 4096, ticks * 10_000_000))
}

/// Every process there is.
pub(crate) fn pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}
