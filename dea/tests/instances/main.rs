//! Instances of a DEA whose containers follow a script: what the app's owner
//! reads, and what the container is asked for.

#![allow(clippy::unwrap_used)]

mod files;
mod leaving;
mod staging;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use bus::dea::{Advertise, StartInstance};
use bus::droplet::Exited;
use bus::log::{INTAKE_PATH, LogBatch};
use bus::{Bus, BusConfig};
use component::StatusConfig;
use dea::config::{BandwidthLimit, LoggregatorConfig};
use dea::{Config, Deps};
use warden::{Backend, Bandwidth, Container, Exit, OomKill, Script, ScriptedBackend, ScriptedJob};

const SHA1_OF_NOTHING: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";

type Lines = Arc<Mutex<Vec<String>>>;

/// A bus, a place for log lines, and a DEA.
struct Stage {
    _dir: tempfile::TempDir,
    nats: nats_lite::Running,
    bus: Bus,
    dea: dea::Running,
    config: Config,
    lines: Lines,
}

impl Stage {
    async fn set(backend: ScriptedBackend, change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let nats = nats_lite::start(nats_lite::Config::on_free_port()).await;
        let nats = nats.unwrap();
        let (lines, intake) = intake().await;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut config = Config {
            base_dir: dir.path().into(),
            bus: BusConfig::url(nats.url()),
            status: StatusConfig {
                listen: any,
                ..StatusConfig::default()
            },
            loggregator: LoggregatorConfig {
                url: format!("http://{intake}"),
                ..LoggregatorConfig::default()
            },
            ..Config::default()
        };
        change(&mut config);
        // The droplet is in the cache already.
        let droplet = dir.path().join("droplets").join(SHA1_OF_NOTHING);
        std::fs::create_dir_all(&droplet).unwrap();
        std::fs::write(droplet.join(dea::droplets::FILE), "").unwrap();
        let bus = Bus::connect(&config.bus, "test").await.unwrap();
        bus.wait_connected().await;
        let mut offers = bus.subscribe::<Advertise>().await.unwrap();
        bus.flush().await.unwrap();
        let deps = Deps {
            backend: Arc::new(backend),
        };
        let dea = dea::start(config.clone(), deps).await.unwrap();
        // Its subscriptions went out before its first offer.
        assert_eq!(offers.next().await.body.id, dea.id);
        Self {
            dea,
            config,
            _dir: dir,
            nats,
            bus,
            lines,
        }
    }

    async fn order_instance(&self) {
        let message: StartInstance = serde_json::from_value(serde_json::json!({
            "droplet": "app-1", "name": "shop", "version": "v1", "index": 0,
            "sha1": SHA1_OF_NOTHING, "start_command": "serve the shop", "cc_partition": "default",
            "limits": {"mem": 64, "disk": 128, "fds": 256}
        }))
        .unwrap();
        let subject = StartInstance::subject(&self.dea.id);
        self.bus.publish_to(&subject, &message).await.unwrap();
        self.bus.flush().await.unwrap();
    }

    /// Waits for a log line that begins like this.
    async fn line(&self, start: &str) -> String {
        until(start, || {
            let lines = self.lines.lock().unwrap();
            lines.iter().find(|line| line.starts_with(start)).cloned()
        })
        .await
    }

    async fn end(self) {
        self.dea.shutdown().await;
        self.nats.shutdown().await;
    }
}

/// A loggregator that keeps what it gets.
async fn intake() -> (Lines, SocketAddr) {
    let lines = Lines::default();
    let app = Router::new()
        .route(INTAKE_PATH, post(keep))
        .with_state(Arc::clone(&lines));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (lines, address)
}

async fn keep(State(lines): State<Lines>, Json(batch): Json<LogBatch>) -> Json<serde_json::Value> {
    let accepted = batch.lines.len();
    let messages = batch.lines.into_iter().map(|line| line.message);
    lines.lock().unwrap().extend(messages);
    Json(serde_json::json!({"accepted": accepted}))
}

/// Waits for a condition, not for a duration; gives up after a minute.
async fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn the_app(job: ScriptedJob) -> Script {
    Script {
        jobs: vec![ScriptedJob {
            when: "serve the shop".into(),
            ..job
        }],
        ..Script::default()
    }
}

#[tokio::test]
async fn out_of_memory_is_the_exit_description_and_the_log_tells_its_facts() {
    let backend = ScriptedBackend::new(the_app(ScriptedJob {
        exit: Some(Exit {
            code: 137,
            signal: Some(9),
        }),
        event: Some("out of memory".into()),
        oom: Some(OomKill {
            peak_bytes: 63 << 20,
            limit_bytes: 64 << 20,
            victim: Some("python3".into()),
            kills: 1,
        }),
        ..ScriptedJob::default()
    }));
    let stage = Stage::set(backend, |_| ()).await;
    let mut exits = stage.bus.subscribe::<Exited>().await.unwrap();
    stage.bus.flush().await.unwrap();
    stage.order_instance().await;
    let exited = exits.next().await.body;
    assert_eq!(
        (exited.exit_status, exited.exit_description.as_str()),
        (137, "out of memory")
    );
    assert_eq!(
        stage.line("App instance exited").await,
        "App instance exited with status 137: out of memory"
    );
    let facts = stage.line("Out of memory").await;
    for fact in ["process python3", "63 of the 64 MB"] {
        assert!(facts.contains(fact), "{facts}");
    }
    stage.end().await;
}

/// The bandwidth that the first container was made with.
async fn bandwidth_of_an_instance(limit: Option<BandwidthLimit>) -> Option<Bandwidth> {
    let backend = ScriptedBackend::new(the_app(ScriptedJob::default()));
    let stage = Stage::set(backend.clone(), |config| {
        config.instance.bandwidth_limit = limit;
    })
    .await;
    stage.order_instance().await;
    stage.line("Starting app instance").await;
    until("the app's job runs", || {
        (backend.calls(warden::ScriptedVerb::Run) >= 2).then_some(())
    })
    .await;
    let handles = backend.list(&Default::default()).await.unwrap();
    let container: Arc<dyn Container> = backend.lookup(&handles[0]).await.unwrap();
    let limits = container.info().await.unwrap().limits;
    assert_eq!(limits.memory_bytes, Some(64 << 20));
    stage.end().await;
    limits.bandwidth
}

#[tokio::test]
async fn an_instance_gets_the_configured_bandwidth() {
    let limit = BandwidthLimit {
        rate: 1_000_000,
        burst: 5_000_000,
    };
    let wanted = Bandwidth {
        rate_bytes: 1_000_000,
        burst_bytes: 5_000_000,
    };
    assert_eq!(bandwidth_of_an_instance(Some(limit)).await, Some(wanted));
}

#[tokio::test]
async fn bandwidth_is_not_limited_unless_configured() {
    assert_eq!(bandwidth_of_an_instance(None).await, None);
}
