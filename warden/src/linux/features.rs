//! What the kernel must offer, looked at once, so that the first container does
//! not fail half-way with a bare errno.

use std::path::Path;

use crate::cgroup::Layout;
use crate::{Error, Result};

/// Fails with the first feature that is missing.
pub(crate) fn check() -> Result<()> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let layout = Layout::detect();
    judge(&Facts {
        user_namespaces: Path::new("/proc/self/ns/user").exists()
            && read("/proc/sys/user/max_user_namespaces").trim() != "0",
        filesystems: read("/proc/filesystems"),
        modules: Path::new("/proc/modules").exists(),
        seccomp: Path::new("/proc/sys/kernel/seccomp/actions_avail").exists(),
        memory: layout.find("memory").is_some(),
        pids: layout.find("pids").is_some(),
    })
}

/// What was seen of the host.
#[derive(Debug, Clone)]
struct Facts {
    user_namespaces: bool,
    /// Text of `/proc/filesystems`.
    filesystems: String,
    /// File systems may come as modules at their first mount.
    modules: bool,
    seccomp: bool,
    memory: bool,
    pids: bool,
}

fn judge(facts: &Facts) -> Result<()> {
    let overlay = facts.modules || facts.filesystems.split_whitespace().any(|w| w == "overlay");
    let needed = [
        (
            facts.user_namespaces,
            "user namespaces",
            "set sysctl user.max_user_namespaces above 0, or use a kernel with CONFIG_USER_NS",
        ),
        (
            overlay,
            "overlayfs",
            "it is not in /proc/filesystems; use a kernel with CONFIG_OVERLAY_FS",
        ),
        (
            facts.seccomp,
            "seccomp filters",
            "use a kernel with CONFIG_SECCOMP_FILTER",
        ),
        (
            facts.memory,
            "the memory controller",
            "no mounted cgroup hierarchy offers it; mount one, or boot with cgroup_enable=memory",
        ),
        (
            facts.pids,
            "the pids controller",
            "no mounted cgroup hierarchy offers it; mount one",
        ),
    ];
    match needed.into_iter().find(|(there, _, _)| !there) {
        Some((_, feature, why)) => Err(Error::Missing {
            feature,
            why: why.into(),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_missing_feature_is_named_with_its_remedy() {
        let whole = Facts {
            user_namespaces: true,
            filesystems: "nodev\toverlay\n\text4\n".into(),
            modules: false,
            seccomp: true,
            memory: true,
            pids: true,
        };
        judge(&whole).unwrap();
        let without = |change: fn(&mut Facts)| {
            let mut facts = whole.clone();
            change(&mut facts);
            judge(&facts).unwrap_err().to_string()
        };
        assert!(without(|f| f.user_namespaces = false).contains("max_user_namespaces"));
        assert!(without(|f| f.filesystems.clear()).contains("overlayfs"));
        assert!(without(|f| f.memory = false).contains("memory controller"));
    }
}
