//! Starting and stopping: one std thread with its own single-threaded runtime.
//!
//! A thread of its own makes the server independent of whoever embeds it: it
//! inherits no runtime settings, shares no worker and needs no lock.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::close::Close;
use crate::config::{Config, Problem};
use crate::hub::Hub;
use crate::peer::Peer;
use crate::tls::{Offer, TlsError};
use crate::transport::Transport;
use crate::{connection, housekeeping, lame_duck, monitor, ports_file};

/// Connections that have not said goodbye by then are dropped.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(2);

/// Why the server did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The configuration contradicts itself.
    #[error("configuration: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Config(Vec<Problem>),
    /// A port could not be opened.
    #[error(
        "cannot listen for {purpose} on {addr}: {source}; is another server running there? choose another port with -p or `listen`"
    )]
    Listen {
        /// `clients` or `monitoring`.
        purpose: &'static str,
        /// The address asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// TLS was asked for and cannot be offered.
    #[error("cannot offer TLS: {0}")]
    Tls(#[from] TlsError),
    /// The thread or its runtime could not be created.
    #[error("cannot start the server thread: {0}; check the limits on threads and open files")]
    Thread(io::Error),
    /// The pid or ports file could not be written.
    #[error("cannot write {path}: {source}; check that the directory exists and is writable")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Why a running server kept its old configuration.
#[derive(Debug, Error)]
pub enum ReloadError {
    /// The new configuration contradicts itself.
    #[error("configuration: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Config(Vec<Problem>),
    /// The new certificates cannot be used.
    #[error("cannot offer TLS: {0}")]
    Tls(#[from] TlsError),
    /// The key cannot change while the server runs.
    #[error("{0} cannot change while the server runs; restart it, or put the old value back")]
    Fixed(&'static str),
}

/// What a running server can be told from outside its thread.
enum Command {
    Reload(Box<Config>, Option<Offer>),
    LameDuck,
}

/// A running server. Dropping it stops the server; [`Running::shutdown`] also waits for the end.
#[derive(Debug)]
pub struct Running {
    addr: SocketAddr,
    monitor_addr: Option<SocketAddr>,
    files: Vec<PathBuf>,
    config: Box<Config>,
    commands: mpsc::UnboundedSender<Command>,
    ended: CancellationToken,
    /// The thread has done all it had to do.
    good: Arc<AtomicBool>,
    stop: DropGuard,
}

impl Running {
    /// Where clients connect; the real port when port 0 was asked for.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where `/varz` is served, if anywhere.
    pub fn monitor_addr(&self) -> Option<SocketAddr> {
        self.monitor_addr
    }

    /// The address as clients want it: `nats://HOST:PORT`.
    pub fn url(&self) -> String {
        format!("nats://{}", self.addr)
    }

    /// Takes over users, permissions, limits and certificates; clients stay connected unless
    /// their user is gone or has another password.
    ///
    /// # Errors
    /// A bad configuration, unusable certificates, or a key that needs a restart; nothing changes then.
    pub fn reload(&mut self, config: Config) -> Result<(), ReloadError> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(ReloadError::Config(problems));
        }
        let fixed = [
            ("listen", config.listen != self.config.listen),
            ("http", config.http != self.config.http),
            ("server_name", config.server_name != self.config.server_name),
            ("pid_file", config.pid_file != self.config.pid_file),
            (
                "ports_file_dir",
                config.ports_file_dir != self.config.ports_file_dir,
            ),
        ];
        if let Some((key, _)) = fixed.into_iter().find(|(_, changed)| *changed) {
            return Err(ReloadError::Fixed(key));
        }
        let offer = config.tls.as_ref().map(Offer::load).transpose()?;
        *self.config = config.clone();
        // A server that has ended has nothing to reload.
        let _ = self.commands.send(Command::Reload(Box::new(config), offer));
        Ok(())
    }

    /// Takes no new clients, tells the old ones to move, closes them one by one and ends.
    pub fn lame_duck(&self) {
        // A server that has ended is as lame as can be.
        let _ = self.commands.send(Command::LameDuck);
    }

    /// Returns when the server has ended by itself: after lame duck mode, or because it failed.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Whether the server has ended and should not have.
    pub fn failed(&self) -> bool {
        self.ended.is_cancelled() && !self.good.load(Ordering::Acquire)
    }

    /// Sends what is pending, closes every connection and returns when the ports are free again.
    pub async fn shutdown(self) {
        drop(self.stop);
        self.ended.cancelled().await;
        for path in self.files {
            // Whoever removed it before us wanted the same.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Namespace for [`Server::start`].
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Same as [`start`].
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(config: Config) -> Result<Running, StartError> {
        start(config).await
    }
}

/// Opens the ports and starts serving; works inside any runtime.
///
/// # Errors
/// A port in use, a bad configuration, or files that cannot be written.
pub async fn start(config: Config) -> Result<Running, StartError> {
    let problems = config.problems();
    if !problems.is_empty() {
        return Err(StartError::Config(problems));
    }
    let offer = config.tls.as_ref().map(Offer::load).transpose()?;
    let (clients, addr) = listen("clients", config.listen)?;
    let monitoring = config
        .http
        .map(|addr| listen("monitoring", addr))
        .transpose()?;
    let monitor_addr = monitoring.as_ref().map(|(_, addr)| *addr);
    let files = write_files(&config, addr, monitor_addr)?;
    let stop = CancellationToken::new();
    let (commands, orders) = mpsc::unbounded_channel();
    let ended = CancellationToken::new();
    let start = Start {
        config: config.clone(),
        offer,
        addr,
        clients,
        monitoring: monitoring.map(|(listener, _)| listener),
        orders,
        stop: stop.clone(),
    };
    let good = Arc::new(AtomicBool::new(false));
    spawn(start, ended.clone().drop_guard(), Arc::clone(&good))?;
    if let Some(addr) = monitor_addr {
        tracing::info!("Starting http monitor on {addr}");
    }
    tracing::info!("Listening for client connections on {addr}");
    match &config.tls {
        Some(tls) if tls.allow_non_tls => tracing::info!("TLS available for client connections"),
        Some(_) => tracing::info!("TLS required for client connections"),
        None => {}
    }
    tracing::info!("Server is ready");
    Ok(Running {
        addr,
        monitor_addr,
        files,
        config: Box::new(config),
        commands,
        ended,
        good,
        stop: stop.drop_guard(),
    })
}

/// What the server's thread starts from.
struct Start {
    config: Config,
    offer: Option<Offer>,
    addr: SocketAddr,
    clients: StdListener,
    monitoring: Option<StdListener>,
    orders: mpsc::UnboundedReceiver<Command>,
    stop: CancellationToken,
}

fn listen(
    purpose: &'static str,
    addr: SocketAddr,
) -> Result<(StdListener, SocketAddr), StartError> {
    let open = || {
        let listener = StdListener::bind(addr)?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        Ok((listener, addr))
    };
    open().map_err(|source| StartError::Listen {
        purpose,
        addr,
        source,
    })
}

fn write_files(
    config: &Config,
    addr: SocketAddr,
    monitor: Option<SocketAddr>,
) -> Result<Vec<PathBuf>, StartError> {
    let mut files = Vec::new();
    if let Some(dir) = &config.ports_file_dir {
        let written = ports_file::write(dir, addr, monitor);
        files.push(written.map_err(|source| StartError::File {
            path: dir.clone(),
            source,
        })?);
    }
    if let Some(path) = &config.pid_file {
        let written = std::fs::write(path, std::process::id().to_string());
        written.map_err(|source| StartError::File {
            path: path.clone(),
            source,
        })?;
        files.push(path.clone());
    }
    Ok(files)
}

/// `ended` tells the outside when the thread is gone, however it went.
fn spawn(start: Start, ended: DropGuard, good: Arc<AtomicBool>) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // For bcrypt only: more at once would take the processors from the server itself.
        .max_blocking_threads(2)
        .build()
        .map_err(StartError::Thread)?;
    let body = move || {
        let outcome = LocalSet::new().block_on(&runtime, run(start));
        match outcome {
            Ok(()) => good.store(true, Ordering::Release),
            Err(error) => tracing::error!(%error, "the server cannot go on and stops"),
        }
        drop(ended);
    };
    std::thread::Builder::new()
        .name("nats-lite".into())
        .spawn(body)
        .map_err(StartError::Thread)?;
    Ok(())
}

async fn run(start: Start) -> io::Result<()> {
    let Start {
        config,
        offer,
        addr,
        clients,
        monitoring,
        mut orders,
        stop,
    } = start;
    let hub = Rc::new(Hub::new(&config, offer, addr));
    let mut tidying = tokio::task::spawn_local(housekeeping::tidy(hub.clone()));
    let mut clients = Some(TcpListener::from_std(clients)?);
    let monitoring = monitoring.map(TcpListener::from_std).transpose()?;
    let mut pages = tokio::task::spawn_local(serve_pages(hub.clone(), monitoring));
    let tasks = TaskTracker::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            // They never end but by a panic, without which the server would go on half dead.
            ended = &mut tidying => return Err(lost("housekeeping", ended)),
            ended = &mut pages => return Err(lost("monitoring", ended)),
            accepted = accept(clients.as_ref()) => match accepted {
                Ok((stream, addr)) => admit(&hub, &tasks, stream, addr),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection; trying again in a moment");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
            Some(order) = orders.recv() => match order {
                Command::Reload(config, offer) => {
                    hub.reload(&config, offer);
                    tracing::info!("Reloaded server configuration");
                }
                Command::LameDuck => {
                    if clients.take().is_some() {
                        tokio::task::spawn_local(lame_duck::waddle(hub.clone(), stop.clone()));
                    }
                }
            },
        }
    }
    drop(clients);
    hub.close_all();
    end(&tasks).await;
    Ok(())
}

async fn serve_pages(hub: Rc<Hub>, listener: Option<TcpListener>) {
    match listener {
        Some(listener) => monitor::serve(hub, listener).await,
        None => std::future::pending().await,
    }
}

fn lost(task: &str, ended: Result<(), tokio::task::JoinError>) -> io::Error {
    match ended {
        Ok(()) => io::Error::other(format!("its {task} ended")),
        Err(panic) => io::Error::other(format!("its {task} failed: {panic}")),
    }
}

/// Waits for the next client; for ever once the server takes no more.
async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

async fn end(tasks: &TaskTracker) {
    tasks.close();
    if tokio::time::timeout(SHUTDOWN_PATIENCE, tasks.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            connections = tasks.len(),
            "connections did not end in time and are dropped"
        );
    }
}

fn admit(hub: &Rc<Hub>, tasks: &TaskTracker, stream: TcpStream, addr: SocketAddr) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%addr, %error, "the client went before it was greeted");
        return;
    }
    let id = hub.total_connections.get() + 1;
    hub.total_connections.set(id);
    let peer = Rc::new(Peer::new(
        id,
        addr,
        Transport::new(stream),
        hub.buffers.clone(),
        Instant::now(),
    ));
    if hub.peers.borrow().len() >= hub.limits().max_connections {
        peer.close(Close::TooManyConnections);
    } else {
        hub.peers.borrow_mut().insert(id, peer.clone());
    }
    drop(tasks.spawn_local(connection::serve(hub.clone(), peer)));
}
