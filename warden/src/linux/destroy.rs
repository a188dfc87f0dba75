//! The end of a container: what the keeper cannot remove itself, and
//! everything when the keeper is dead.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::{Inner, links};
use crate::Result;
use crate::depot::record::Record;
use crate::depot::starter;
use crate::sys::At;
use crate::wire::KeeperState;

/// After the keeper was asked. Once it answered, no process of the container is
/// left; what costs time and matters to nobody who waits (the keeper's end, which
/// unmounts the disk, cgroups, packet filter, link, files) follows in the
/// background, and the handle is not given out again before its end.
pub(crate) fn after_keeper(inner: &Arc<Inner>, handle: &str, answered: bool) -> Result<()> {
    let _at_work = inner.at_work();
    let state = starter::state(&inner.depot.container(handle));
    if !answered {
        end_keeper(inner, handle, state.as_ref(), false);
        inner.cgroups(handle).purge()?;
    }
    inner.begin_end_of(handle);
    let kept = inner.containers().remove(handle);
    let trash = inner
        .depot
        .discard(handle)
        .inspect_err(|_| inner.end_of(handle))?;
    let (inner, handle) = (inner.clone(), handle.to_owned());
    std::thread::spawn(move || {
        let _at_work = inner.at_work();
        end_keeper(&inner, &handle, state.as_ref(), true);
        let record = kept.map_or_else(|| Record::read(&trash), |kept| Ok(kept.record()));
        if let Err(error) = clear(&inner, &handle, &trash) {
            tracing::error!(handle, %error, "something of a destroyed container remains");
        }
        inner.end_of(&handle);
        match record {
            Ok(record) => release(&inner, &record),
            Err(error) => tracing::error!(handle, %error, "its network is not given out again"),
        }
    });
    Ok(())
}

fn clear(inner: &Inner, handle: &str, trash: &Path) -> Result<()> {
    inner.cgroups(handle).purge()?;
    fs::remove_dir_all(trash).at(format!("remove {}", trash.display()))
}

/// It ends by itself after its last answer; if it gave none, it is killed.
fn end_keeper(inner: &Inner, handle: &str, state: Option<&KeeperState>, answered: bool) {
    if let Some(state) = state {
        if answered {
            starter::await_end(state);
        }
        starter::kill_keeper(state);
    }
    if let Some(child) = inner.children().remove(handle) {
        // Dead already; this only collects it.
        let _ = child.wait();
    }
}

/// Everything that may be left of a container without a keeper, at once.
pub(crate) fn remnants(inner: &Inner, record: &Record) -> Result<()> {
    let handle = &record.handle;
    starter::kill(&inner.depot.container(handle));
    inner.cgroups(handle).purge()?;
    let trash = inner.depot.discard(handle)?;
    fs::remove_dir_all(&trash).at(format!("remove {}", trash.display()))?;
    if let Some(slot) = &record.slot {
        // Somebody waits for this one.
        links::delete(&slot.link(inner.depot.tag()))?;
    }
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
