//! Starting and stopping: one std thread with its own single-threaded runtime.
//!
//! A thread of its own makes the server independent of whoever embeds it: it
//! inherits no runtime settings, shares no worker and needs no lock.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::config::{Config, Problem};
use crate::hub::Hub;
use crate::peer::{Close, Peer};
use crate::{connection, monitor, ports_file};

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

/// A running server. Dropping it stops the server; [`Running::shutdown`] also waits for the end.
#[derive(Debug)]
pub struct Running {
    addr: SocketAddr,
    monitor_addr: Option<SocketAddr>,
    files: Vec<PathBuf>,
    done: oneshot::Receiver<()>,
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

    /// Sends what is pending, closes every connection and returns when the ports are free again.
    pub async fn shutdown(self) {
        let Self {
            files, done, stop, ..
        } = self;
        drop(stop);
        // An error means that the thread is gone already, which is what we wait for.
        let _ = done.await;
        for path in files {
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
    let (clients, addr) = listen("clients", config.listen)?;
    let monitoring = config
        .http
        .map(|addr| listen("monitoring", addr))
        .transpose()?;
    let monitor_addr = monitoring.as_ref().map(|(_, addr)| *addr);
    let files = write_files(&config, addr, monitor_addr)?;
    let stop = CancellationToken::new();
    let done = spawn(
        config,
        clients,
        monitoring.map(|(listener, _)| listener),
        stop.clone(),
    )?;
    if let Some(addr) = monitor_addr {
        tracing::info!("Starting http monitor on {addr}");
    }
    tracing::info!("Listening for client connections on {addr}");
    tracing::info!("Server is ready");
    Ok(Running {
        addr,
        monitor_addr,
        files,
        done,
        stop: stop.drop_guard(),
    })
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

fn spawn(
    config: Config,
    clients: StdListener,
    monitoring: Option<StdListener>,
    stop: CancellationToken,
) -> Result<oneshot::Receiver<()>, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Thread)?;
    let (finished, done) = oneshot::channel();
    let body = move || {
        let outcome = LocalSet::new().block_on(&runtime, run(config, clients, monitoring, stop));
        if let Err(error) = outcome {
            tracing::error!(%error, "the server cannot use its sockets and stops");
        }
        // The receiver may be gone: then nobody waits.
        let _ = finished.send(());
    };
    std::thread::Builder::new()
        .name("nats-lite".into())
        .spawn(body)
        .map_err(StartError::Thread)?;
    Ok(done)
}

async fn run(
    config: Config,
    clients: StdListener,
    monitoring: Option<StdListener>,
    stop: CancellationToken,
) -> io::Result<()> {
    let hub = Rc::new(Hub::new(&config));
    let clients = TcpListener::from_std(clients)?;
    if let Some(listener) = monitoring {
        tokio::task::spawn_local(monitor::serve(
            hub.clone(),
            TcpListener::from_std(listener)?,
        ));
    }
    let tasks = TaskTracker::new();
    let address = clients.local_addr()?;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = clients.accept() => match accepted {
                Ok((stream, addr)) => admit(&hub, &tasks, stream, addr, address, &stop),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection; trying again in a moment");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
    drop(clients);
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
    Ok(())
}

fn admit(
    hub: &Rc<Hub>,
    tasks: &TaskTracker,
    stream: TcpStream,
    addr: SocketAddr,
    listen: SocketAddr,
    stop: &CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%addr, %error, "the client went before it was greeted");
        return;
    }
    let id = hub.total_connections.get() + 1;
    hub.total_connections.set(id);
    let peer = Rc::new(Peer::new(id, addr, stream));
    if hub.peers.borrow().len() >= hub.limits.max_connections {
        peer.close(Close::TooManyConnections);
    } else {
        hub.peers.borrow_mut().insert(id, peer.clone());
    }
    drop(tasks.spawn_local(connection::serve(hub.clone(), peer, listen, stop.clone())));
}
