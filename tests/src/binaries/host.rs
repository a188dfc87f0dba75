//! What of the host a platform could leave behind.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Everything found, by kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSnapshot {
    /// Kind (`links`, `mounts`, …) to what there is.
    pub found: BTreeMap<&'static str, BTreeSet<String>>,
}

impl HostSnapshot {
    /// Looks at the host. Processes are those that name `data_dir`.
    pub fn take(data_dir: &Path) -> Self {
        let found = BTreeMap::from([
            ("links", links()),
            ("packet filter tables", lines_of("nft", &["list", "tables"])),
            ("mounts", mounts()),
            ("cgroups", cgroups()),
            ("loop devices", lines_of("losetup", &["-a"])),
            ("processes", processes(data_dir)),
            ("sysctls", sysctls()),
            ("claims", claims(data_dir)),
            (
                "files",
                Some(data_dir)
                    .filter(|d| d.exists())
                    .map(|d| d.display().to_string())
                    .into_iter()
                    .collect(),
            ),
        ]);
        Self { found }
    }

    /// What is here and was not in `before`, one line each: `kind: what`.
    pub fn beyond(&self, before: &Self) -> Vec<String> {
        let none = BTreeSet::new();
        let kinds = self.found.iter();
        let new = kinds.flat_map(|(kind, now)| {
            let then = before.found.get(kind).unwrap_or(&none);
            now.difference(then)
                .map(move |what| format!("{kind}: {what}"))
        });
        new.collect()
    }
}

/// Lines of a program that needs `sbin` in its path.
fn lines_of(program: &str, arguments: &[&str]) -> BTreeSet<String> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", path)
        .output();
    let output = output.unwrap_or_else(|e| {
        panic!("{program} cannot be run: {e}; `./x build` installs what is missing")
    });
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(str::to_owned)
        .collect()
}

/// Names only: counters and states change by themselves.
fn links() -> BTreeSet<String> {
    let name = |line: String| line.split(": ").nth(1).unwrap_or_default().to_owned();
    lines_of("ip", &["-o", "link"])
        .into_iter()
        .map(name)
        .collect()
}

/// Device, mount point and type, without the numbers that a remount changes.
fn mounts() -> BTreeSet<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    text.lines()
        .map(|line| line.split(' ').skip(2).collect::<Vec<_>>().join(" "))
        .collect()
}

/// Directories below `bloomery` in any hierarchy, two levels deep.
fn cgroups() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let hierarchies = directories(Path::new("/sys/fs/cgroup"));
    for root in hierarchies
        .iter()
        .map(String::as_str)
        .chain(["/sys/fs/cgroup"])
    {
        let ours = Path::new(root).join("bloomery");
        for tag in directories(&ours) {
            found.extend(directories(Path::new(&tag)));
            found.insert(tag);
        }
    }
    found
}

fn directories(parent: &Path) -> Vec<String> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let directories = entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
    directories
        .map(|e| e.path().display().to_string())
        .collect()
}

/// Processes whose arguments or working directory mention the data directory.
fn processes(data_dir: &Path) -> BTreeSet<String> {
    let wanted = data_dir.display().to_string();
    let describe = |pid: String| {
        let arguments = fs::read(format!("{pid}/cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments).replace('\0', " ");
        let place = fs::read_link(format!("{pid}/cwd"))
            .map(|p| p.display().to_string())
            .unwrap_or_default();
        (arguments.contains(&wanted) || place.contains(&wanted))
            .then(|| format!("{pid} {arguments}(in {place})"))
    };
    directories(Path::new("/proc"))
        .into_iter()
        .filter(|d| d[6..].bytes().all(|b| b.is_ascii_digit()))
        .filter_map(describe)
        .collect()
}

fn sysctls() -> BTreeSet<String> {
    let value = |name: &&str| {
        format!(
            "{name} = {}",
            fs::read_to_string(format!("/proc/sys/{name}"))
                .unwrap_or_default()
                .trim()
        )
    };
    [
        "net/ipv4/ip_forward",
        "net/ipv4/conf/all/route_localnet",
        "net/ipv4/conf/all/forwarding",
    ]
    .iter()
    .map(value)
    .collect()
}

/// Entries of the host-wide register that belong to the data directory.
fn claims(data_dir: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string("/run/bloomery/register.json").unwrap_or_default();
    let wanted = data_dir.display().to_string();
    text.lines()
        .filter(|line| line.contains(&wanted))
        .map(|line| line.trim().to_owned())
        .collect()
}

/// Memory of a process that is in RAM, bytes; 0 when there is no such process.
pub fn resident_bytes(pid: u64) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = text.lines().find_map(|line| {
        let rest = line.strip_prefix("VmRSS:")?;
        rest.split_whitespace().next()?.parse::<u64>().ok()
    });
    kib.unwrap_or(0) * 1024
}
