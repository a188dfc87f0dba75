//! Start and end of a DEA: wiring only.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bus::{Bus, BusError};
use component::prometheus_client::metrics::gauge::Gauge;
use component::prometheus_client::registry::Registry as Metrics;
use component::{Identity, Pages, Status, Tasks};
use warden::Backend;

use crate::config::Config;
use crate::droplets::Droplets;
use crate::files::Signer;
use crate::host::{Host, Nudges};
use crate::logs::Logs;
use crate::transfer::Transfer;
use crate::{
    announce, evacuation, files, inbox, registrar, resume, routers, snapshot, staging, sweep, varz,
};

/// What the caller chooses for a DEA.
pub struct Deps {
    /// Makes containers.
    pub backend: Arc<dyn Backend>,
}

/// Why a DEA cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A directory cannot be made.
    #[error("{path}: cannot make the directory: {source}")]
    Directory {
        /// Path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Containers cannot be made here.
    #[error("containers cannot be made on this host: {0}")]
    Warden(#[from] warden::Error),
    /// The bus address is unusable.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The snapshot cannot be read.
    #[error(transparent)]
    Snapshot(#[from] snapshot::SnapshotError),
    /// An address cannot be bound.
    #[error("{what}: {source}")]
    Bind {
        /// Which address.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The HTTP client cannot be made.
    #[error("HTTP client: {0}")]
    Http(#[from] reqwest::Error),
}

/// A running DEA.
pub struct Running {
    /// Its id on the bus.
    pub id: String,
    /// Address of `/healthz` and `/varz`.
    pub status_addr: std::net::SocketAddr,
    host: Arc<Host>,
}

impl Running {
    /// Orders that come while it runs.
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.host))
    }

    /// TERM: stop every instance, unregister, end; after [`Handle::leave`]: end, and nothing that runs is stopped.
    pub async fn shutdown(self) {
        match self.host.leaves.load(Ordering::Acquire) {
            true => evacuation::leave(&self.host).await,
            false => evacuation::shutdown(&self.host).await,
        }
        self.host.tasks.shutdown(Duration::from_secs(10)).await;
        snapshot::write(&self.host).await;
    }

    /// What kill -9 does, for tests in one process: everything stops where it is,
    /// containers and snapshot stay.
    pub async fn abandon(self) {
        self.host.open.store(false, Ordering::Release);
        self.host.tasks.shutdown(Duration::from_millis(100)).await;
    }
}

/// Orders to a running DEA. Cheap to clone.
#[derive(Clone)]
pub struct Handle(Arc<Host>);

impl Handle {
    /// USR2: hand the instances over to other DEAs; returns when that is done or
    /// the bail-out time is over.
    pub async fn evacuate(&self) {
        evacuation::begin(&self.0).await;
        evacuation::finished(&self.0).await;
    }

    /// HUP: the shutdown that follows leaves instances running.
    pub fn leave(&self) {
        self.0.leaves.store(true, Ordering::Release);
    }

    /// USR1: take no more work, keep the instances.
    pub async fn stop_advertising(&self) {
        announce::farewell(&self.0).await;
    }
}

impl component::Daemon for Running {
    fn describe(&self) -> String {
        format!(
            "id {}, status on {}, containers by {}",
            self.id,
            self.status_addr,
            self.host.backend.name()
        )
    }

    fn tasks(&self) -> component::Tasks {
        self.host.tasks.clone()
    }

    async fn shutdown(self) {
        Running::shutdown(self).await;
    }
}

/// Starts a DEA: directories, snapshot, adoption, subscriptions, voices, sweepers.
pub async fn start(config: Config, deps: Deps) -> Result<Running, StartError> {
    // What containers read of it they get by mounts; on the host nobody else needs to come in.
    let base = config.base_dir.clone();
    component::private::directory(&base)
        .map_err(|source| StartError::Directory { path: base, source })?;
    for name in ["db", "droplets", "staging", "crashes", "admin_buildpacks"] {
        make_dir(config.base_dir.join(name))?;
    }
    deps.backend.ping().await?;
    let saved = snapshot::load(&snapshot::path(&config.base_dir))?;
    let known = [&config.id, &saved.dea_id]
        .into_iter()
        .find(|id| !id.is_empty());
    let id = known
        .cloned()
        .unwrap_or_else(|| bus::ids::dea_id(config.index));
    let files_listener = files::bind(config.directory_server)
        .await
        .map_err(|e| bind("directory server", e))?;
    let host = Arc::new(host(config, deps, id, &files_listener).await?);
    files::serve(&host, files_listener);
    let status = status(&host).await?;
    resume::run(&host, saved).await;
    inbox::start(&host).await?;
    registrar::start(&host);
    routers::start(&host).await?;
    announce::start(&host);
    snapshot::start(&host);
    sweep::start(&host);
    host.snapshot();
    status.ready();
    Ok(Running {
        id: host.id.clone(),
        status_addr: status.addr(),
        host,
    })
}

fn make_dir(path: PathBuf) -> Result<(), StartError> {
    std::fs::create_dir_all(&path).map_err(|source| StartError::Directory { path, source })
}

fn bind(what: &str, source: std::io::Error) -> StartError {
    StartError::Bind {
        what: what.into(),
        source,
    }
}

async fn host(
    config: Config,
    deps: Deps,
    id: String,
    files: &tokio::net::TcpListener,
) -> Result<Host, StartError> {
    let tasks = Tasks::new();
    let transfer = Transfer::new()?;
    Ok(Host {
        bus: Bus::connect(&config.bus, &format!("dea-{}", config.index)).await?,
        backend: deps.backend,
        instances: Default::default(),
        staging: staging::Registry::new(transfer.clone()),
        droplets: Droplets::new(config.base_dir.join("droplets"), transfer),
        logs: Logs::start(&config.loggregator, &tasks)?,
        open: AtomicBool::new(true),
        leaves: AtomicBool::new(false),
        files_addr: files
            .local_addr()
            .map_err(|e| bind("directory server", e))?,
        file_signer: Signer::default(),
        nudge: Nudges::default(),
        tasks,
        config,
        id,
    })
}

async fn status(host: &Arc<Host>) -> Result<Status, StartError> {
    let identity = Identity {
        kind: "DEA",
        index: host.config.index,
        uuid: host.id.clone(),
    };
    let for_varz = Arc::clone(host);
    let pages = Pages {
        registry: metrics(host),
        varz: Arc::new(move || varz::of(&for_varz)),
        ..Pages::default()
    };
    Status::start(
        identity,
        &host.config.status,
        Some(&host.bus),
        pages,
        &host.tasks,
    )
    .await
    .map_err(|e| bind(&format!("status address {}", host.config.status.listen), e))
}

/// Gauges refreshed with the statistics.
fn metrics(host: &Arc<Host>) -> Metrics {
    let mut registry = Metrics::default();
    let (instances, memory) = (Gauge::<i64>::default(), Gauge::<i64>::default());
    registry.register("dea_instances", "Instances in any state", instances.clone());
    registry.register(
        "dea_memory_reserved_megabytes",
        "Memory promised to instances and stagings",
        memory.clone(),
    );
    let host_ = Arc::clone(host);
    host.tasks
        .every("metrics", host.config.times().stats, move || {
            instances.set(host_.instances.all().len() as i64);
            memory.set(host_.reserved().memory_mb as i64);
            async {}
        });
    registry
}
