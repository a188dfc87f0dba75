//! Staging: from a package to a droplet. `task` holds the steps, `buildpacks` the
//! local copies of the installed buildpacks.

pub mod buildpacks;
pub mod error;
pub mod info;
pub mod plan;
pub mod refusals;
pub mod task;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bus::staging::Start;
use tokio_util::sync::CancellationToken;

use crate::host::Host;
use crate::resources::Reserved;
use crate::transfer::Transfer;
use error::StagingError;

/// The running tasks of this DEA.
pub struct Registry {
    /// Moves packages and droplets.
    pub transfer: Transfer,
    /// One downloader of buildpacks at a time.
    pub buildpack_turn: tokio::sync::Mutex<()>,
    tasks: Mutex<BTreeMap<String, Entry>>,
}

struct Entry {
    app_id: String,
    reserved: Reserved,
    stop: CancellationToken,
}

impl Registry {
    /// No tasks yet.
    pub fn new(transfer: Transfer) -> Self {
        Self {
            transfer,
            buildpack_turn: tokio::sync::Mutex::new(()),
            tasks: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the tasks have been promised.
    pub fn reserved(&self) -> Reserved {
        self.lock()
            .values()
            .fold(Reserved::default(), |sum, e| Reserved {
                memory_mb: sum.memory_mb + e.reserved.memory_mb,
                disk_mb: sum.disk_mb + e.reserved.disk_mb,
            })
    }

    /// Handles of their containers.
    pub fn handles(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }
}

/// What a staging reserves: the larger of the DEA's minimum and the app's limit.
pub fn needs(host: &Host, request: &Start) -> Reserved {
    let (limits, config) = (request.properties.resources, &host.config.staging);
    Reserved {
        memory_mb: limits.memory.max(config.memory_limit_mb),
        disk_mb: limits.disk.max(config.disk_limit_mb),
    }
}

/// Admits a staging request or refuses it with a single reply.
pub fn accept(host: &Arc<Host>, request: Start, reply: Option<String>) {
    let Some(inbox) = reply else {
        tracing::warn!(app = %request.app_id, "staging request without an inbox ignored");
        return;
    };
    let needed = needs(host, &request);
    if !host.config.staging.enabled {
        tracing::warn!(app = %request.app_id, "staging request ignored: staging is disabled on this DEA");
        return;
    }
    let short = host
        .config
        .resources
        .shortage(host.reserved(), needed.memory_mb, needed.disk_mb);
    if let Some(short) = short {
        let refusal = StagingError::NoRoom(short.resource).reply(&request.task_id);
        let host_ = Arc::clone(host);
        host.tasks.spawn_graceful(async move {
            let _ = host_.bus.publish_to(&inbox, &refusal).await;
        });
        return;
    }
    let stop = CancellationToken::new();
    let entry = Entry {
        app_id: request.app_id.clone(),
        reserved: needed,
        stop: stop.clone(),
    };
    host.staging.lock().insert(request.task_id.clone(), entry);
    host.nudge.advertise.notify_one();
    let host_ = Arc::clone(host);
    host.tasks.spawn_graceful(async move {
        task::run(&host_, request, &inbox, stop).await;
    });
}

/// Ends a task's reservation.
pub(crate) fn finish(host: &Host, task_id: &str) {
    host.staging.lock().remove(task_id);
    host.nudge.advertise.notify_one();
}

/// `staging.stop`: every task of the app.
pub fn stop(host: &Host, app_id: &str) {
    for entry in host.staging.lock().values().filter(|e| e.app_id == app_id) {
        entry.stop.cancel();
    }
}

/// Stops every task.
pub fn stop_all(host: &Host) {
    for entry in host.staging.lock().values() {
        entry.stop.cancel();
    }
}
