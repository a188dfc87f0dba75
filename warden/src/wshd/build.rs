//! The keeper's steps of creation. A failure needs no undoing here beyond the
//! death of init: every mount lives in a private namespace, and the backend
//! removes cgroups and the directory.

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use super::guards::{Guard, Guards};
use super::network::Network;
use super::{init, msg, plain, rootfs, seccomp, warm};
use crate::cgroup::{Cgroups, Layout};
use crate::step::Step;
use crate::sys::process::{self, Side};
use crate::sys::{At, mount, socket};
use crate::wire::{Isolation, KeeperSpec, names};
use crate::{Error, Result};

/// What the keeper needs to go on.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) init: InitHandle,
    /// The container's network namespace; `None` when it has none of its own.
    pub(super) netns: Option<OwnedFd>,
    pub(super) cgroups: Option<Cgroups>,
    pub(super) isolation: Vec<String>,
}

/// A running init. Dropping it kills it, and with it the whole container.
#[derive(Debug)]
pub(super) struct InitHandle {
    pub(super) pid: i32,
    pub(super) pidfd: OwnedFd,
    pub(super) sock: OwnedFd,
    reaped: bool,
}

impl InitHandle {
    /// Kills init and waits for its end; with it end all processes inside.
    pub(super) fn kill(&mut self) -> Result<()> {
        if self.reaped {
            return Ok(());
        }
        self.reaped = true;
        match process::pidfd_kill(self.pidfd.as_fd(), libc::SIGKILL) {
            Err(e) if e.raw_os_error() == Some(libc::ESRCH) => {}
            other => other.at("kill init")?,
        }
        process::wait_pid(self.pid).map(drop).at("wait for init")
    }
}

impl Drop for InitHandle {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            super::log(&format!("on the way out: {error}"));
        }
    }
}

/// Builds the container described by `spec` in `dir`.
pub(super) fn build(spec: &KeeperSpec, dir: &Path, guards: Guards) -> Result<Built> {
    match &spec.isolation {
        Some(isolation) => isolated(spec, isolation, dir, guards),
        None => plain::build(spec, dir),
    }
}

fn isolated(spec: &KeeperSpec, iso: &Isolation, dir: &Path, guards: Guards) -> Result<Built> {
    process::not_dumpable().at("prctl PR_SET_DUMPABLE")?;
    let given = warm::receive(iso)?;
    let cgroups = Cgroups::new(Layout::detect(), &iso.cgroup);
    cgroups.create(&spec.limits)?;
    Step::Cgroups.inject(spec.fail_after)?;
    let filter = seccomp::program();
    process::unshare(libc::CLONE_NEWNS).at("unshare CLONE_NEWNS")?;
    mount::make_root_private().at("make / private")?;
    show_whole_proc(dir)?;
    Step::MountNamespace.inject(spec.fail_after)?;
    let network = Network::new(given.netns)?;
    let init = match guards.has(Guard::NetNamespace) {
        true => network.around(|flags| clone_init(spec, filter, flags, guards))?,
        false => clone_init(spec, filter, 0, guards)?,
    };
    Step::CloneInit.inject(spec.fail_after)?;
    let userns = match guards.has(Guard::UserNamespace) {
        true => Some(map_ids(&init, iso.uid_base)?),
        false => None,
    };
    Step::IdMaps.inject(spec.fail_after)?;
    msg::send(&init.sock, &msg::ToInit::Mapped, &[])?;
    rootfs::build(spec, iso, dir, userns.as_ref(), given.disk, guards)?;
    let root = File::open(dir.join(names::ROOT)).at("open root")?;
    msg::send(&init.sock, &msg::ToInit::RootReady, &[root.as_raw_fd()])?;
    drop(root);
    // Init mounts and locks itself meanwhile.
    let netns = match guards.has(Guard::NetNamespace) {
        true => Some(network.finish(iso.link.as_ref(), init.pid, spec.limits.bandwidth)?),
        false => None,
    };
    Step::Link.inject(spec.fail_after)?;
    expect_ready(&init)?;
    Ok(Built {
        isolation: enforced(iso, &cgroups),
        init,
        netns,
        cgroups: Some(cgroups),
    })
}

/// Where parts of `/proc` are covered (docker does that), the kernel lets no
/// child user namespace mount a proc of its own, unless a whole one is mounted
/// somewhere in the mount namespace. It is seen by keeper and init only.
fn show_whole_proc(dir: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").at("read mountinfo")?;
    if !covers_proc(&mounts) {
        return Ok(());
    }
    let whole = dir.join(names::PROC);
    fs::create_dir_all(&whole).at("mkdir proc")?;
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    mount::mount("proc", &whole, "proc", flags, "").at("mount a whole proc")
}

/// Whether something is mounted below `/proc`.
fn covers_proc(mountinfo: &str) -> bool {
    let mut targets = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
    targets.any(|target| target.starts_with("/proc/"))
}

fn clone_init(
    spec: &KeeperSpec,
    filter: Vec<crate::sys::creds::Insn>,
    network: i32,
    guards: Guards,
) -> Result<InitHandle> {
    let (ours, theirs) = socket::seqpacket_pair().at("socketpair")?;
    let flags = libc::CLONE_NEWUTS
        | guards.flag(Guard::UserNamespace, libc::CLONE_NEWUSER)
        | guards.flag(Guard::PidNamespace, libc::CLONE_NEWPID)
        | guards.flag(Guard::IpcNamespace, libc::CLONE_NEWIPC)
        | network;
    match process::clone_with_pidfd(flags as u64).at("clone3 of init")? {
        Side::Child => {
            drop(ours);
            init::main(&theirs, spec, &filter, guards)
        }
        Side::Parent((pid, pidfd)) => Ok(InitHandle {
            pid,
            pidfd,
            sock: ours,
            reaped: false,
        }),
    }
}

/// The same for a container without isolation: a plain fork.
pub(super) fn fork_init(child: impl FnOnce(&OwnedFd) -> i32) -> Result<InitHandle> {
    let (ours, theirs) = socket::seqpacket_pair().at("socketpair")?;
    match process::clone_with_pidfd(0).at("clone3 of init")? {
        Side::Child => {
            drop(ours);
            process::exit_now(child(&theirs))
        }
        Side::Parent((pid, pidfd)) => Ok(InitHandle {
            pid,
            pidfd,
            sock: ours,
            reaped: false,
        }),
    }
}

fn map_ids(init: &InitHandle, base: u32) -> Result<OwnedFd> {
    let proc_dir = Path::new("/proc").join(init.pid.to_string());
    let map = format!("0 {base} 65536");
    fs::write(proc_dir.join("uid_map"), &map).at("write uid_map")?;
    fs::write(proc_dir.join("gid_map"), &map).at("write gid_map")?;
    Ok(File::open(proc_dir.join("ns/user"))
        .at("open user namespace")?
        .into())
}

/// Waits for init's word; its failures become ours, word for word.
pub(super) fn expect_ready(init: &InitHandle) -> Result<()> {
    match msg::recv(&init.sock)? {
        Some((msg::FromInit::Ready, _)) => Ok(()),
        Some((msg::FromInit::Failed { step, message }, _)) => Err(Error::Keeper { step, message }),
        Some((other, _)) => Err(msg::protocol(format!("unexpected {other:?}"))),
        None => Err(msg::protocol("init died while setting up")),
    }
}

fn enforced(iso: &Isolation, cgroups: &Cgroups) -> Vec<String> {
    let fixed = [
        "userns", "pidns", "mountns", "utsns", "ipcns", "netns", "cgroupns",
    ];
    let locks = [
        "seccomp",
        "no_new_privs",
        "no_capabilities",
        "masked_proc",
        "keyring",
    ];
    let mut list: Vec<String> = fixed
        .iter()
        .chain(&locks)
        .map(|s| (*s).to_owned())
        .collect();
    list.extend(cgroups.enforced());
    let disk = match (iso.disk_image, iso.project) {
        (true, _) => &["disk", "disk_image"][..],
        (false, Some(_)) => &["disk", "project_quota"],
        (false, None) => &[],
    };
    list.extend(disk.iter().map(|name| (*name).to_owned()));
    if iso.link.is_some() {
        list.push("firewall".into());
    }
    list
}

#[cfg(test)]
mod tests {
    use super::covers_proc;

    #[test]
    fn a_covered_proc_is_recognised() {
        let plain =
            "21 28 0:19 / /proc rw,nosuid - proc proc rw\n22 28 0:20 / /sys rw - sysfs s rw";
        assert!(!covers_proc(plain));
        let docker = format!("{plain}\n900 21 0:5 /null /proc/kcore rw - tmpfs tmpfs rw");
        assert!(covers_proc(&docker));
    }
}
