//! A health manager on a private bus, a fake controller, and DEAs played by the test.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use bus::dea::{Heartbeat, HeartbeatState, InstanceHeartbeat};
use bus::health::{Start, Stop};
use bus::times::Profile;
use bus::{Bus, BusConfig};
use component::{BasicAuth, StatusConfig, Tasks, authorized};
use health_manager::Config;
use health_manager::desired::Row;
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// How long anything may take before the test counts as failed.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Heartbeat of the test profile.
pub const HEARTBEAT: Duration = bus::times::TEST.heartbeat;

pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

pub fn auth() -> BasicAuth {
    BasicAuth {
        user: "hm".into(),
        password: "secret".into(),
    }
}

/// The controller's side: rows of the bulk API and the lease.
#[derive(Clone, Default)]
pub struct Controller(Arc<Mutex<Books>>);

#[derive(Default)]
struct Books {
    rows: BTreeMap<String, Row>,
    pages: usize,
    /// `None`: no such endpoint. `Some(None)`: held by another. `Some(Some(epoch))`: granted.
    lease: Option<Option<i64>>,
}

impl Controller {
    pub fn want(&self, guid: &str, version: &str, instances: u32) {
        self.set(guid, version, instances, "STARTED", "STAGED");
    }

    pub fn set(&self, guid: &str, version: &str, instances: u32, state: &str, package_state: &str) {
        let row = Row {
            id: guid.into(),
            version: version.into(),
            instances,
            state: state.into(),
            package_state: package_state.into(),
        };
        self.0.lock().unwrap().rows.insert(guid.into(), row);
    }

    pub fn lease(&self, lease: Option<i64>) {
        self.0.lock().unwrap().lease = Some(lease);
    }

    pub fn pages(&self) -> usize {
        self.0.lock().unwrap().pages
    }

    fn router(self) -> Router {
        Router::new()
            .route("/bulk/apps", get(bulk_apps))
            .route("/internal/v1/health_manager/lease", put(lease))
            .with_state(self)
    }
}

async fn bulk_apps(
    State(controller): State<Controller>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if !authorized(&headers, &auth()) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let token: Value = serde_json::from_str(&query["bulk_token"]).unwrap();
    let (from, size) = (
        token["id"].as_u64().unwrap_or(0) as usize,
        query["batch_size"].parse().unwrap(),
    );
    let mut books = controller.0.lock().unwrap();
    books.pages += 1;
    let page: BTreeMap<&String, &Row> = books.rows.iter().skip(from).take(size).collect();
    let last = if page.is_empty() {
        Value::Null
    } else {
        json!(from + page.len())
    };
    Json(json!({"results": page, "bulk_token": {"id": last}})).into_response()
}

async fn lease(State(controller): State<Controller>, headers: HeaderMap) -> Response {
    if !authorized(&headers, &auth()) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    match controller.0.lock().unwrap().lease {
        None => StatusCode::NOT_FOUND.into_response(),
        Some(None) => StatusCode::CONFLICT.into_response(),
        Some(Some(epoch)) => Json(json!({"epoch": epoch})).into_response(),
    }
}

/// Everything around one health manager.
pub struct Platform {
    pub nats: nats_lite::Running,
    pub controller: Controller,
    pub health_manager: health_manager::Running,
    pub bus: Bus,
    pub starts: mpsc::UnboundedReceiver<Start>,
    pub stops: mpsc::UnboundedReceiver<Stop>,
    pub tasks: Tasks,
}

impl Platform {
    pub async fn start(controller: Controller) -> Self {
        Self::start_with(controller, |config| config).await
    }

    pub async fn start_with(controller: Controller, change: impl FnOnce(Config) -> Config) -> Self {
        let tasks = Tasks::new();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = tokio::net::TcpListener::bind(any).await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        component::serve(listener, controller.clone().router(), &tasks);
        let nats = nats_lite::start(nats_lite::Config::on_free_port())
            .await
            .unwrap();
        let bus = Bus::connect(&BusConfig::url(nats.url()), "test")
            .await
            .unwrap();
        within("the bus", bus.wait_connected()).await;
        let (starts, stops) = listen(&bus, &tasks).await;
        let config = Config {
            listen: any,
            api: auth(),
            bus: BusConfig::url(nats.url()),
            status: StatusConfig {
                listen: any,
                user: "u".into(),
                password: "p".into(),
            },
            profile: Profile::Test,
            controller: address,
            bulk_api: auth(),
            ..Config::default()
        };
        let health_manager = health_manager::start(change(config)).await.unwrap();
        Self {
            nats,
            controller,
            health_manager,
            bus,
            starts,
            stops,
            tasks,
        }
    }

    /// A DEA that beats until it is killed.
    pub fn dea(&self, id: &str) -> Dea {
        let dea = Dea {
            id: id.into(),
            bus: self.bus.clone(),
            instances: Arc::default(),
            tasks: Tasks::new(),
        };
        let beating = dea.clone();
        dea.tasks.spawn("heartbeat", async move {
            loop {
                // A bus that is away for a moment is part of some tests.
                let _ = beating.beat().await;
                tokio::time::sleep(HEARTBEAT).await;
            }
        });
        dea
    }

    pub async fn next_start(&mut self) -> Start {
        within("a start", self.starts.recv()).await.unwrap()
    }

    pub async fn next_stop(&mut self) -> Stop {
        within("a stop", self.stops.recv()).await.unwrap()
    }

    /// What the health manager tells of one app.
    pub async fn app_state(&self, guid: &str, version: &str) -> Value {
        let url = format!("http://{}/bulk_app_state", self.health_manager.addr());
        let request = reqwest::Client::new()
            .post(url)
            .basic_auth("hm", Some("secret"))
            .json(&json!([{"droplet": guid, "version": version}]));
        request.send().await.unwrap().json::<Value>().await.unwrap()[guid].clone()
    }

    /// Waits until the health manager acts on what it sees.
    pub async fn until_fresh(&self, guid: &str, version: &str) -> Value {
        self.until_state(guid, version, |state| !state.is_null())
            .await
    }

    pub async fn until_state(
        &self,
        guid: &str,
        version: &str,
        good: impl Fn(&Value) -> bool,
    ) -> Value {
        within("the app's state", async {
            loop {
                let state = self.app_state(guid, version).await;
                if good(&state) {
                    return state;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await
    }
}

async fn listen(
    bus: &Bus,
    tasks: &Tasks,
) -> (
    mpsc::UnboundedReceiver<Start>,
    mpsc::UnboundedReceiver<Stop>,
) {
    let (mut starts, mut stops) = (
        bus.subscribe::<Start>().await.unwrap(),
        bus.subscribe::<Stop>().await.unwrap(),
    );
    let ((start, started), (stop, stopped)) =
        (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    tasks.spawn("starts", async move {
        loop {
            let message = starts.next().await;
            start.send(message.body).unwrap();
        }
    });
    tasks.spawn("stops", async move {
        loop {
            let message = stops.next().await;
            stop.send(message.body).unwrap();
        }
    });
    bus.flush().await.unwrap();
    (started, stopped)
}

/// A DEA played by the test.
#[derive(Clone)]
pub struct Dea {
    pub id: String,
    bus: Bus,
    instances: Arc<Mutex<Vec<InstanceHeartbeat>>>,
    tasks: Tasks,
}

impl Dea {
    pub fn put(
        &self,
        guid: &str,
        version: &str,
        index: u32,
        instance: &str,
        state: HeartbeatState,
    ) {
        let mut instances = self.instances.lock().unwrap();
        instances.retain(|other| other.instance != instance);
        instances.push(InstanceHeartbeat {
            cc_partition: "default".into(),
            droplet: guid.into(),
            version: version.into(),
            instance: instance.into(),
            index,
            state,
            state_timestamp: 1.5,
        });
    }

    pub fn remove(&self, instance: &str) {
        self.instances
            .lock()
            .unwrap()
            .retain(|other| other.instance != instance);
    }

    pub async fn beat(&self) -> Result<(), bus::BusError> {
        let droplets = self.instances.lock().unwrap().clone();
        self.bus
            .publish(&Heartbeat {
                dea: self.id.clone(),
                droplets,
            })
            .await
    }

    /// Falls silent.
    pub async fn kill(&self) {
        self.tasks.shutdown(PATIENCE).await;
    }
}
