//! Creation: the backend's steps around the keeper's. Any failure undoes all.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Inner, destroy, disk, stack};
use crate::depot::container::Kept;
use crate::depot::record::{Record, Slot};
use crate::depot::{self, starter};
use crate::step::Step;
use crate::sys::spawn::Spawned;
use crate::wire::{Isolation, KeeperSpec, Link};
use crate::{ContainerSpec, Error, Result, Rootfs};

/// Makes a container; on failure nothing of it is left.
pub(crate) fn create(inner: &Arc<Inner>, spec: ContainerSpec) -> Result<Arc<Kept>> {
    let _at_work = inner.at_work();
    let handle = spec.handle.clone().unwrap_or_else(depot::new_handle);
    depot::check_handle(&handle)?;
    spec.limits.check()?;
    inner.await_end_of(&handle);
    let dir = inner.depot.make_container(&handle)?;
    let mut record = Record {
        handle: handle.clone(),
        properties: spec.properties.clone(),
        ports: Vec::new(),
        net_out: spec.net_out.clone(),
        slot: None,
        disk_image: false,
        project: None,
        created: false,
    };
    match build(inner, &dir, &mut record, &spec) {
        Ok(child) => {
            inner.children().insert(handle.clone(), child);
            let kept = Arc::new(Kept::new(dir, record, inner.network.clone()));
            inner.containers().insert(handle, kept.clone());
            Ok(kept)
        }
        Err(error) => {
            if let Err(also) = destroy::remnants(inner, &record) {
                tracing::error!(%handle, error = %also, "clean-up after a failed creation failed; the next start tries again");
            }
            Err(error)
        }
    }
}

fn build(
    inner: &Arc<Inner>,
    dir: &Path,
    record: &mut Record,
    spec: &ContainerSpec,
) -> Result<Spawned> {
    let inject = |step: Step| step.inject(inner.config.fail_after);
    let warm = inner.stock.take_network();
    record.slot = Some(match &warm {
        Some(ready) => ready.slot,
        None => inner.network.take_slot()?,
    });
    inject(Step::Allocate)?;
    record.write(dir)?;
    let lower = lower(inner, &spec.rootfs)?;
    inject(Step::Directory)?;
    let disk = disk::prepare(inner, dir, record, &spec.limits)?;
    inject(Step::DiskImage)?;
    let ready = (warm.is_some(), disk.is_some());
    let keeper = keeper_spec(inner, record, spec, lower, ready);
    let netns = warm.map(|warm| warm.netns);
    let given: Vec<OwnedFd> = netns.into_iter().chain(disk).collect();
    let group = inner.cgroups(&record.handle).home()?;
    let start = || starter::start(&inner.config.wshd, dir, &keeper, given, group);
    let admit = || inner.network.filter.admit(&inner.config, record);
    let (child, admitted) = if inner.network.filter.knows(&inner.config, record) {
        (start(), admit())
    } else {
        // The packet filter's program and the keeper work at the same time.
        std::thread::scope(|scope| {
            let admitted = scope.spawn(admit);
            let child = start();
            (child, admitted.join().unwrap_or_else(|_| Err(panicked())))
        })
    };
    let child = settle(child, admitted.and_then(|()| inject(Step::Firewall)))?;
    let child = settle(Ok(child), inject(Step::Ready))?;
    // From here on a later backend takes the container over.
    record.created = true;
    settle(Ok(child), record.write(dir))
}

/// A keeper without its packet filter must not live.
fn settle(child: Result<Spawned>, other: Result<()>) -> Result<Spawned> {
    match (child, other) {
        (Ok(child), Ok(())) => Ok(child),
        (Ok(child), Err(error)) => {
            // Killed, not asked: its container is half made.
            let _ = child.kill();
            let _ = child.wait();
            Err(error)
        }
        (Err(error), _) => Err(error),
    }
}

fn panicked() -> Error {
    Error::Keeper {
        step: "nft".into(),
        message: "the thread that ran it panicked".into(),
    }
}

/// The lowest layer of a root.
fn lower(inner: &Inner, rootfs: &Rootfs) -> Result<PathBuf> {
    match rootfs {
        Rootfs::Host => stack::host(inner),
        Rootfs::Dir(path) if path.join("bin").exists() => Ok(path.clone()),
        Rootfs::Dir(path) => Err(Error::NoStack {
            path: path.display().to_string(),
            why: if path.exists() {
                "it holds no root file system (no bin)".into()
            } else {
                "there is no such directory".into()
            },
        }),
    }
}

/// The link of a slot.
pub(crate) fn link(inner: &Inner, slot: &Slot) -> Link {
    Link {
        name: slot.link(inner.depot.tag()),
        host_ip: slot.host_ip(),
        container_ip: slot.container_ip(),
        mtu: inner.config.mtu,
        warm: false,
    }
}

fn keeper_spec(
    inner: &Inner,
    record: &Record,
    spec: &ContainerSpec,
    lower: PathBuf,
    (warm_link, warm_disk): (bool, bool),
) -> KeeperSpec {
    let slot = record.slot.expect("a slot was taken");
    let ca_bundle = inner
        .ca_bundle
        .clone()
        .filter(|_| spec.rootfs != Rootfs::Host);
    let isolation = Isolation {
        uid_base: slot.uid_base,
        lower,
        host_usr: spec.rootfs == Rootfs::Host,
        cgroup: inner.cgroup(&record.handle),
        disk_image: record.disk_image,
        warm_disk,
        project: record.project,
        link: Some(Link {
            warm: warm_link,
            ..link(inner, &slot)
        }),
        resolv_conf: inner.network.resolv_conf(&slot),
        ca_bundle,
    };
    KeeperSpec {
        handle: record.handle.clone(),
        isolation: Some(isolation),
        bind_mounts: spec.bind_mounts.clone(),
        limits: spec.limits.clone(),
        grace_time: spec.grace_time,
        ring_bytes: inner.config.ring_bytes,
        fail_after: inner.config.fail_after,
    }
}
