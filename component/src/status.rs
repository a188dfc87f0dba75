//! The status endpoint of a daemon (`/healthz`, `/varz`, `/metrics`) and its
//! answers to the collector's `vcap.component.discover`.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bus::component::{Announce, DISCOVER};
use bus::{Anything, Bus};
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::net::TcpListener;

use crate::gauges::Gauges;
use crate::{BasicAuth, Tasks, authorized, serve};

/// Where a daemon shows its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StatusConfig {
    /// Address of `/healthz`, `/varz` and `/metrics`; port 0 takes a free one.
    pub listen: SocketAddr,
    /// User for `/varz` and `/metrics`; random when empty.
    pub user: String,
    /// Password for `/varz` and `/metrics`; random when empty.
    pub password: String,
}

impl Default for StatusConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            user: String::new(),
            password: String::new(),
        }
    }
}

/// Between attempts to hear collectors.
const SUBSCRIBE_PAUSE: Duration = Duration::from_secs(5);

/// Who the daemon is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// `DEA`, `Router`, `CloudController`, `HM9000`, …
    pub kind: &'static str,
    /// Job index.
    pub index: u32,
    /// `<index>-<uuid>`; a DEA's id.
    pub uuid: String,
}

/// Computes a daemon's own `/varz` keys.
pub type VarzSource = Arc<dyn Fn() -> Map<String, Value> + Send + Sync>;
/// `Ok` when healthy, else what is wrong.
pub type HealthSource = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// What a daemon shows beyond what all show alike.
pub struct Pages {
    /// Its own metrics; the process's memory and uptime are added.
    pub registry: Registry,
    /// Its own `/varz` keys.
    pub varz: VarzSource,
    /// Behind `/healthz`, beside its tasks and the bus, which are looked at for all.
    pub health: HealthSource,
    /// `/healthz` is 503 while the bus is away or refuses to let the daemon hear; false for those who only announce themselves.
    pub needs_bus: bool,
    /// Further routes of the same listener, given the credentials that are announced.
    pub more: Box<dyn FnOnce(BasicAuth) -> Router + Send>,
}

impl Default for Pages {
    /// Nothing of its own, always healthy.
    fn default() -> Self {
        Self {
            registry: Registry::default(),
            varz: Arc::new(Map::new),
            health: Arc::new(|| Ok(())),
            needs_bus: true,
            more: Box::new(|_| Router::new()),
        }
    }
}

/// The status endpoint. Cheap to clone.
#[derive(Clone)]
pub struct Status(Arc<Inner>);

struct Inner {
    identity: Identity,
    addr: SocketAddr,
    auth: BasicAuth,
    started: Instant,
    started_text: String,
    varz: VarzSource,
    health: HealthSource,
    bus: Option<Bus>,
    needs_bus: bool,
    tasks: Tasks,
    ready: AtomicBool,
    metrics: Mutex<Registry>,
}

impl Status {
    /// Binds and serves the endpoint, announces the component and answers
    /// `vcap.component.discover` for as long as the daemon runs. `/healthz` says that the daemon is
    /// starting until [`Status::ready`]. Errors when the address cannot be bound.
    pub async fn start(
        identity: Identity,
        config: &StatusConfig,
        bus: Option<&Bus>,
        pages: Pages,
        tasks: &Tasks,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(config.listen).await?;
        let addr = listener.local_addr()?;
        let (started, mut registry) = (Instant::now(), pages.registry);
        registry.register_collector(Box::new(process_metrics(started)));
        let status = Self(Arc::new(Inner {
            identity,
            addr,
            auth: credentials(config),
            started,
            started_text: chrono::Local::now()
                .format("%Y-%m-%d %H:%M:%S %z")
                .to_string(),
            varz: pages.varz,
            health: pages.health,
            bus: bus.cloned(),
            needs_bus: pages.needs_bus,
            tasks: tasks.clone(),
            ready: AtomicBool::new(false),
            metrics: Mutex::new(registry),
        }));
        let more = (pages.more)(status.0.auth.clone());
        serve(listener, status.router().merge(more), tasks);
        if let Some(bus) = bus {
            status.answer_discovery(bus.clone(), tasks);
        }
        Ok(status)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.0.addr
    }

    /// The daemon has started: from now on `/healthz` says how it is doing, and no longer that it is starting.
    pub fn ready(&self) {
        self.0.ready.store(true, Ordering::Release);
    }

    fn router(&self) -> Router {
        Router::new()
            .route("/healthz", get(healthz))
            .route("/varz", get(varz))
            .route("/metrics", get(metrics))
            .with_state(self.clone())
    }

    /// What the collector is told.
    pub fn announcement(&self) -> Announce {
        let id = &self.0.identity;
        Announce {
            kind: id.kind.into(),
            index: id.index,
            uuid: id.uuid.clone(),
            host: self.0.addr.to_string(),
            credentials: (self.0.auth.user.clone(), self.0.auth.password.clone()),
            start: self.0.started_text.clone(),
            uptime: Some(uptime_text(self.0.started.elapsed().as_secs())),
        }
    }

    fn answer_discovery(&self, bus: Bus, tasks: &Tasks) {
        let status = self.clone();
        tasks.spawn("discover", async move {
            bus.wait_connected().await;
            let mut requests = loop {
                match bus.subscribe_to::<Anything>(DISCOVER).await {
                    Ok(requests) => break requests,
                    Err(error) => tracing::error!(%error, "collectors cannot discover this component; will retry"),
                }
                tokio::time::sleep(SUBSCRIBE_PAUSE).await;
            };
            let _ = bus.publish(&status.announcement()).await;
            loop {
                if let Some(inbox) = requests.next().await.reply {
                    let _ = bus.publish_to(&inbox, &status.announcement()).await;
                }
            }
        });
    }

    fn full_varz(&self) -> Map<String, Value> {
        let mut all = match serde_json::to_value(self.announcement()) {
            Ok(Value::Object(map)) => map,
            _ => Map::new(),
        };
        // The collector has the credentials; showing them again helps nobody.
        all.remove("credentials");
        all.insert(
            "num_cores".into(),
            std::thread::available_parallelism()
                .map_or(1, usize::from)
                .into(),
        );
        all.insert("mem_bytes".into(), resident_bytes().into());
        if let Some(bus) = &self.0.bus {
            all.insert("bus_messages_dropped".into(), bus.dropped().into());
        }
        all.extend((self.0.varz)());
        all
    }
}

/// What `/metrics` says of every process.
fn process_metrics(started: Instant) -> Gauges {
    Gauges::new("process", move || {
        let pairs = [
            ("resident_memory_bytes", resident_bytes()),
            ("uptime_seconds", started.elapsed().as_secs()),
        ];
        pairs
            .map(|(key, n)| (key.to_owned(), n.into()))
            .into_iter()
            .collect()
    })
}

fn credentials(config: &StatusConfig) -> BasicAuth {
    let or_random = |text: &str| {
        if text.is_empty() {
            bus::ids::hex32()
        } else {
            text.to_owned()
        }
    };
    BasicAuth {
        user: or_random(&config.user),
        password: or_random(&config.password),
    }
}

/// `Dd:Hh:Mm:Ss` without padding, as all originals print it.
pub fn uptime_text(seconds: u64) -> String {
    format!(
        "{}d:{}h:{}m:{}s",
        seconds / 86_400,
        seconds / 3_600 % 24,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// Resident memory of this process in bytes; 0 where /proc is missing.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm
        .split(' ')
        .nth(1)
        .and_then(|p| p.parse::<u64>().ok())
        .unwrap_or(0)
        * 4096
}

impl Inner {
    /// A failed task first, for it is the cause of what follows; then the bus, then what is the daemon's own.
    fn health(&self) -> Result<(), String> {
        if let Some(reason) = self.tasks.failure() {
            return Err(reason);
        }
        if !self.ready.load(Ordering::Acquire) {
            return Err("starting".into());
        }
        if let Some(bus) = self.bus.as_ref().filter(|_| self.needs_bus) {
            bus.health().map_err(|error| error.to_string())?;
        }
        (self.health)()
    }
}

async fn healthz(State(status): State<Status>) -> Response {
    match status.0.health() {
        Ok(()) => (StatusCode::OK, "ok\n").into_response(),
        Err(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("bad: {reason}\n")).into_response()
        }
    }
}

async fn varz(State(status): State<Status>, headers: HeaderMap) -> Response {
    if !authorized(&headers, &status.0.auth) {
        return unauthorized();
    }
    Json(status.full_varz()).into_response()
}

async fn metrics(State(status): State<Status>, headers: HeaderMap) -> Response {
    if !authorized(&headers, &status.0.auth) {
        return unauthorized();
    }
    let mut text = String::new();
    let encoded = match status.0.metrics.lock() {
        Ok(registry) => prometheus_client::encoding::text::encode(&mut text, &registry),
        Err(_) => Err(std::fmt::Error),
    };
    match encoded {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "metrics could not be encoded\n",
        )
            .into_response(),
    }
}

fn unauthorized() -> Response {
    let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"status\"")];
    (StatusCode::UNAUTHORIZED, challenge, "401 Unauthorized\n").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uptime_is_printed_without_padding() {
        assert_eq!(uptime_text(0), "0d:0h:0m:0s");
        assert_eq!(uptime_text(93_784), "1d:2h:3m:4s");
    }
}
