//! What all parts of the controller share.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bus::Bus;
use bus::dea::BoundService;
use bus::times::Times;
use component::Tasks;
use serde_json::Value;
use tokio::sync::Notify;
use v2_api::Code;

use crate::addresses::Addresses;
use crate::blobs::Blobs;
use crate::budget::Budget;
use crate::config::Config;
use crate::dea_addresses::DeaAddresses;
use crate::failure::{Outcome, fail_with, of_file};
use crate::limits::{RESOURCE_LISTS_BYTES, RESOURCE_LISTS_OF_USER_BYTES, UPLOADS, UPLOADS_OF_USER};
use crate::live::Live;
use crate::messages::{Surroundings, bound_service, egress_rules};
use crate::placement::Offer;
use crate::pools::Pool;
use crate::signing::KeyRing;
use crate::store::{AppRow, SPACES, STACKS, Scope, SpaceRow, StackRow, Store, now_micros};
use crate::watch::DatabaseWatch;

/// What the names of directories of uploads in flight begin with.
pub(crate) const UPLOAD_PREFIX: &str = "cc-";

/// The controller's shared parts.
pub(crate) struct Controller {
    pub(crate) config: Config,
    pub(crate) times: Times,
    pub(crate) store: Store,
    pub(crate) blobs: Blobs,
    pub(crate) uaa: uaa::Uaa,
    pub(crate) bus: Bus,
    pub(crate) database: DatabaseWatch,
    pub(crate) logs: loggregator::Hub,
    pub(crate) tasks: Tasks,
    pub(crate) temp: PathBuf,
    /// Address DEAs reach us at.
    internal_base: String,
    /// What addresses are signed with, handed out and accepted.
    pub(crate) keys: Arc<KeyRing>,
    /// Address handed to a client whose request names none.
    pub(crate) fallback_base: String,
    /// This process among the controllers of one database: the holder of its leases.
    pub(crate) me: String,
    /// Told whenever somebody advertises.
    pub(crate) advertised: Notify,
    /// Bytes of app files received since the start.
    pub(crate) uploaded_bytes: AtomicU64,
    /// Memory for lists of files.
    pub(crate) lists: Arc<Budget>,
    /// Uploads under way.
    pub(crate) uploads: Arc<Budget>,
    deas: Mutex<Pool>,
    stagers: Mutex<Pool>,
    live: Mutex<Live>,
    dea_addresses: Mutex<DeaAddresses>,
}

/// How parts hold the controller.
pub(crate) type Ctl = Arc<Controller>;

/// What [`Controller::new`] is made of.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) store: Store,
    pub(crate) blobs: Blobs,
    pub(crate) uaa: uaa::Uaa,
    pub(crate) bus: Bus,
    pub(crate) tasks: Tasks,
    pub(crate) addr: std::net::SocketAddr,
    pub(crate) keys: KeyRing,
}

impl Controller {
    pub(crate) fn new(parts: Parts) -> Controller {
        let config = parts.config;
        let times = config.profile.times();
        let own = format!("http://{}", parts.addr);
        let internal = config.internal_url.clone().unwrap_or_else(|| own.clone());
        Controller {
            internal_base: internal,
            keys: Arc::new(parts.keys),
            database: DatabaseWatch::start(&parts.store, times.heartbeat, &parts.tasks),
            fallback_base: config.external_url.clone().unwrap_or(own),
            logs: loggregator::Hub::new(&config.loggregator),
            temp: config.uploads(),
            deas: Mutex::new(Pool::new(times.advertise_ttl)),
            stagers: Mutex::new(Pool::new(times.advertise_ttl)),
            live: Mutex::new(Live::new(times.heartbeat * times.hm_ttl_heartbeats)),
            dea_addresses: Mutex::default(),
            me: bus::ids::hex32(),
            advertised: Notify::new(),
            uploaded_bytes: AtomicU64::new(0),
            lists: Budget::new(RESOURCE_LISTS_BYTES, RESOURCE_LISTS_OF_USER_BYTES),
            uploads: Budget::new(UPLOADS, UPLOADS_OF_USER),
            store: parts.store,
            blobs: parts.blobs,
            uaa: parts.uaa,
            bus: parts.bus,
            tasks: parts.tasks,
            times,
            config,
        }
    }

    /// DEAs that take instances.
    pub(crate) fn deas(&self) -> MutexGuard<'_, Pool> {
        // Each holder leaves the pool consistent after every statement.
        self.deas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// DEAs that stage.
    pub(crate) fn stagers(&self) -> MutexGuard<'_, Pool> {
        self.stagers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where DEAs are.
    pub(crate) fn dea_addresses(&self) -> MutexGuard<'_, DeaAddresses> {
        self.dea_addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What runs.
    pub(crate) fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// DEA offers right now.
    pub(crate) fn dea_offers(&self) -> Vec<Offer> {
        self.deas().live(Instant::now())
    }

    /// What this controller needs and has not: database and bus, by name. Absent when it can do everything.
    pub(crate) fn trouble(&self) -> Option<String> {
        let bus = self.bus.health().err().map(|error| error.to_string());
        let all: Vec<String> = self.database.trouble().into_iter().chain(bus).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// Refuses what cannot be carried out while the bus is away.
    pub(crate) fn need_bus(&self) -> Outcome<()> {
        if self.bus.is_connected() {
            Ok(())
        } else {
            Err(self.bus.away().into())
        }
    }

    /// A line of the controller in an app's log.
    pub(crate) fn say(&self, app: &str, source: &str, text: impl Into<String>) {
        self.logs.say(
            app,
            source,
            text,
            crate::store::now_micros().saturating_mul(1_000),
        );
    }

    /// A temporary directory for one upload.
    pub(crate) fn scratch(&self) -> Outcome<tempfile::TempDir> {
        std::fs::create_dir_all(&self.temp)
            .and_then(|()| {
                tempfile::Builder::new()
                    .prefix(UPLOAD_PREFIX)
                    .tempdir_in(&self.temp)
            })
            .map_err(|error| of_file(&self.temp, &error))
    }

    /// The app's stack.
    pub(crate) async fn stack_of(&self, app: &AppRow) -> Outcome<StackRow> {
        let stack = self
            .store
            .find(&STACKS, &Scope::all(), &app.stack_guid)
            .await?;
        stack.ok_or_else(|| fail_with(Code::StackNotFound, &app.stack_guid))
    }

    /// The app's space.
    pub(crate) async fn space_of(&self, app: &AppRow) -> Outcome<SpaceRow> {
        let space = self
            .store
            .find(&SPACES, &Scope::all(), &app.space_guid)
            .await?;
        space.ok_or_else(|| fail_with(Code::SpaceNotFound, &app.space_guid))
    }

    /// Addresses for DEAs and stagers, from now on good as long as a staging may take and a while longer.
    pub(crate) fn addresses(&self) -> Addresses {
        let staging = i64::try_from(self.config.staging.timeout_seconds).unwrap_or(i64::MAX / 4);
        let good_for = staging.saturating_add(self.config.address_seconds.into());
        let expires = (now_micros() / 1_000_000).saturating_add(good_for);
        Addresses::new(&self.internal_base, &self.keys, expires)
    }

    /// Everything a message about this app needs.
    pub(crate) async fn surroundings(&self, app: &AppRow) -> Outcome<Surroundings> {
        Ok(Surroundings {
            space_name: self.space_of(app).await?.name,
            stack_name: self.stack_of(app).await?.name,
            uris: self.store.uris_of(&app.guid).await?,
            environment: self.store.unseal(&app.environment_sealed)?,
            running_env: self.store.env_group("running").await?,
            staging_env: self.store.env_group("staging").await?,
            running_rules: egress_rules(&self.store.running_groups(&app.space_guid).await?),
            staging_rules: egress_rules(&self.store.staging_groups().await?),
            services: self.services_of(app).await?,
            addresses: self.addresses(),
        })
    }

    /// What the app is bound to, with credentials in clear.
    async fn services_of(&self, app: &AppRow) -> Outcome<Vec<BoundService>> {
        let rows = self.store.bindings_of(&app.guid).await?;
        let mut services = Vec::with_capacity(rows.len());
        for row in rows {
            let drain = row.syslog_drain_sealed.as_deref();
            services.push(bound_service(
                &row.instance_name,
                serde_json::from_str(&row.tags).unwrap_or_default(),
                self.store.unseal(&row.credentials_sealed)?,
                drain
                    .map(|sealed| self.store.unseal_text(sealed))
                    .transpose()?,
            ));
        }
        Ok(services)
    }
}

/// A JSON object's entries, or none.
pub(crate) fn object(value: Value) -> serde_json::Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => serde_json::Map::new(),
    }
}
