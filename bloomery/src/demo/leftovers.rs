//! What a platform may leave behind: seen from outside, before and after.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Links, packet-filter tables, mounts, cgroups, loop devices and processes that
/// carry our names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot(BTreeSet<String>);

impl Snapshot {
    /// Looks now. Processes are ours when their command line names `data_dir`.
    pub fn take(data_dir: &Path) -> Self {
        let mut all = BTreeSet::new();
        all.extend(
            lines("ip", &["-o", "link"])
                .filter_map(|l| Some(format!("link {}", l.split(": ").nth(1)?))),
        );
        all.extend(lines("nft", &["list", "tables"]).filter(|l| l.contains("bloomery")));
        all.extend(
            lines("losetup", &["-a"]).filter(|l| l.contains("bloomery") || mentions(l, data_dir)),
        );
        all.extend(mounts(data_dir));
        all.extend(cgroups());
        all.extend(processes(data_dir));
        Self(all)
    }

    /// What is here now and was not there before.
    pub fn beyond(&self, before: &Snapshot) -> Vec<String> {
        self.0.difference(&before.0).cloned().collect()
    }
}

fn mentions(text: &str, dir: &Path) -> bool {
    text.contains(&dir.display().to_string())
}

fn lines(program: &str, args: &[&str]) -> impl Iterator<Item = String> {
    let output = Command::new(program).args(args).output();
    let text = output
        .map(|o| String::from_utf8_lossy(&o.stdout).into_owned())
        .unwrap_or_default();
    text.lines()
        .map(str::to_owned)
        .collect::<Vec<_>>()
        .into_iter()
}

fn mounts(data_dir: &Path) -> Vec<String> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    text.lines()
        .filter(|l| mentions(l, data_dir))
        .map(|l| format!("mount {l}"))
        .collect()
}

/// Containers' cgroups, two levels below `bloomery` (tag, handle) in any hierarchy.
fn cgroups() -> Vec<String> {
    let mut found = Vec::new();
    for hierarchy in std::fs::read_dir("/sys/fs/cgroup")
        .into_iter()
        .flatten()
        .flatten()
    {
        for tag in std::fs::read_dir(hierarchy.path().join("bloomery"))
            .into_iter()
            .flatten()
            .flatten()
        {
            if tag.path().is_dir() {
                found.push(format!("cgroup {}", tag.path().display()));
            }
        }
    }
    found
}

fn processes(data_dir: &Path) -> Vec<String> {
    let own = std::process::id();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|n| n.parse::<u32>().ok())
        else {
            continue;
        };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if pid != own && mentions(&line, data_dir) {
            found.push(format!("process {pid} {}", line.trim()));
        }
    }
    found
}
