//! Init's own mounts: a fresh /proc with masks, a small /dev, and pivot_root.

use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::Path;

use super::guards::{Guard, Guards};
use crate::Result;
use crate::sys::mount::{self, Attr};
use crate::sys::{At, process};

const NODES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
const LINKS: [(&str, &str); 5] = [
    ("pts/ptmx", "ptmx"),
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
];
const HIDDEN_FILES: [&str; 7] = [
    "kcore",
    "keys",
    "timer_list",
    "sched_debug",
    "latency_stats",
    "timer_stats",
    "kmsg",
];
const HIDDEN_DIRS: [&str; 3] = ["acpi", "scsi", "asound"];
const READ_ONLY: [&str; 5] = ["bus", "fs", "irq", "sys", "sysrq-trigger"];

/// Makes the directory `root` the root of a mount namespace owned by the
/// container. The container's own user cannot reach it by path (a depot is
/// closed to others), so all of this works from the inside of the directory.
pub(super) fn enter(root: &OwnedFd, guards: Guards) -> Result<()> {
    process::change_dir(root.as_fd()).at("init: fchdir root")?;
    // The current directory follows into the copy of the mount tree.
    process::unshare(libc::CLONE_NEWNS).at("init: unshare CLONE_NEWNS")?;
    mount::make_root_private().at("init: make / private")?;
    // A mount copied from a more privileged namespace is locked; its clone is not.
    let tree = mount::open_tree_clone_all(Path::new(".")).at("init: clone root")?;
    mount::move_to(tree.as_fd(), Path::new(".")).at("init: mount root onto itself")?;
    process::change_dir(tree.as_fd()).at("init: fchdir root")?;
    proc(Path::new("proc"), guards)?;
    dev(Path::new("dev"), guards)?;
    mount::pivot_here().at("init: pivot_root")?;
    std::env::set_current_dir("/").at("init: chdir /")
}

fn proc(proc: &Path, guards: Guards) -> Result<()> {
    dir(proc)?;
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    if guards.has(Guard::PidNamespace) {
        mount::mount("proc", proc, "proc", flags, "").at("init: mount proc")?;
    } else {
        // The kernel gives nobody a new one for a namespace that is not theirs.
        let whole = mount::open_tree_clone_all(Path::new("/proc")).at("init: clone proc")?;
        mount::move_to(whole.as_fd(), proc).at("init: move proc")?;
    }
    if guards.has(Guard::HiddenProc) {
        hide(proc, flags)?;
    }
    if guards.has(Guard::ReadOnlyProc) {
        make_read_only(proc)?;
    }
    Ok(())
}

fn hide(proc: &Path, flags: libc::c_ulong) -> Result<()> {
    for path in existing(proc, &HIDDEN_FILES) {
        mount::bind(Path::new("/dev/null"), &path).at(format!("init: hide {}", path.display()))?;
    }
    for path in existing(proc, &HIDDEN_DIRS) {
        mount::mount(
            "tmpfs",
            &path,
            "tmpfs",
            flags | libc::MS_RDONLY,
            "size=0k,nr_inodes=2",
        )
        .at(format!("init: hide {}", path.display()))?;
    }
    Ok(())
}

fn make_read_only(proc: &Path) -> Result<()> {
    for path in existing(proc, &READ_ONLY) {
        let step = format!("init: make {} read-only", path.display());
        mount::bind(&path, &path).at(&*step)?;
        let attr = Attr(Attr::RDONLY | Attr::NOSUID | Attr::NODEV | Attr::NOEXEC);
        mount::set_attr_at(&path, attr).at(&*step)?;
    }
    Ok(())
}

fn existing(base: &Path, names: &[&str]) -> Vec<std::path::PathBuf> {
    names
        .iter()
        .map(|name| base.join(name))
        .filter(|path| path.exists())
        .collect()
}

fn dev(dev: &Path, guards: Guards) -> Result<()> {
    dir(dev)?;
    let flags = libc::MS_NOSUID | libc::MS_NOEXEC;
    mount::mount("tmpfs", dev, "tmpfs", flags, "size=64k,mode=755").at("init: mount dev")?;
    for name in NODES {
        node(&Path::new("/dev").join(name), &dev.join(name))?;
    }
    dir(&dev.join("pts"))?;
    let options = "newinstance,ptmxmode=0666,mode=0620,gid=5";
    mount::mount("devpts", &dev.join("pts"), "devpts", flags, options).at("init: mount devpts")?;
    dir(&dev.join("shm"))?;
    let shm = flags | libc::MS_NODEV;
    mount::mount(
        "tmpfs",
        &dev.join("shm"),
        "tmpfs",
        shm,
        "mode=1777,size=64m",
    )
    .at("init: mount shm")?;
    for (target, name) in LINKS {
        symlink(target, dev.join(name)).at(format!("init: link dev/{name}"))?;
    }
    let attr = Attr(guards.flag(Guard::ReadOnlyDev, Attr::RDONLY));
    mount::set_attr_at(dev, attr).at("init: make dev read-only")
}

fn node(source: &Path, target: &Path) -> Result<()> {
    let step = format!("init: bind {}", source.display());
    File::create(target).at(&*step)?;
    mount::bind(source, target).at(&*step)?;
    mount::set_attr_at(target, Attr(Attr::NOSUID | Attr::NOEXEC)).at(&*step)
}

fn dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).at(format!("init: mkdir {}", path.display()))
}
