//! Starting and stopping a health manager.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::dea::{Advertise, Heartbeat};
use bus::droplet::Exited;
use bus::{Anything, Bus, BusError, Message, Subscription};
use component::prometheus_client::collector::Collector;
use component::prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use component::prometheus_client::metrics::gauge::ConstGauge;
use component::prometheus_client::registry::Registry;
use component::{Daemon, Identity, Pages, Status, Tasks};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::api;
use crate::brain::Event;
use crate::config::Config;
use crate::engine::{Engine, Input, Window};
use crate::fetch::Fetcher;
use crate::lease::{Lease, Standing};
use crate::metrics;

/// Inputs waiting for the engine. When it is full, senders wait: a late heartbeat is better than a lost one.
const BACKLOG: usize = 4096;
/// How long background tasks may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Why the health manager did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A port could not be opened.
    #[error(
        "cannot listen for {purpose} on {addr}: {source}; is another health manager running there? choose another port in the configuration"
    )]
    Listen {
        /// `the API` or `status`.
        purpose: &'static str,
        /// The address asked for.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The HTTP client could not be made.
    #[error("cannot make an HTTP client: {0}; are the system's CA certificates readable?")]
    Http(#[from] reqwest::Error),
    /// The bus address is unusable, or a subscription was refused.
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// A running health manager.
pub struct Running {
    addr: SocketAddr,
    status_addr: SocketAddr,
    tasks: Tasks,
}

/// Opens the ports and begins to listen. Neither bus nor controller need to be there yet.
///
/// # Errors
/// See [`StartError`].
pub async fn start(config: Config) -> Result<Running, StartError> {
    let refused = |purpose, addr| {
        move |source| StartError::Listen {
            purpose,
            addr,
            source,
        }
    };
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(refused("the API", config.listen))?;
    let addr = listener
        .local_addr()
        .map_err(refused("the API", config.listen))?;
    let id = bus::ids::component_id(config.index);
    let bus = Bus::connect(&config.bus, &format!("health-manager-{}", config.index)).await?;
    let http = reqwest::Client::builder().build()?;
    let tasks = Tasks::new();
    let (inputs, received) = mpsc::channel(BACKLOG);
    let (standing, stands) = watch::channel(if config.use_lease {
        Standing::Standby
    } else {
        Standing::Unneeded
    });
    let window = Window::default();
    component::serve(
        listener,
        api::router(inputs.clone(), config.api.clone()),
        &tasks,
    );
    let status = start_status(&config, id.clone(), &bus, &window, &tasks).await;
    let status = status.map_err(refused("status", config.status.listen))?;
    subscribe(&bus, &inputs, &tasks).await?;
    if config.use_lease {
        tasks.spawn(
            "lease",
            keep_lease(Lease::new(http.clone(), &config, id), standing),
        );
    }
    tasks.spawn(
        "fetch",
        keep_fetching(Fetcher::new(http, &config), config.fetch_interval(), inputs),
    );
    tasks.spawn(
        "engine",
        Engine::new(bus, received, stands, window, config.params()).run(),
    );
    status.ready();
    Ok(Running {
        addr,
        status_addr: status.addr(),
        tasks,
    })
}

async fn start_status(
    config: &Config,
    uuid: String,
    bus: &Bus,
    window: &Window,
    tasks: &Tasks,
) -> std::io::Result<Status> {
    let identity = Identity {
        kind: "HM9000",
        index: config.index,
        uuid,
    };
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Metrics(window.clone())));
    let for_varz = window.clone();
    let varz = Arc::new(move || metrics::varz(&for_varz.look().0));
    let pages = Pages {
        registry,
        varz,
        ..Pages::default()
    };
    Status::start(identity, &config.status, Some(bus), pages, tasks).await
}

/// Everything the bus has to say becomes an input, its own coming and going included.
async fn subscribe(bus: &Bus, inputs: &mpsc::Sender<Input>, tasks: &Tasks) -> Result<(), BusError> {
    let heartbeats: Subscription<Heartbeat> = bus.subscribe().await?;
    let exits: Subscription<Exited> = bus.subscribe().await?;
    // Only the arrival counts, so that an unusual advertisement is a sign of life too.
    let adverts: Subscription<Anything> = bus.subscribe_to(Advertise::SUBJECT).await?;
    tasks.spawn(
        "heartbeats",
        forward(heartbeats, Event::Heartbeat, inputs.clone()),
    );
    tasks.spawn("exits", forward(exits, Event::Exited, inputs.clone()));
    tasks.spawn(
        "advertisements",
        forward(adverts, |_| Event::Advertised, inputs.clone()),
    );
    tasks.spawn(
        "connection watch",
        watch_connection(bus.clone(), inputs.clone()),
    );
    Ok(())
}

async fn forward<M: serde::de::DeserializeOwned>(
    mut from: Subscription<M>,
    event: impl Fn(M) -> Event,
    to: mpsc::Sender<Input>,
) {
    loop {
        let message = from.next().await;
        if to.send(Input::Event(event(message.body))).await.is_err() {
            return;
        }
    }
}

async fn watch_connection(bus: Bus, to: mpsc::Sender<Input>) {
    let mut changes = bus.connection_changes();
    loop {
        bus.wait_connected().await;
        if to.send(Input::Event(Event::BusUp)).await.is_err() {
            return;
        }
        // DEAs answer this with a heartbeat: our picture is complete sooner.
        if let Err(error) = bus.publish_empty(bus::health::HEARTBEAT_NOW, None).await {
            tracing::debug!(%error, "heartbeats were not asked for; they come by themselves");
        }
        while bus.is_connected() {
            if changes.changed().await.is_err() {
                return;
            }
        }
        if to.send(Input::Event(Event::BusDown)).await.is_err() {
            return;
        }
    }
}

async fn keep_fetching(fetcher: Fetcher, every: Duration, to: mpsc::Sender<Input>) {
    let mut timer = tokio::time::interval(every);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        let begun = Instant::now();
        let sent = match fetcher.fetch().await {
            Ok(rows) => {
                let sent = to.send(Input::Event(Event::Desired(rows))).await;
                sent.and(to.send(Input::FetchTook(begun.elapsed())).await)
            }
            Err(error) => {
                tracing::warn!(%error, "desired state was not fetched");
                Ok(())
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Asks three times per lease, so that two answers may be lost.
async fn keep_lease(lease: Lease, standing: watch::Sender<Standing>) {
    let mut timer = tokio::time::interval(lease.ttl / 3);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        let before = *standing.borrow();
        let after = lease.renew(before).await;
        if std::mem::discriminant(&before) != std::mem::discriminant(&after) {
            tracing::info!(?after, "the lease changed");
        }
        standing.send_replace(after);
    }
}

/// Reads the numbers when Prometheus asks.
struct Metrics(Window);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (name, value) in self.0.look().0 {
            let metric = ConstGauge::new(value);
            let full_name = format!("hm9000_{name}");
            metric.encode(encoder.encode_descriptor(
                &full_name,
                name,
                None,
                metric.metric_type(),
            )?)?;
        }
        Ok(())
    }
}

impl Running {
    /// Where `/bulk_app_state` is.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where the status pages are.
    pub fn status_addr(&self) -> SocketAddr {
        self.status_addr
    }

    /// Stops; whatever was pending is decided anew by whoever comes next.
    pub async fn shutdown(self) {
        self.tasks.shutdown(STOP_LIMIT).await;
    }
}

impl Daemon for Running {
    fn describe(&self) -> String {
        format!("API on {}, status on {}", self.addr, self.status_addr)
    }

    fn tasks(&self) -> Tasks {
        self.tasks.clone()
    }

    async fn shutdown(self) {
        Running::shutdown(self).await;
    }
}
