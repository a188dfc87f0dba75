//! Control groups, both generations: `k` holds keeper and init, `j` the jobs.

mod layout;
mod plan;

pub(crate) use layout::Layout;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::sys::At;
use crate::{Limits, Result};

/// The groups of one container.
#[derive(Debug)]
pub(crate) struct Cgroups {
    layout: Layout,
    path: String,
}

impl Cgroups {
    /// Names the groups; touches nothing. `path` is relative to every hierarchy.
    pub(crate) fn new(layout: Layout, path: &str) -> Self {
        Self {
            layout,
            path: path.to_owned(),
        }
    }

    /// Makes `k` of the version 2 tree and opens it, for the keeper to be born in.
    pub(crate) fn home(&self) -> Result<Option<OwnedFd>> {
        let Some(v2) = &self.layout.v2 else {
            return Ok(None);
        };
        enable_controllers(v2, &self.layout.v2_controllers, &self.path)?;
        let dir = v2.join(&self.path).join("k");
        make(&dir)?;
        let open = File::open(&dir).at(format!("open {}", dir.display()))?;
        Ok(Some(open.into()))
    }

    /// Makes both groups, puts the caller, which has no other threads, into `k`
    /// and sets the limits on `j`.
    pub(crate) fn create(&self, limits: &Limits) -> Result<()> {
        let at_home = self.is_at_home();
        if !at_home {
            self.home()?;
        }
        for (dir, v2) in self.keeper_dirs() {
            make(&dir)?;
            if !(v2 && at_home) {
                fs::write(dir.join(door(v2)), "0").at(format!("join {}", dir.display()))?;
            }
        }
        for (dir, _) in self.job_dirs() {
            make(&dir)?;
        }
        self.limit(limits)
    }

    /// Whether the caller is in `k` of the version 2 tree.
    fn is_at_home(&self) -> bool {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        plan::is_in_v2(&own, &format!("/{}/k", self.path))
    }

    /// Writes the limits that are given.
    pub(crate) fn limit(&self, limits: &Limits) -> Result<()> {
        for controller in ["memory", "cpu", "pids"] {
            let Some((dir, v2)) = self.controller(controller) else {
                continue;
            };
            let now = plan::MemoryNow {
                memsw: read_number(&dir.join("memory.memsw.limit_in_bytes")),
            };
            for write in plan::writes(controller, v2, limits, now) {
                let file = dir.join(write.file);
                match fs::write(&file, &write.value) {
                    // Kernels without swap accounting lack these files.
                    Err(e) if write.optional && e.kind() == io::ErrorKind::NotFound => {}
                    other => other.at(format!("write {} to {}", write.value, file.display()))?,
                }
            }
        }
        Ok(())
    }

    /// The doors of every job group, open for writing: the kernel judges the
    /// opener, so a process without rights may still join through them, by writing
    /// 0, as long as it has no other threads.
    pub(crate) fn open_doors(&self) -> Result<Vec<File>> {
        self.job_dirs()
            .iter()
            .map(|(dir, v2)| {
                let file = dir.join(door(*v2));
                OpenOptions::new()
                    .write(true)
                    .open(&file)
                    .at(format!("open {}", file.display()))
            })
            .collect()
    }

    /// The `j` directory of one controller, and whether it is version 2.
    pub(crate) fn controller(&self, name: &str) -> Option<(PathBuf, bool)> {
        let (root, v2) = self.layout.find(name)?;
        Some((root.join(&self.path).join("j"), v2))
    }

    /// What these groups can enforce.
    pub(crate) fn enforced(&self) -> Vec<String> {
        ["memory", "cpu", "pids"]
            .into_iter()
            .filter(|name| self.layout.find(name).is_some())
            .map(str::to_owned)
            .collect()
    }

    /// Memory in use without inactive page cache, bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let Some((dir, v2)) = self.controller("memory") else {
            return 0;
        };
        let stat = fs::read_to_string(dir.join("memory.stat")).unwrap_or_default();
        plan::memory_in_use(&stat, v2)
    }

    /// CPU time used, nanoseconds.
    pub(crate) fn cpu_ns(&self) -> u64 {
        if let Some((dir, false)) = self.controller("cpuacct") {
            return read_number(&dir.join("cpuacct.usage")).unwrap_or(0);
        }
        let Some((dir, true)) = self.controller("cpu") else {
            return 0;
        };
        let stat = fs::read_to_string(dir.join("cpu.stat")).unwrap_or_default();
        plan::field(&stat, "usage_usec").unwrap_or(0) * 1000
    }

    /// How many processes the kernel killed for want of memory.
    pub(crate) fn oom_kills(&self) -> u64 {
        let Some((dir, v2)) = self.controller("memory") else {
            return 0;
        };
        let file = if v2 {
            "memory.events"
        } else {
            "memory.oom_control"
        };
        plan::field(
            &fs::read_to_string(dir.join(file)).unwrap_or_default(),
            "oom_kill",
        )
        .unwrap_or(0)
    }

    /// Most memory ever in use and the limit on it, bytes; 0 where the kernel does not tell.
    pub(crate) fn memory_marks(&self) -> (u64, u64) {
        let Some((dir, v2)) = self.controller("memory") else {
            return (0, 0);
        };
        let names = if v2 {
            ["memory.peak", "memory.max"]
        } else {
            ["memory.max_usage_in_bytes", "memory.limit_in_bytes"]
        };
        let [peak, limit] = names.map(|name| read_number(&dir.join(name)).unwrap_or(0));
        (peak, limit)
    }

    /// Processes of the jobs, as the caller's pid namespace numbers them.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let Some((root, _)) = self.layout.find("pids").or(self.layout.find("memory")) else {
            return Vec::new();
        };
        let file = root.join(&self.path).join("j/cgroup.procs");
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// Path below every hierarchy.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Removes the job groups; they must be empty soon.
    pub(crate) fn remove_jobs(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(5);
        self.job_dirs()
            .iter()
            .try_for_each(|(dir, _)| remove(dir, deadline))
    }

    /// Ends every process in the groups and removes them, from outside.
    #[cfg(feature = "host")]
    pub(crate) fn purge(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        let parents: Vec<PathBuf> = self
            .layout
            .roots()
            .map(|root| root.join(&self.path))
            .collect();
        for parent in &parents {
            for dir in ["j", "k"].map(|name| parent.join(name)) {
                kill_all(&dir, deadline);
                remove(&dir, deadline)?;
            }
            remove(parent, deadline)?;
        }
        Ok(())
    }

    /// `k`, and whether each is of version 2.
    fn keeper_dirs(&self) -> Vec<(PathBuf, bool)> {
        let v2 = self.layout.v2.as_deref().map(|root| (root, true));
        let mut roots: Vec<_> = self.layout.find("memory").into_iter().chain(v2).collect();
        roots.dedup();
        self.below(roots, "k")
    }

    /// `j`, and whether each is of version 2. In a tree that limits nothing jobs
    /// stay with init.
    fn job_dirs(&self) -> Vec<(PathBuf, bool)> {
        self.below(self.layout.serving(), "j")
    }

    fn below(&self, roots: Vec<(&Path, bool)>, group: &str) -> Vec<(PathBuf, bool)> {
        let dir = |root: &Path| root.join(&self.path).join(group);
        roots.iter().map(|(root, v2)| (dir(root), *v2)).collect()
    }
}

/// The file through which a process without other threads joins a group. To move
/// a whole process the kernel stops all forks of the host, and waits 10 to 20 ms
/// for that after a quiet time; version 1 lets a thread move itself without.
fn door(v2: bool) -> &'static str {
    if v2 { "cgroup.procs" } else { "tasks" }
}

/// Directories below `bloomery/<tag>` in any hierarchy: container handles.
#[cfg(feature = "host")]
pub(crate) fn handles_below(layout: &Layout, tag_path: &str) -> Vec<String> {
    let mut found = std::collections::BTreeSet::new();
    for root in layout.roots() {
        for entry in fs::read_dir(root.join(tag_path))
            .into_iter()
            .flatten()
            .flatten()
        {
            if entry.path().is_dir() {
                found.insert(entry.file_name().to_string_lossy().into_owned());
            }
        }
    }
    found.into_iter().collect()
}

/// Removes the tag's own directory in every hierarchy if it is empty, then `bloomery`.
#[cfg(feature = "host")]
pub(crate) fn remove_tag(layout: &Layout, tag_path: &str) {
    for root in layout.roots() {
        let dir = root.join(tag_path);
        // Busy or absent: another platform's groups are there, or nothing is.
        let _ = fs::remove_dir(&dir);
        if let Some(parent) = dir.parent() {
            let _ = fs::remove_dir(parent);
        }
    }
}

fn make(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).at(format!("mkdir {}", dir.display()))
}

fn enable_controllers(root: &Path, available: &[String], path: &str) -> Result<()> {
    let wanted = plan::subtree_control(available);
    if wanted.is_empty() {
        return Ok(());
    }
    let mut dir = root.to_owned();
    let mut parts = path.split('/');
    loop {
        let file = dir.join("cgroup.subtree_control");
        fs::write(&file, &wanted).at(format!("write {wanted} to {}", file.display()))?;
        let Some(part) = parts.next() else {
            return Ok(());
        };
        dir.push(part);
        make(&dir)?;
    }
}

fn read_number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// rmdir that waits for the last process to leave; absent is fine.
fn remove(dir: &Path, deadline: Instant) -> Result<()> {
    loop {
        match fs::remove_dir(dir) {
            Err(e) if e.raw_os_error() == Some(libc::EBUSY) && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => return other.at(format!("rmdir {}", dir.display())),
        }
    }
}

#[cfg(feature = "host")]
fn kill_all(dir: &Path, deadline: Instant) {
    let _ = fs::write(dir.join("cgroup.kill"), "1");
    while Instant::now() < deadline {
        let procs = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
        let pids: Vec<i32> = procs.lines().filter_map(|line| line.parse().ok()).collect();
        if pids.is_empty() {
            return;
        }
        for pid in pids {
            // Gone already is as good as killed.
            let _ = crate::sys::process::kill(pid, libc::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
