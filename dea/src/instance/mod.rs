//! One app instance: what was asked for (immutable) and how it stands (behind
//! one short lock). The table of states is `state`, what each change entails is
//! `reactions`, the steps are `start` and `stop`.

pub mod env;
pub mod exit;
pub mod health_check;
pub mod reactions;
pub mod registry;
pub mod script;
pub mod start;
pub mod state;
pub mod stats;
pub mod stop;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use bus::dea::{InstanceHeartbeat, StartInstance};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use warden::{JobId, PortMapping};

use self::exit::ExitRecord;
use self::state::State;
use self::stats::Samples;

/// One instance. Shared as `Arc`.
pub struct Instance {
    /// 32 hex.
    pub id: String,
    /// 64 hex; the router's key for this instance.
    pub private_id: String,
    /// What the controller asked for.
    pub message: StartInstance,
    /// Last log line the loggregator has acknowledged.
    pub log_cursor: Arc<AtomicU64>,
    /// Cancelled when the instance must end; long waits of the start listen to it.
    pub cancel: CancellationToken,
    /// One permit per file that is being read of it.
    pub file_readers: Arc<tokio::sync::Semaphore>,
    /// Held while the start or the stop works on the container.
    pub work: tokio::sync::Mutex<()>,
    inner: Mutex<Standing>,
}

/// How an instance stands now; this is also what the snapshot keeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Standing {
    /// State.
    pub state: State,
    /// Unix seconds of entering it.
    pub since: f64,
    /// Unix seconds of entering STARTING.
    pub started: Option<f64>,
    /// Version, replaced by `dea.update`.
    pub version: String,
    /// Routes, replaced by `dea.update`.
    pub uris: Vec<String>,
    /// Container.
    pub handle: Option<String>,
    /// The app's job in it.
    pub job: Option<JobId>,
    /// Its port.
    pub port: Option<PortMapping>,
    /// Address the health check and nobody else uses.
    pub container_ip: Option<std::net::Ipv4Addr>,
    /// How it ended.
    pub exit: Option<ExitRecord>,
    /// CPU and memory.
    #[serde(skip)]
    pub samples: Samples,
}

/// A change that the table of states forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an instance that is {from} cannot become {to}")]
pub struct Forbidden {
    /// Present state.
    pub from: State,
    /// State asked for.
    pub to: State,
}

/// Unix seconds with fraction.
pub fn unix_now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}

impl Instance {
    /// A new instance in BORN with fresh ids.
    pub fn new(message: StartInstance) -> Self {
        let standing = Standing {
            state: State::Born,
            since: unix_now(),
            started: None,
            version: message.version.clone(),
            uris: message.uris.clone(),
            handle: None,
            job: None,
            port: None,
            container_ip: None,
            exit: None,
            samples: Samples::default(),
        };
        Self::from_parts(bus::ids::hex32(), bus::ids::hex64(), message, standing, 0)
    }

    /// An instance out of a snapshot.
    pub fn from_parts(
        id: String,
        private_id: String,
        message: StartInstance,
        standing: Standing,
        cursor: u64,
    ) -> Self {
        Self {
            id,
            private_id,
            message,
            log_cursor: Arc::new(AtomicU64::new(cursor)),
            cancel: CancellationToken::new(),
            file_readers: Arc::new(tokio::sync::Semaphore::new(crate::limits::FILE_READERS)),
            work: tokio::sync::Mutex::new(()),
            inner: Mutex::new(standing),
        }
    }

    /// The standing, for a short look or change. Never held across an await.
    pub fn standing(&self) -> MutexGuard<'_, Standing> {
        self.inner
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Present state.
    pub fn state(&self) -> State {
        self.standing().state
    }

    /// Changes the state when the table allows it; returns the previous one.
    pub fn change(&self, to: State) -> Result<State, Forbidden> {
        let mut standing = self.standing();
        let from = standing.state;
        if !from.may_become(to) {
            return Err(Forbidden { from, to });
        }
        standing.state = to;
        standing.since = unix_now();
        if to == State::Starting {
            standing.started = Some(standing.since);
        }
        Ok(from)
    }

    /// Memory and disk it holds in its present state, MB.
    pub fn reserved(&self) -> crate::resources::Reserved {
        let state = self.state();
        crate::resources::Reserved {
            memory_mb: if state.holds_memory() {
                self.message.limits.mem
            } else {
                0
            },
            disk_mb: if state.holds_disk() {
                self.message.limits.disk
            } else {
                0
            },
        }
    }

    /// Its line in the heartbeat, for states that appear there.
    pub fn heartbeat(&self) -> Option<InstanceHeartbeat> {
        let standing = self.standing();
        Some(InstanceHeartbeat {
            cc_partition: self.message.cc_partition.clone(),
            droplet: self.message.droplet.clone(),
            version: standing.version.clone(),
            instance: self.id.clone(),
            index: self.message.index,
            state: standing.state.in_heartbeat()?,
            state_timestamp: standing.since,
        })
    }
}
