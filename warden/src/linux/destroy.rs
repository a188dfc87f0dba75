//! The end of a container: what the keeper cannot remove itself, and
//! everything when the keeper is dead.

use std::fs;
use std::sync::Arc;

use super::{Inner, links};
use crate::Result;
use crate::cgroup::Cgroups;
use crate::depot::record::Record;
use crate::depot::starter;
use crate::sys::At;

/// After the keeper was asked. What costs time and matters to nobody who waits
/// (packet filter, link, files) follows in the background.
pub(crate) fn after_keeper(inner: &Arc<Inner>, handle: &str, answered: bool) -> Result<()> {
    let _at_work = inner.at_work();
    end_keeper(inner, handle, answered);
    Cgroups::new(inner.layout.clone(), &inner.cgroup(handle)).purge()?;
    let kept = inner.containers().remove(handle);
    let trash = inner.depot.discard(handle)?;
    let record = match kept {
        Some(kept) => kept.record(),
        None => Record::read(&trash)?,
    };
    let inner = inner.clone();
    std::thread::spawn(move || {
        let _at_work = inner.at_work();
        if let Err(error) = fs::remove_dir_all(&trash) {
            tracing::error!(path = %trash.display(), %error, "could not remove a destroyed container's files");
        }
        release(&inner, &record);
    });
    Ok(())
}

/// It ends by itself after its last answer; if it gave none, it is killed.
fn end_keeper(inner: &Inner, handle: &str, answered: bool) {
    let dir = inner.depot.container(handle);
    if let Some(state) = starter::state(&dir).filter(|_| answered) {
        starter::await_end(&state);
    }
    starter::kill(&dir);
    if let Some(mut child) = inner.children().remove(handle) {
        // Dead already; this only collects it.
        let _ = child.wait();
    }
}

/// Everything that may be left of a container without a keeper, at once.
pub(crate) fn remnants(inner: &Inner, record: &Record) -> Result<()> {
    let handle = &record.handle;
    starter::kill(&inner.depot.container(handle));
    Cgroups::new(inner.layout.clone(), &inner.cgroup(handle)).purge()?;
    let trash = inner.depot.discard(handle)?;
    fs::remove_dir_all(&trash).at(format!("remove {}", trash.display()))?;
    release(inner, record);
    Ok(())
}

/// Gives slot and ports back once nothing in the kernel refers to them.
fn release(inner: &Inner, record: &Record) {
    if let Some(slot) = &record.slot {
        inner.network.filter.remove(slot, &record.ports);
        if let Err(error) = links::outlive(&slot.link(inner.depot.tag())) {
            tracing::warn!(%error, "link of a destroyed container remains");
        }
    }
    inner.network.release(record);
}
