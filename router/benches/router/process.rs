//! Child processes, pinned to a core, and what the kernel says of them.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A child, killed when dropped.
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        for pid in self.tree() {
            let _ = Command::new("kill").arg(pid.to_string()).status();
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program on one core.
pub(crate) fn pinned(core: usize, program: &str, arguments: &[&str], stdout: Stdio) -> Process {
    let mut command = Command::new("taskset");
    command
        .args(["-c", &core.to_string(), program])
        .args(arguments);
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let child = command.env("PATH", path).stdout(stdout).spawn();
    Process(child.unwrap_or_else(|error| panic!("{program} cannot be run: {error}")))
}

/// This program again, in another role.
pub(crate) fn pinned_self(core: usize, arguments: &[&str]) -> Process {
    let program = std::env::current_exe().unwrap();
    pinned(core, program.to_str().unwrap(), arguments, Stdio::piped())
}

impl Process {
    /// The first line it prints.
    pub(crate) fn first_line(&mut self) -> String {
        let mut line = String::new();
        let out = self.0.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// It and its children.
    fn tree(&self) -> Vec<u32> {
        let pid = self.0.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        let parsed = children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok());
        std::iter::once(pid).chain(parsed).collect()
    }

    /// Run time of all threads, children included.
    pub(crate) fn cpu(&self) -> Duration {
        let tasks = self.tree().into_iter().flat_map(|pid| {
            let dir = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter();
            dir.flatten().flatten().map(|entry| entry.path())
        });
        tasks.map(|task| run_time(&task)).sum()
    }

    /// Resident memory, children included.
    pub(crate) fn rss_kb(&self) -> u64 {
        let of = |pid: u32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            line.and_then(|line| {
                line.trim()
                    .trim_end_matches(" kB")
                    .trim()
                    .parse::<u64>()
                    .ok()
            })
            .unwrap_or(0)
        };
        self.tree().into_iter().map(of).sum()
    }
}

fn run_time(task: &Path) -> Duration {
    let text = std::fs::read_to_string(task.join("schedstat")).unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|text| text.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}
