//! The container that is none: plain processes for the `process` backend. When
//! the kernel allows it they get a private mount namespace, so that
//! `/home/vcap` and `/tmp` mean the container's; otherwise only HOME does.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use super::build::{self, Built};
use super::guards::Guards;
use super::init::{self, Below};
use super::msg::{self, FromInit};
use super::{job, rootfs};
use crate::procfs;
use crate::sys::{At, files, mount, process};
use crate::wire::{KeeperSpec, names};
use crate::{BindMount, Error, Result};

/// Starts the plain init.
pub(super) fn build(spec: &KeeperSpec, dir: &Path) -> Result<Built> {
    for name in ["home/vcap/app", "home/vcap/logs", "home/vcap/tmp", "tmp"] {
        let path = dir.join(names::ROOT).join(name);
        fs::create_dir_all(&path).at(format!("mkdir {}", path.display()))?;
    }
    let init = build::fork_init(|sock| child(sock, spec, dir))?;
    build::expect_ready(&init)?;
    Ok(Built {
        init,
        netns: None,
        cgroups: None,
        isolation: Vec::new(),
    })
}

fn child(sock: &OwnedFd, spec: &KeeperSpec, dir: &Path) -> i32 {
    let Ok(sock) = init::take_socket(sock) else {
        return 1;
    };
    match set_up(&sock, spec, dir) {
        Ok(tree) => init::serve(&sock, &tree),
        Err(error) => init::report(&sock, &error),
    }
}

fn set_up(sock: &OwnedFd, spec: &KeeperSpec, dir: &Path) -> Result<Tree> {
    process::die_with_parent().at("prctl PR_SET_PDEATHSIG")?;
    process::set_name(c"wshd: plain");
    process::become_subreaper().at("prctl PR_SET_CHILD_SUBREAPER")?;
    process::prepare_sigchld().at("sigaction SIGCHLD")?;
    let home = match private_mounts() {
        Ok(()) => {
            mount_all(spec, &dir.join(names::ROOT))?;
            "/home/vcap".to_owned()
        }
        Err(error) => {
            super::log(&format!(
                "no private mounts ({error}); absolute paths are the host's"
            ));
            refuse_binds(spec, &error)?;
            dir.join(names::ROOT)
                .join("home/vcap")
                .to_string_lossy()
                .into_owned()
        }
    };
    init::standard_streams_to_null()?;
    msg::send(sock, &FromInit::Ready, &[])?;
    Ok(Tree { home })
}

fn refuse_binds(spec: &KeeperSpec, error: &Error) -> Result<()> {
    let Some(bind) = spec.bind_mounts.iter().find(|bind| bind.src != bind.dst) else {
        return Ok(());
    };
    Err(Error::Keeper {
        step: format!("bind {} on {}", bind.src.display(), bind.dst.display()),
        message: format!("needs root or user namespaces ({error})"),
    })
}

/// A mount namespace of our own: as root directly, else through a user
/// namespace that maps only the caller.
fn private_mounts() -> Result<()> {
    if files::is_root() {
        process::unshare(libc::CLONE_NEWNS).at("unshare CLONE_NEWNS")?;
    } else {
        let (uid, gid) = process::own_ids();
        process::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS).at("unshare CLONE_NEWUSER")?;
        fs::write("/proc/self/setgroups", "deny").at("write setgroups")?;
        fs::write("/proc/self/uid_map", format!("{uid} {uid} 1")).at("write uid_map")?;
        fs::write("/proc/self/gid_map", format!("{gid} {gid} 1")).at("write gid_map")?;
    }
    mount::make_root_private().at("make / private")
}

fn mount_all(spec: &KeeperSpec, private: &Path) -> Result<()> {
    let sources: Vec<OwnedFd> = ["home/vcap", "tmp"]
        .iter()
        .map(|name| mount::open_tree_clone(&private.join(name)).at(format!("open_tree {name}")))
        .collect::<Result<_>>()?;
    // The caller's directories may lie below /tmp or /home: clone them before
    // those are covered.
    let binds = spec
        .bind_mounts
        .iter()
        .map(clone_source)
        .collect::<Result<Vec<_>>>()?;
    home_vcap()?;
    mount::move_to(sources[0].as_fd(), Path::new("/home/vcap")).at("bind /home/vcap")?;
    mount::move_to(sources[1].as_fd(), Path::new("/tmp")).at("bind /tmp")?;
    for (bind, (tree, is_dir)) in spec.bind_mounts.iter().zip(binds) {
        rootfs::attach(Path::new("/"), bind, is_dir, &tree, None, Guards::ALL)?;
    }
    Ok(())
}

fn clone_source(bind: &BindMount) -> Result<(OwnedFd, bool)> {
    let step = format!("bind {}", bind.src.display());
    let is_dir = fs::metadata(&bind.src).at(&*step)?.is_dir();
    Ok((mount::open_tree_clone(&bind.src).at(&*step)?, is_dir))
}

/// Makes `/home/vcap` exist without touching the host: a small file system over
/// `/home` that shows the old entries again.
fn home_vcap() -> Result<()> {
    if Path::new("/home/vcap").is_dir() {
        return Ok(());
    }
    let mut old = Vec::new();
    for entry in fs::read_dir("/home").into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            let tree = mount::open_tree_clone(&entry.path()).at("clone /home entry")?;
            old.push((entry.file_name(), tree));
        }
    }
    mount::mount("tmpfs", Path::new("/home"), "tmpfs", 0, "size=64k,mode=755").at("cover /home")?;
    fs::create_dir("/home/vcap").at("mkdir /home/vcap")?;
    for (name, tree) in old {
        let path = Path::new("/home").join(name);
        fs::create_dir(&path).at("mkdir /home entry")?;
        mount::move_to(tree.as_fd(), &path).at("bind /home entry")?;
    }
    Ok(())
}

/// The processes below a plain init, found by their parents.
struct Tree {
    home: String,
}

impl Below for Tree {
    fn signal(&self, signal: i32) {
        for pid in descendants(std::process::id() as i32) {
            // Gone already is fine.
            let _ = process::kill(pid, signal);
        }
    }

    fn job_kind(&self) -> job::Kind {
        job::Kind::Plain {
            home: self.home.clone(),
        }
    }
}

/// Every process below `root`, by a scan of /proc.
fn descendants(root: i32) -> Vec<i32> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for pid in procfs::pids() {
        if let Some(parent) = procfs::parent(pid) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut queue = vec![root];
    while let Some(pid) = queue.pop() {
        let below = children.remove(&pid).unwrap_or_default();
        found.extend(&below);
        queue.extend(below);
    }
    found
}

/// Every process below `init`.
pub(super) fn processes(init: i32) -> Vec<i32> {
    descendants(init)
}

/// Resident memory in bytes and CPU time in nanoseconds of the tree below `init`.
pub(super) fn usage(init: i32) -> (u64, u64) {
    let all = descendants(init);
    all.iter()
        .filter_map(|pid| procfs::usage(*pid))
        .fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
}
