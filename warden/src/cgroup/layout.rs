//! Which hierarchies the host has, from its mount table.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Mounted hierarchies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Version 1 controllers we use, each with its mount point.
    pub(crate) v1: BTreeMap<String, PathBuf>,
    /// The version 2 tree.
    pub(crate) v2: Option<PathBuf>,
    /// Controllers the version 2 tree offers.
    pub(crate) v2_controllers: Vec<String>,
}

const USED: [&str; 4] = ["memory", "cpu", "cpuacct", "pids"];

impl Layout {
    /// Reads the running host's.
    pub(crate) fn detect() -> Self {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mut layout = Self::parse(&mounts);
        if let Some(root) = &layout.v2 {
            let file = root.join("cgroup.controllers");
            let text = std::fs::read_to_string(file).unwrap_or_default();
            layout.v2_controllers = text.split_whitespace().map(str::to_owned).collect();
        }
        layout
    }

    /// Reads a `mountinfo` text.
    pub(crate) fn parse(mountinfo: &str) -> Self {
        let mut layout = Self::default();
        for line in mountinfo.lines() {
            let Some((left, right)) = line.split_once(" - ") else {
                continue;
            };
            let Some(point) = left.split(' ').nth(4) else {
                continue;
            };
            let mut right = right.split(' ');
            match (right.next(), right.nth(1)) {
                (Some("cgroup2"), _) => layout.v2 = Some(PathBuf::from(point)),
                (Some("cgroup"), Some(options)) => {
                    for name in options.split(',').filter(|name| USED.contains(name)) {
                        layout
                            .v1
                            .entry(name.to_owned())
                            .or_insert_with(|| point.into());
                    }
                }
                _ => {}
            }
        }
        layout
    }

    /// Root of the hierarchy that has `controller`, and whether it is version 2.
    pub(crate) fn find(&self, controller: &str) -> Option<(&Path, bool)> {
        if let Some(root) = self.v1.get(controller) {
            return Some((root, false));
        }
        let offered = self.v2_controllers.iter().any(|name| name == controller);
        self.v2
            .as_deref()
            .filter(|_| offered)
            .map(|root| (root, true))
    }

    /// Every hierarchy that limits or counts something for us, once, and whether
    /// it is version 2.
    pub(crate) fn serving(&self) -> Vec<(&Path, bool)> {
        let mut roots: Vec<_> = USED.iter().filter_map(|name| self.find(name)).collect();
        roots.sort();
        roots.dedup();
        roots
    }

    /// Every hierarchy once.
    #[cfg(feature = "host")]
    pub(crate) fn roots(&self) -> impl Iterator<Item = &Path> {
        let mut roots: Vec<&Path> = self.v1.values().map(PathBuf::as_path).collect();
        roots.extend(self.v2.as_deref());
        roots.sort();
        roots.dedup();
        roots.into_iter()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const HYBRID: &str = "\
32 31 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:31 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:35 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw";

    #[test]
    fn a_hybrid_host_gives_controllers_from_v1() {
        let layout = Layout::parse(HYBRID);
        assert_eq!(
            layout.find("memory"),
            Some((Path::new("/sys/fs/cgroup/memory"), false))
        );
        assert_eq!(
            layout.find("cpuacct").unwrap().0,
            Path::new("/sys/fs/cgroup/cpu,cpuacct")
        );
        assert_eq!(layout.roots().count(), 4);
        let serving = layout.serving();
        assert_eq!(serving.len(), 3);
        assert!(serving.iter().all(|(_, v2)| !v2), "{serving:?}");
    }

    #[test]
    fn a_pure_v2_host_gives_what_it_offers() {
        let mut layout =
            Layout::parse("30 1 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate");
        layout.v2_controllers = vec!["memory".into(), "pids".into()];
        assert_eq!(
            layout.find("memory"),
            Some((Path::new("/sys/fs/cgroup"), true))
        );
        assert_eq!(layout.find("cpu"), None);
        assert_eq!(layout.serving(), [(Path::new("/sys/fs/cgroup"), true)]);
    }
}
