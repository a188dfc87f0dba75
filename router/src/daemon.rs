//! Starting and stopping a router.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bus::{Bus, BusConfig, BusError};
use component::{Daemon, Identity, Tasks};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access_log::AccessLog;
use crate::budget::Budget;
use crate::config::Config;
use crate::engine::{Engine, Places, Shared};
use crate::quota::Quota;
use crate::registrar::Edge;
use crate::stats::Stats;
use crate::table::Table;
use crate::tls::{self, CertificateError, Certificates, Inside, TlsConfig};
use crate::{registrar, status};

/// How often it is looked whether certificates have changed.
const CERTIFICATES: Duration = Duration::from_secs(2);
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
    /// A certificate cannot be used.
    #[error("TLS cannot be offered: {0}")]
    Certificate(#[from] CertificateError),
    /// No thread, or no descriptor for one.
    #[error(
        "cannot start the threads that carry requests: {0}; check the limits on processes and open files"
    )]
    Threads(#[source] std::io::Error),
    /// The bus address is unusable, or a subscription was refused.
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// A running router.
pub struct Running {
    addr: SocketAddr,
    status_addr: SocketAddr,
    drain_wait: Duration,
    drain_timeout: Duration,
    edge: Edge,
    tasks: Tasks,
    mapped: Vec<SocketAddr>,
    tls: Option<Tls>,
    threads: Vec<JoinHandle<()>>,
    log_writer: Option<tokio::task::JoinHandle<()>>,
}

/// Opens the ports and begins to route. The bus need not be there yet: until it
/// is, and for one register interval after, unknown hosts are answered with 503.
///
/// # Errors
/// See [`StartError`].
pub async fn start(config: Config) -> Result<Running, StartError> {
    let (listener, addr) = listen("clients", config.listen)?;
    let (mut listeners, mut mapped) = (vec![(listener, None)], Vec::new());
    for (addr, host) in &config.listen_as {
        let (listener, addr) = listen("clients of one host", *addr)?;
        listeners.push((listener, Some(Arc::from(host.as_str()))));
        mapped.push(addr);
    }
    let opened = AccessLog::open(&config.access_logs());
    let (log, log_writer) = opened.map_err(|source| StartError::AccessLog {
        path: config.access_log.clone(),
        source,
    })?;
    let id = bus::ids::component_id(config.index);
    let bus = Bus::connect(&config.bus, &format!("router-{}", config.index)).await?;
    let shared = Arc::new(shared(&config, log));
    let tasks = Tasks::new();
    let identity = Identity {
        kind: "Router",
        index: config.index,
        uuid: id.clone(),
    };
    let status = status::start(&config.status, identity, &bus, shared.clone(), &tasks).await;
    let status = status.map_err(|source| StartError::Listen {
        purpose: "status",
        addr: config.status.listen,
        source,
    })?;
    let places = Places::new(&config);
    let started = Engine::start(&listeners, &places, &shared, config.threads(), &tasks);
    let (engine, threads) = started.map_err(StartError::Threads)?;
    let edge = Edge { shared, engine };
    registrar::follow(bus, edge.clone(), hello(&config, id, addr), &tasks).await?;
    prune(&config, edge.clone(), &tasks);
    let tls = match &config.tls {
        Some(tls) => Some(Tls::start(tls, &edge, places, &tasks).await?),
        None => None,
    };
    status.ready();
    Ok(Running {
        addr,
        status_addr: status.addr(),
        drain_wait: Duration::from_secs_f64(config.drain_wait),
        drain_timeout: Duration::from_secs_f64(config.drain_timeout),
        edge,
        tasks,
        mapped,
        tls,
        threads,
        log_writer,
    })
}

/// The TLS listener and its connections.
struct Tls {
    addr: SocketAddr,
    stop: CancellationToken,
    connections: TaskTracker,
}

impl Tls {
    async fn start(
        config: &TlsConfig,
        edge: &Edge,
        places: Places,
        tasks: &Tasks,
    ) -> Result<Self, StartError> {
        let certificates = Arc::new(Certificates::load(&config.certificates)?);
        let failed = |source| StartError::Listen {
            purpose: "TLS clients",
            addr: config.listen,
            source,
        };
        let listener = tokio::net::TcpListener::bind(config.listen)
            .await
            .map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let (stop, connections) = (CancellationToken::new(), TaskTracker::new());
        let inside = Inside {
            engine: edge.engine.clone(),
            places,
            shared: edge.shared.clone(),
            stop: stop.clone(),
            connections: connections.clone(),
        };
        tls::serve(listener, config, certificates.clone(), inside, tasks)?;
        tasks.every("certificates", CERTIFICATES, move || {
            certificates.refresh();
            std::future::ready(())
        });
        Ok(Self {
            addr,
            stop,
            connections,
        })
    }

    /// Takes nothing new and lets the rest finish.
    async fn end(self, limit: Duration) {
        self.stop.cancel();
        self.connections.close();
        if tokio::time::timeout(limit, self.connections.wait())
            .await
            .is_err()
        {
            let open = self.connections.len();
            tracing::warn!(
                open,
                "open TLS connections did not end in time and are dropped"
            );
        }
    }
}

fn listen(
    purpose: &'static str,
    addr: SocketAddr,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let open = || {
        let listener = TcpListener::bind(addr)?;
        let addr = listener.local_addr()?;
        Ok((listener, addr))
    };
    open().map_err(|source| StartError::Listen {
        purpose,
        addr,
        source,
    })
}

pub(crate) fn shared(config: &Config, log: AccessLog) -> Shared {
    Shared {
        table: Mutex::new(Table::new(config.table())),
        stats: Mutex::new(Stats::new(Instant::now())),
        log,
        trust: config.trust(),
        times: config.limits_of_time(),
        limits: config.head_limits(),
        cookies: config.cookies(),
        retry_after: config.register_interval(),
        retries: Budget::new(config.retry_share),
        per_app: Quota::new(config.max_requests_per_app),
        max_idle_per_endpoint: config.max_idle_per_endpoint,
        draining: AtomicBool::new(false),
    }
}

/// DEAs let in the addresses that are announced, so those must be among them that packets to the platform carry: the
/// listener's, and the one that leads to the bus. The listener may take all addresses, or only local ones behind a balancer.
fn own_addresses(listen: IpAddr, bus: &BusConfig) -> Vec<String> {
    let towards_bus = bus.servers.iter().find_map(|server| {
        let place = server.rsplit(['@', '/']).find(|part| !part.is_empty())?;
        source_towards(place)
    });
    let outside = towards_bus.filter(|ip| !ip.is_loopback());
    let first = match listen.is_unspecified() {
        true => outside
            .or_else(|| source_towards(SOMEWHERE))
            .unwrap_or(listen),
        false => listen,
    };
    let second = outside.filter(|ip| *ip != first);
    let all = std::iter::once(first).chain(second);
    all.map(|ip| ip.to_string()).collect()
}

/// An address beyond every network of our own, as a DEA's `local_route`.
const SOMEWHERE: &str = "198.41.0.4:1";

/// The address that packets to `place` would carry. Nothing is sent.
fn source_towards(place: &str) -> Option<IpAddr> {
    let probe = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    probe.connect(place).ok()?;
    Some(probe.local_addr().ok()?.ip())
}

fn hello(config: &Config, id: String, addr: SocketAddr) -> bus::router::Start {
    let hosts = if config.advertised_host.is_empty() {
        own_addresses(addr.ip(), &config.bus)
    } else {
        vec![config.advertised_host.clone()]
    };
    // Registrars count in whole seconds and must not read zero.
    let whole = |time: Duration| time.as_secs().max(1);
    bus::router::Start {
        id,
        hosts,
        minimum_register_interval: whole(config.register_interval()),
        prune_threshold: Some(whole(config.table().stale)),
    }
}

fn prune(config: &Config, edge: Edge, tasks: &Tasks) {
    tasks.every("prune", config.prune_interval(), move || {
        let gone = edge.shared.table().prune(Instant::now());
        if !gone.is_empty() {
            tracing::info!(endpoints = gone.len(), "endpoints went stale");
        }
        edge.engine.forget(&gone);
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

    /// Where TLS clients connect, if they may.
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.tls.as_ref().map(|tls| tls.addr)
    }

    /// Where the status pages are.
    pub fn status_addr(&self) -> SocketAddr {
        self.status_addr
    }

    /// Tells health checks to go elsewhere, then stops accepting, lets open requests finish, and stops.
    pub async fn shutdown(self) {
        self.edge.shared.draining.store(true, Ordering::Relaxed);
        tokio::time::sleep(self.drain_wait).await;
        self.edge.engine.stop(Instant::now() + self.drain_timeout);
        if let Some(tls) = self.tls {
            tls.end(self.drain_timeout).await;
        }
        let threads = self.threads;
        let ended = tokio::task::spawn_blocking(move || {
            threads
                .into_iter()
                .map(JoinHandle::join)
                .all(|ended| ended.is_ok())
        });
        if !ended.await.unwrap_or(false) {
            tracing::error!("a thread of the data path did not end well");
        }
        self.tasks.shutdown(STOP_LIMIT).await;
        // The writer ends when the last of those who write has let go of its handle.
        drop(self.edge);
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

    fn tasks(&self) -> Tasks {
        self.tasks.clone()
    }

    async fn shutdown(self) {
        Running::shutdown(self).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_announced_is_what_packets_carry() {
        let bus = |server: &str| BusConfig::url(server);
        let own = |listen: [u8; 4], bus: &BusConfig| own_addresses(listen.into(), bus);
        let local = bus("nats://user:secret@127.0.0.1:4222");
        assert_eq!(own([127, 0, 0, 1], &local), ["127.0.0.1"]);
        assert_eq!(own([192, 0, 2, 1], &local), ["192.0.2.1"]);
        assert_eq!(own([192, 0, 2, 1], &bus("nats://[nonsense")), ["192.0.2.1"]);
        // Where there is a way out, its address is announced, whatever is listened on.
        if let Some(outside) = source_towards(SOMEWHERE).map(|ip| ip.to_string()) {
            assert_eq!(own([0, 0, 0, 0], &local).concat(), outside);
            let far = bus(&format!("nats://{SOMEWHERE}"));
            assert_eq!(own([0, 0, 0, 0], &far).concat(), outside);
            assert_eq!(own([127, 0, 0, 1], &far), ["127.0.0.1".to_owned(), outside]);
        }
    }
}
