//! Comparing the kernel with the depot, again and again, and removing orphans.

use std::sync::Arc;

use super::orphans::{self, Owned, Thing};
use super::quotas::Quotas;
use super::{Inner, destroy, links, seen};
use crate::netlink::nfnl::Change;
use crate::sys::{At, files, loopdev, mount, process};
use crate::{Error, Result};

/// One round: ended containers, then orphans.
pub(crate) fn round(inner: &Arc<Inner>) -> Result<()> {
    collect_ended(inner);
    inner.network.renew_routers()?;
    if suspects(inner)?.is_empty() {
        return Ok(());
    }
    // Nothing is made or removed while we look again. If something is, the next round is soon.
    let Ok(_alone) = inner.work.try_write() else {
        return Ok(());
    };
    remove_all(inner, &suspects(inner)?);
    Ok(())
}

/// Things without an owner. The kernel is read first: what appears later has an
/// owner before it exists.
pub(crate) fn suspects(inner: &Inner) -> Result<Vec<Thing>> {
    let seen = seen::collect(inner)?;
    Ok(orphans::find(inner.depot.root(), &seen, &owned(inner)))
}

fn owned(inner: &Inner) -> Owned {
    let tag = inner.depot.tag();
    let (slots, ports) = inner.network.in_use();
    Owned {
        handles: inner.depot.handles().into_iter().collect(),
        links: slots.iter().map(|slot| slot.link(tag)).collect(),
        ports: ports.into_iter().collect(),
        projects: (inner.network.quotas.iter())
            .flat_map(Quotas::in_use)
            .collect(),
    }
}

/// Removes every one; failures are told and tried again in the next round.
pub(crate) fn remove_all(inner: &Inner, orphans: &[Thing]) {
    for thing in orphans {
        tracing::warn!(?thing, "belongs to no container: removing it");
        if let Err(error) = remove(inner, thing) {
            tracing::warn!(?thing, %error, "an orphan remains");
        }
    }
}

fn remove(inner: &Inner, thing: &Thing) -> Result<()> {
    let filter = &inner.network.filter;
    match thing {
        Thing::Cgroup(handle) => {
            inner.cgroups(handle).purge()?;
        }
        Thing::Link(link) => links::delete(link)?,
        Thing::Mount(point) => {
            mount::umount(point, true).at(format!("umount {}", point.display()))?;
        }
        Thing::Loop { device, .. } => {
            loopdev::detach(device).at(format!("detach {}", device.display()))?;
        }
        Thing::Keeper { pid, .. } => match process::kill(*pid, libc::SIGKILL) {
            Err(e) if e.raw_os_error() == Some(libc::ESRCH) => {}
            other => other.at(format!("kill keeper {pid}"))?,
        },
        Thing::Port(port) => filter.undo(&Change::ClosePort(*port)),
        Thing::Egress { link, ip, .. } => filter.undo(&Change::Expel(link.clone(), *ip)),
        Thing::Chain(chain) => filter.forget(chain),
        Thing::Project(project) => {
            if let Some(quotas) = &inner.network.quotas {
                quotas.clear(*project)?;
            }
        }
    }
    Ok(())
}

/// Containers whose grace time ran out: their keepers are gone by their own will.
fn collect_ended(inner: &Arc<Inner>) {
    let ended: Vec<_> = inner
        .containers()
        .values()
        .filter(|kept| kept.has_ended())
        .cloned()
        .collect();
    for kept in ended {
        let handle = kept.record().handle;
        tracing::info!(%handle, "its grace time is over");
        match destroy::after_keeper(inner, &handle, true) {
            // Somebody destroyed it meanwhile.
            Ok(()) | Err(Error::UnknownHandle(_)) => {}
            Err(error) => tracing::warn!(%handle, %error, "an ended container remains"),
        }
    }
}

/// At the start: the trash and the stock of an earlier backend.
pub(crate) fn empty_old_stock(inner: &Inner) -> Result<()> {
    inner.depot.empty_trash()?;
    let warm = inner.depot.root().join(super::disk::WARM);
    files::remove_tree(&warm).at(format!("remove {}", warm.display()))
}
