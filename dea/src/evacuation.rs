//! The ways to end: evacuation on USR2, the shutdown on TERM, and leaving for a restart on HUP. docs/containers.md has the table.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::announce;
use crate::host::Host;
use crate::instance::state::State;
use crate::instance::stop;

/// How long the instances may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// How long the bus may take to hear the last words.
const BUS_LIMIT: Duration = Duration::from_secs(2);

/// Marks every instance as evacuating: it serves on until the health manager has
/// had it replaced and stopped. Repeating it is harmless.
pub async fn begin(host: &Arc<Host>) {
    announce::farewell(host).await;
    for instance in host.instances.all() {
        if matches!(
            instance.state(),
            State::Born | State::Starting | State::Resuming | State::Running
        ) {
            let _ = host.change(&instance, State::Evacuating);
        }
    }
}

/// Waits until every instance has been stopped elsewhere-started, or the bail-out
/// time is over. The original had to be asked again; this looks by itself.
pub async fn finished(host: &Host) {
    let limit = Duration::from_secs(host.config.evacuation_bail_out_secs);
    let gone = async {
        while host
            .instances
            .all()
            .iter()
            .any(|i| i.state() == State::Evacuating)
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    if tokio::time::timeout(limit, gone).await.is_err() {
        tracing::warn!(
            ?limit,
            "evacuation bails out: some instances were not replaced in time"
        );
    }
}

/// TERM: no more work, every instance and staging task stopped, routes unregistered.
pub async fn shutdown(host: &Arc<Host>) {
    announce::farewell(host).await;
    crate::staging::stop_all(host);
    let stops = host.instances.all().into_iter().map(|instance| {
        let host = Arc::clone(host);
        tokio::spawn(stop::run(host, instance))
    });
    let all = futures_util::future::join_all(stops);
    if tokio::time::timeout(STOP_LIMIT, all).await.is_err() {
        tracing::warn!("some instances did not stop in time; they are destroyed at the next start");
    }
    last_words(host).await;
}

/// HUP: ends as for TERM, but what runs goes on running, to be adopted by the next start. It says no farewell: to the others the
/// DEA misses a heartbeat or two. What is only being started or staged cannot be adopted and is given up.
pub async fn leave(host: &Arc<Host>) {
    host.open.store(false, Ordering::Release);
    crate::staging::stop_all(host);
    let starting = host
        .instances
        .all()
        .into_iter()
        .filter(|instance| matches!(instance.state(), State::Born | State::Starting));
    let stops = starting.map(|instance| tokio::spawn(stop::run(Arc::clone(host), instance)));
    let all = futures_util::future::join_all(stops);
    if tokio::time::timeout(STOP_LIMIT, all).await.is_err() {
        tracing::warn!(
            "instances that were starting did not stop in time; they are destroyed at the next start"
        );
    }
    last_words(host).await;
}

async fn last_words(host: &Arc<Host>) {
    let last_words = async {
        announce::heartbeat(host).await;
        host.bus.flush().await
    };
    if tokio::time::timeout(BUS_LIMIT, last_words).await.is_err() {
        // The bus ended first; the missing heartbeats say the same.
        tracing::warn!("the last heartbeat was not taken: the message bus is away");
    }
}
