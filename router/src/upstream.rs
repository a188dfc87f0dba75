//! Connections to instances: dialled, kept alive, and dropped when their endpoint retires.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::body::RequestBody;
use crate::table::Endpoint;

/// Why there is no connection.
#[derive(Debug, Error)]
pub(crate) enum DialError {
    #[error("no connection to {address} within {limit:?}")]
    Timeout { address: String, limit: Duration },
    #[error("cannot connect to {address}: {source}")]
    Connect {
        address: String,
        source: std::io::Error,
    },
    #[error("handshake with {address}: {source}")]
    Handshake {
        address: String,
        source: hyper::Error,
    },
}

/// A connection lent to one request.
pub(crate) struct Connection {
    pub(crate) sender: SendRequest<RequestBody>,
    /// It has served before, so it may have died unnoticed.
    pub(crate) reused: bool,
    serial: u64,
    pool: Arc<Upstream>,
}

struct Idle {
    sender: SendRequest<RequestBody>,
    since: Instant,
}

/// Idle connections by endpoint serial.
pub(crate) struct Upstream {
    dial_timeout: Duration,
    keep_alive: Duration,
    max_idle: usize,
    idle: Mutex<HashMap<u64, Vec<Idle>>>,
}

impl Upstream {
    pub(crate) fn new(dial_timeout: Duration, keep_alive: Duration, max_idle: usize) -> Arc<Self> {
        Arc::new(Self {
            dial_timeout,
            keep_alive,
            max_idle,
            idle: Mutex::default(),
        })
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Vec<Idle>>> {
        // No code panics while holding this lock; the data is usable in any case.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An idle connection, else a new one.
    pub(crate) async fn connect(
        self: &Arc<Self>,
        endpoint: &Endpoint,
        fresh: bool,
    ) -> Result<Connection, DialError> {
        match self.take_idle(endpoint.serial).filter(|_| !fresh) {
            Some(sender) => Ok(self.lend(endpoint.serial, sender, true)),
            None => self.dial(endpoint).await,
        }
    }

    fn take_idle(&self, serial: u64) -> Option<SendRequest<RequestBody>> {
        let mut idle = self.idle();
        let list = idle.get_mut(&serial)?;
        let usable = |idle: &Idle| idle.sender.is_ready() && idle.since.elapsed() < self.keep_alive;
        while let Some(candidate) = list.pop() {
            if usable(&candidate) {
                return Some(candidate.sender);
            }
        }
        idle.remove(&serial);
        None
    }

    async fn dial(self: &Arc<Self>, endpoint: &Endpoint) -> Result<Connection, DialError> {
        let address = &endpoint.address;
        let late = |_| DialError::Timeout {
            address: address.clone(),
            limit: self.dial_timeout,
        };
        let stream = timeout(self.dial_timeout, TcpStream::connect(address))
            .await
            .map_err(late)?;
        let stream = stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
        let stream = stream.map_err(|source| DialError::Connect {
            address: address.clone(),
            source,
        })?;
        let mut builder = Builder::new();
        builder.preserve_header_case(true);
        let (sender, connection) =
            builder
                .handshake(TokioIo::new(stream))
                .await
                .map_err(|source| DialError::Handshake {
                    address: address.clone(),
                    source,
                })?;
        let address = address.clone();
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%address, %error, "connection to an instance ended early");
            }
        });
        Ok(self.lend(endpoint.serial, sender, false))
    }

    fn lend(
        self: &Arc<Self>,
        serial: u64,
        sender: SendRequest<RequestBody>,
        reused: bool,
    ) -> Connection {
        Connection {
            sender,
            reused,
            serial,
            pool: self.clone(),
        }
    }

    /// Closes idle connections to endpoints that are gone.
    pub(crate) fn forget(&self, serials: &[u64]) {
        let mut idle = self.idle();
        for serial in serials {
            idle.remove(serial);
        }
    }

    /// Closes connections that have been idle for too long.
    pub(crate) fn sweep(&self) {
        self.idle().retain(|_, list| {
            list.retain(|idle| !idle.sender.is_closed() && idle.since.elapsed() < self.keep_alive);
            !list.is_empty()
        });
    }

    fn put(&self, serial: u64, sender: SendRequest<RequestBody>) {
        let mut idle = self.idle();
        let list = idle.entry(serial).or_default();
        if list.len() < self.max_idle {
            list.push(Idle {
                sender,
                since: Instant::now(),
            });
        }
    }
}

impl Connection {
    /// Gives the connection back once its answer has been read to the end.
    pub(crate) fn release(mut self) {
        match self.sender.ready().now_or_never() {
            Some(Ok(())) => self.pool.put(self.serial, self.sender),
            Some(Err(_)) => {}
            // The connection's task has to notice the end first.
            None => drop(tokio::spawn(async move {
                if self.sender.ready().await.is_ok() {
                    self.pool.put(self.serial, self.sender);
                }
            })),
        }
    }
}
