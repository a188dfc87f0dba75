//! Starting and stopping a router.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bus::{Bus, BusError};
use component::{Daemon, Identity, Tasks};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access_log::AccessLog;
use crate::budget::Budget;
use crate::config::Config;
use crate::proxy::Proxy;
use crate::quota::Quota;
use crate::server::Doors;
use crate::stats::Stats;
use crate::table::Table;
use crate::upstream::Upstream;
use crate::{registrar, server, status};

/// How often idle connections to instances are looked through.
const SWEEP: Duration = Duration::from_secs(1);
/// How long background tasks may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Why the router did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A port could not be opened.
    #[error(
        "cannot listen for {purpose} on {addr}: {source}; is another router running there? choose another port in the configuration"
    )]
    Listen {
        /// `clients` or `status`.
        purpose: &'static str,
        /// The address asked for.
        addr: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The access log could not be opened.
    #[error(
        "cannot open the access log {path}: {source}; check that its directory exists and is writable"
    )]
    AccessLog {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bus address is unusable, or a subscription was refused.
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// A running router.
pub struct Running {
    addr: SocketAddr,
    status_addr: SocketAddr,
    drain_wait: Duration,
    proxy: Arc<Proxy>,
    tasks: Tasks,
    stop_serving: CancellationToken,
    mapped: Vec<SocketAddr>,
    servers: Vec<JoinHandle<()>>,
    log_writer: Option<JoinHandle<()>>,
}

/// Opens the ports and begins to route. The bus need not be there yet: until it
/// is, and for one register interval after, unknown hosts are answered with 503.
///
/// # Errors
/// See [`StartError`].
pub async fn start(config: Config) -> Result<Running, StartError> {
    let (listener, addr) = listen("clients", config.listen).await?;
    let (mut mapped, mut mapped_addrs) = (Vec::new(), Vec::new());
    for (addr, host) in &config.listen_as {
        let (listener, addr) = listen("clients of one host", *addr).await?;
        mapped.push((listener, Arc::from(host.as_str())));
        mapped_addrs.push(addr);
    }
    let opened = AccessLog::open(&config.access_logs());
    let (log, log_writer) = opened.map_err(|source| StartError::AccessLog {
        path: config.access_log.clone(),
        source,
    })?;
    let id = bus::ids::component_id(config.index);
    let bus = Bus::connect(&config.bus, &format!("router-{}", config.index)).await?;
    let proxy = Arc::new(proxy(&config, log));
    let tasks = Tasks::new();
    let identity = Identity {
        kind: "Router",
        index: config.index,
        uuid: id.clone(),
    };
    let status = status::start(&config.status, identity, &bus, proxy.clone(), &tasks).await;
    let status_addr = status.map_err(|source| StartError::Listen {
        purpose: "status",
        addr: config.status.listen,
        source,
    })?;
    registrar::follow(bus, proxy.clone(), hello(&config, id, addr), &tasks).await?;
    keep_tidy(&config, &proxy, &tasks);
    let stop_serving = CancellationToken::new();
    let drain_wait = Duration::from_secs_f64(config.drain_wait);
    let mapped = mapped.into_iter().map(|(open, host)| (open, Some(host)));
    let doors = Doors::new(&config);
    let servers = std::iter::once((listener, None))
        .chain(mapped)
        .map(|(listener, host)| {
            let (config, proxy, stop) = (config.clone(), proxy.clone(), stop_serving.clone());
            tokio::spawn(server::serve(
                listener,
                host,
                config,
                doors.clone(),
                proxy,
                stop,
            ))
        })
        .collect();
    Ok(Running {
        addr,
        status_addr,
        drain_wait,
        proxy,
        tasks,
        stop_serving,
        mapped: mapped_addrs,
        servers,
        log_writer,
    })
}

async fn listen(
    purpose: &'static str,
    addr: SocketAddr,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let open = async {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        Ok((listener, addr))
    };
    open.await.map_err(|source| StartError::Listen {
        purpose,
        addr,
        source,
    })
}

fn proxy(config: &Config, log: AccessLog) -> Proxy {
    let seconds = Duration::from_secs_f64;
    Proxy {
        table: Mutex::new(Table::new(config.table())),
        upstream: Upstream::new(
            seconds(config.dial_timeout),
            seconds(config.keep_alive),
            config.max_idle_per_endpoint,
        ),
        stats: Mutex::new(Stats::new(Instant::now())),
        log,
        trust: config.trust(),
        endpoint_timeout: seconds(config.endpoint_timeout),
        retry_after: config.register_interval(),
        secure_cookies: config.secure_cookies,
        retries: Budget::new(config.retry_share),
        per_app: Quota::new(config.max_requests_per_app),
        draining: AtomicBool::new(false),
        tunnels: TaskTracker::new(),
    }
}

fn hello(config: &Config, id: String, addr: SocketAddr) -> bus::router::Start {
    let host = if config.advertised_host.is_empty() {
        addr.ip().to_string()
    } else {
        config.advertised_host.clone()
    };
    // Registrars count in whole seconds and must not read zero.
    let whole = |time: Duration| time.as_secs().max(1);
    bus::router::Start {
        id,
        hosts: vec![host],
        minimum_register_interval: whole(config.register_interval()),
        prune_threshold: Some(whole(config.table().stale)),
    }
}

fn keep_tidy(config: &Config, proxy: &Arc<Proxy>, tasks: &Tasks) {
    let pruned = proxy.clone();
    tasks.every("prune", config.prune_interval(), move || {
        let gone = pruned.table().prune(Instant::now());
        if !gone.is_empty() {
            tracing::info!(endpoints = gone.len(), "endpoints went stale");
        }
        pruned.upstream.forget(&gone);
        std::future::ready(())
    });
    let swept = proxy.clone();
    tasks.every("sweep", SWEEP, move || {
        swept.upstream.sweep();
        std::future::ready(())
    });
}

impl Running {
    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where clients of one host connect, in the order of `listen_as`.
    pub fn mapped_addrs(&self) -> &[SocketAddr] {
        &self.mapped
    }

    /// Where the status pages are.
    pub fn status_addr(&self) -> SocketAddr {
        self.status_addr
    }

    /// Tells health checks to go elsewhere, then stops accepting, lets open requests finish, and stops.
    pub async fn shutdown(self) {
        self.proxy.draining.store(true, Ordering::Relaxed);
        tokio::time::sleep(self.drain_wait).await;
        self.stop_serving.cancel();
        for server in self.servers {
            if let Err(error) = server.await {
                tracing::error!(%error, "a listener did not end well");
            }
        }
        self.tasks.shutdown(STOP_LIMIT).await;
        // The writer ends when the last request in flight has let go of its handle.
        drop(self.proxy);
        if let Some(writer) = self.log_writer
            && tokio::time::timeout(STOP_LIMIT, writer).await.is_err()
        {
            tracing::warn!("the last lines of the access log may be missing");
        }
    }
}

impl Daemon for Running {
    fn describe(&self) -> String {
        format!("routing on {}, status on {}", self.addr, self.status_addr)
    }

    async fn shutdown(self) {
        Running::shutdown(self).await;
    }
}
