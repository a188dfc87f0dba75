//! Starting and stopping the daemon.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bus::Bus;
use component::prometheus_client::registry::Registry;
use component::{
    Cipher, CipherError, Daemon, Gauges, Identity, Pages, Secrets, SecretsError, Status, Tasks,
    private,
};
use tokio::net::TcpListener;

use crate::blobs::{BlobError, Blobs};
use crate::config::Config;
use crate::controller::{Controller, Ctl, Parts};
use crate::signing::KeyRing;
use crate::store::{Store, now_micros};
use crate::{api, garbage, health, seed, stager};

/// How often overdue stagings, old jobs and old events are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// Microseconds after which an unfinished job is given up.
const JOB_LIMIT: i64 = 20 * 60 * 1_000_000;
/// Microseconds after which a finished job is forgotten.
const JOB_MEMORY: i64 = 24 * 3600 * 1_000_000;

/// Why the controller could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The secrets file.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The encryption key.
    #[error("shared secrets file: {0}")]
    Key(#[from] CipherError),
    /// The database.
    #[error(transparent)]
    Database(#[from] database::OpenError),
    /// The blobstore.
    #[error("blobstore: {0}")]
    Blobs(#[from] BlobError),
    /// The token server.
    #[error(transparent)]
    Uaa(#[from] uaa::OpenError),
    /// The message bus's address.
    #[error("message bus: {0}")]
    Bus(#[from] bus::BusError),
    /// The directory for uploads in flight could not be made.
    #[error("temp_dir {}: {source}", path.display())]
    TempDir {
        /// Directory.
        path: std::path::PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// An address could not be bound.
    #[error("cannot listen on {listen}: {source}")]
    Listen {
        /// Address.
        listen: String,
        /// Cause.
        source: std::io::Error,
    },
    /// What a fresh platform starts with could not be made.
    #[error("seeding: {0}")]
    Seed(String),
}

/// A started controller.
pub struct Running {
    /// Where the API listens.
    pub addr: SocketAddr,
    /// Where `/healthz`, `/varz` and `/metrics` listen.
    pub status_addr: SocketAddr,
    tasks: Tasks,
}

impl Daemon for Running {
    fn describe(&self) -> String {
        format!(
            "API on http://{}, status on http://{}",
            self.addr, self.status_addr
        )
    }

    fn tasks(&self) -> Tasks {
        self.tasks.clone()
    }

    async fn shutdown(self) {
        self.tasks.shutdown(Duration::from_secs(15)).await;
    }
}

/// Starts the controller. Sockets are bound when this returns; the bus may still be away.
///
/// # Errors
/// [`StartError`] naming the step.
pub async fn start(config: Config) -> Result<Running, StartError> {
    let secrets = Secrets::load_or_create(&config.secrets_file)?;
    let cipher = Cipher::new(&secrets.key_bytes())?;
    let keys = KeyRing::of(&secrets);
    let store = Store::open(&config.database, &config.database_options, cipher).await?;
    let blobs = Blobs::open(&config.blob_service, &config.blobstore)?;
    make_temp_dir(&config)?;
    let uaa = uaa::Uaa::open(store.uaa(), &config.uaa).await?;
    let bus = Bus::connect(&config.bus, "cloud-controller").await?;
    let listener = bind(&config.listen).await?;
    let addr = listener.local_addr().map_err(|source| StartError::Listen {
        listen: config.listen.clone(),
        source,
    })?;
    let tasks = Tasks::new();
    let ctl = Arc::new(Controller::new(Parts {
        config,
        store,
        blobs,
        uaa,
        bus,
        tasks: tasks.clone(),
        addr,
        keys,
    }));
    seed::run(&ctl)
        .await
        .map_err(|failure| StartError::Seed(failure.0.description))?;
    health::listen(&ctl).await?;
    sweep(&ctl);
    let status = status(&ctl).await?;
    let forwarders = ctl.config.uaa.trusted_forwarders.clone();
    let limits = component::serve::Limits::behind(forwarders);
    component::serve_within(listener, api::router(&ctl), &tasks, limits);
    status.ready();
    Ok(Running {
        addr,
        status_addr: status.addr(),
        tasks,
    })
}

fn make_temp_dir(config: &Config) -> Result<(), StartError> {
    let Some(path) = config.temp_dir.clone() else {
        return Ok(());
    };
    private::directory(&path).map_err(|source| StartError::TempDir { path, source })
}

async fn bind(listen: &str) -> Result<TcpListener, StartError> {
    TcpListener::bind(listen)
        .await
        .map_err(|source| StartError::Listen {
            listen: listen.to_owned(),
            source,
        })
}

async fn status(ctl: &Ctl) -> Result<Status, StartError> {
    let identity = Identity {
        kind: "CloudController",
        index: ctl.config.index,
        uuid: bus::ids::component_id(ctl.config.index),
    };
    let varz = {
        let ctl = ctl.clone();
        Arc::new(move || api::varz(&ctl))
    };
    let health = {
        let ctl = ctl.clone();
        Arc::new(move || match ctl.trouble() {
            Some(trouble) => Err(trouble),
            None => Ok(()),
        })
    };
    let mut registry = Registry::default();
    let numbers = ctl.clone();
    registry.register_collector(Box::new(Gauges::new("cloud_controller", move || {
        api::varz(&numbers)
    })));
    let pages = Pages {
        registry,
        varz,
        health,
        needs_bus: false,
        ..Pages::default()
    };
    let config = &ctl.config.status;
    Status::start(identity, config, Some(&ctl.bus), pages, &ctl.tasks)
        .await
        .map_err(|source| StartError::Listen {
            listen: config.listen.to_string(),
            source,
        })
}

/// Ends what is overdue, forgets what is old, collects what nobody refers to.
fn sweep(ctl: &Ctl) {
    let shared = ctl.clone();
    let every = Duration::from_secs(ctl.config.blob_sweep_seconds.max(1).into());
    ctl.tasks.every("blob sweep", every, move || {
        let ctl = shared.clone();
        async move {
            if let Err(failure) = garbage::collect(&ctl).await {
                tracing::warn!(error = %failure.0, "blobs were not collected; it is tried again");
            }
        }
    });
    let shared = ctl.clone();
    ctl.tasks.every(
        "sweep",
        SWEEP_EVERY.min(ctl.times.heartbeat * 5),
        move || {
            let ctl = shared.clone();
            async move {
                if let Err(error) = sweep_once(&ctl).await {
                    tracing::warn!(%error, "sweeping failed; it is repeated");
                }
            }
        },
    );
}

async fn sweep_once(ctl: &Ctl) -> Result<(), crate::store::StoreError> {
    ctl.expire_stagings().await?;
    stager::adopt(ctl).await?;
    let now = now_micros();
    let mut tx = ctl.store.begin().await?;
    tx.sweep_jobs(now - JOB_LIMIT, now - JOB_MEMORY).await?;
    tx.prune_events(now - i64::from(ctl.config.events_days) * 24 * 3600 * 1_000_000)
        .await?;
    tx.commit().await
}
