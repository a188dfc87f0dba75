//! Processes by pid, start time and program: a pid alone may belong to somebody
//! else by the time one looks.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// One process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Pid.
    pub pid: u32,
    /// Start time in clock ticks since boot (`/proc/PID/stat`, field 22).
    pub started: u64,
    /// Program.
    pub program: PathBuf,
}

impl Identity {
    /// The running process of that pid, if it runs that program.
    pub fn of(pid: u32, program: &Path) -> Option<Self> {
        let found = Self {
            pid,
            started: start_time(pid)?,
            program: program.into(),
        };
        found.is_alive().then_some(found)
    }

    /// Whether this very process still runs (a zombie does not).
    pub fn is_alive(&self) -> bool {
        start_time(self.pid) == Some(self.started) && self.runs_program()
    }

    fn runs_program(&self) -> bool {
        let Ok(exe) = std::fs::read_link(format!("/proc/{}/exe", self.pid)) else {
            return false;
        };
        // A rebuilt program shows as deleted while the old one still runs.
        let shown = exe.to_string_lossy();
        let name = shown.strip_suffix(" (deleted)").unwrap_or(&shown);
        let real = std::fs::canonicalize(&self.program).unwrap_or_else(|_| self.program.clone());
        Path::new(name) == real || Path::new(name).file_name() == self.program.file_name()
    }

    /// Resident memory, kB.
    pub fn rss_kb(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        line.and_then(|l| l.trim().split(' ').next()?.parse().ok())
            .unwrap_or(0)
    }

    /// Sends a signal by name, only to this very process.
    pub fn signal(&self, name: &str) {
        if self.is_alive() {
            let _ = std::process::Command::new("kill")
                .arg(format!("-{name}"))
                .arg(self.pid.to_string())
                .status();
        }
    }
}

/// Start time of a live process; none for a zombie.
fn start_time(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name in parentheses may contain anything, so count from its end.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_itself_until_it_ends() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .expect("sleep");
        let program = std::fs::read_link(format!("/proc/{}/exe", child.id())).expect("exe");
        let id = Identity::of(child.id(), &program).expect("alive");
        assert!(id.is_alive());
        assert!(
            !Identity {
                started: id.started + 1,
                ..id.clone()
            }
            .is_alive(),
            "another start time is another process"
        );
        assert!(Identity::of(child.id(), Path::new("/usr/bin/other")).is_none());
        child.kill().expect("kill");
        child.wait().expect("wait");
        assert!(!id.is_alive());
    }
}
