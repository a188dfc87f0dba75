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

/// Whether no such process runs: a zombie does not, nor does one on its way
/// out, which has lost its memory and its name but not yet its files and locks.
#[cfg(feature = "host")]
pub(crate) fn has_ended(pid: i32) -> bool {
    stat(pid).is_none_or(|stat| is_ending(&stat))
}

/// `PF_EXITING` of the kernel's process flags.
#[cfg(feature = "host")]
const EXITING: u64 = 0x4;

#[cfg(feature = "host")]
fn is_ending(stat: &[String]) -> bool {
    let state = stat.first().map(String::as_str);
    let flags = stat.get(6).and_then(|flags| flags.parse::<u64>().ok());
    matches!(state, Some("Z" | "X")) || flags.is_some_and(|flags| flags & EXITING != 0)
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

#[cfg(all(test, feature = "host"))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn fields(state: &str, flags: u64) -> Vec<String> {
        let text = format!("{state} 1 7 7 0 -1 {flags} 0 0");
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_process_on_its_way_out_has_ended_and_a_waiting_one_has_not() {
        assert!(is_ending(&fields("Z", 0x40_0000)));
        assert!(is_ending(&fields("R", 0x40_0000 | EXITING)));
        assert!(!is_ending(&fields("D", 0x40_0000)));
    }

    #[test]
    fn this_process_runs_and_one_that_was_reaped_does_not() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        child.wait().unwrap();
        assert!(has_ended(pid));
        assert!(!has_ended(i32::try_from(std::process::id()).unwrap()));
    }
}
