//! Periodic tidying: orphan containers, unreferenced droplets, old crashes,
//! instances that hang in STOPPING, and the sampling of statistics.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::host::Host;
use crate::instance::state::State;
use crate::instance::{stop, unix_now};

/// Unreferenced droplets are removed this often, as in the original.
const DROPLETS_EVERY: Duration = Duration::from_secs(60);
/// Crashes and hanging stops are looked for this often, as in the original.
const REAP_EVERY: Duration = Duration::from_secs(10);
/// A stop that takes longer is tried again.
const STOPPING_TOO_LONG_SECS: f64 = 60.0;

/// Starts every sweeper.
pub fn start(host: &Arc<Host>) {
    let times = host.config.times();
    let seen: Arc<Mutex<HashSet<String>>> = Arc::default();
    every(host, "orphan scan", times.orphan_scan, move |host| {
        orphans(host, Arc::clone(&seen))
    });
    every(host, "droplet sweep", DROPLETS_EVERY, |host| async move {
        droplets(&host)
    });
    every(host, "crash reaper", REAP_EVERY, |host| async move {
        reap(&host)
    });
    every(host, "statistics", times.stats, |host| async move {
        sample(&host).await
    });
}

fn every<F, Fut>(host: &Arc<Host>, name: &'static str, period: Duration, mut work: F)
where
    F: FnMut(Arc<Host>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let host_ = Arc::clone(host);
    host.tasks
        .every(name, period, move || work(Arc::clone(&host_)));
}

/// A container that belongs to nobody in two successive rounds is destroyed.
async fn orphans(host: Arc<Host>, seen: Arc<Mutex<HashSet<String>>>) {
    let Ok(handles) = host.backend.list(&BTreeMap::new()).await else {
        return;
    };
    let mine: HashSet<String> = host
        .instances
        .all()
        .iter()
        .filter_map(|i| i.standing().handle.clone())
        .chain(host.instances.all().iter().map(|i| i.id.clone()))
        .chain(host.staging.handles())
        .collect();
    let nobodys: HashSet<String> = handles.into_iter().filter(|h| !mine.contains(h)).collect();
    let twice: Vec<String> = {
        let mut before = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let twice = nobodys.intersection(&before).cloned().collect();
        *before = nobodys;
        twice
    };
    for handle in twice {
        tracing::warn!(handle, "orphan container: destroying it");
        if let Err(error) = host.backend.destroy(&handle).await {
            tracing::warn!(handle, %error, "orphan container not destroyed");
        }
    }
}

fn droplets(host: &Host) {
    let wanted = host
        .instances
        .all()
        .iter()
        .filter_map(|i| i.message.sha1.clone())
        .collect();
    let removed = host.droplets.sweep(&wanted);
    if removed > 0 {
        tracing::info!(removed, "unreferenced droplets removed");
    }
}

fn reap(host: &Arc<Host>) {
    let now = unix_now();
    for instance in host.instances.all() {
        let (state, since) = {
            let standing = instance.standing();
            (standing.state, standing.since)
        };
        if state == State::Stopping && now - since > STOPPING_TOO_LONG_SECS {
            host.tasks
                .spawn_graceful(stop::run(Arc::clone(host), instance));
        } else if state == State::Crashed
            && (now - since > host.config.crash_lifetime_secs as f64
                || !is_newest_crash(host, &instance))
        {
            host.instances.remove(&instance.id);
            host.snapshot();
        }
    }
}

/// Only the newest crash of an index is kept.
fn is_newest_crash(host: &Host, instance: &crate::instance::Instance) -> bool {
    let since = instance.standing().since;
    !host.instances.all().iter().any(|other| {
        other.message.droplet == instance.message.droplet
            && other.message.index == instance.message.index
            && other.state() == State::Crashed
            && other.standing().since > since
    })
}

async fn sample(host: &Host) {
    for instance in host.instances.all() {
        if instance.state() != State::Running {
            continue;
        }
        let Some(handle) = instance.standing().handle.clone() else {
            continue;
        };
        let Ok(container) = host.backend.lookup(&handle).await else {
            continue;
        };
        if let Ok(info) = container.info().await {
            instance.standing().samples.add(unix_now(), &info);
        }
    }
}
