//! New clients: who gets in, and what those are told who do not.

use std::io::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};

use super::client::Client;
use super::reactor::{Kind, Reactor};
use super::wire::{Stream, Wire};
use crate::config::Config;
use crate::quota::{Permit, Quota};
use crate::rewrite::{Listener, Peer, Trust};

/// Connections accepted in one turn; more wait for the next, so that nobody else does.
const AT_ONCE: usize = 64;
/// After accepting failed (no descriptors, say) it rests this long.
const REST: Duration = Duration::from_millis(50);

const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nX-Cf-RouterError: too_many_connections\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
const TOO_MANY_OF_YOURS: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\nX-Cf-RouterError: too_many_client_connections\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// A listening socket.
pub(crate) struct Door {
    pub(super) socket: TcpListener,
    listener: Listener,
    fixed_host: Option<Arc<str>>,
    /// There may be more to accept.
    pub(super) ready: bool,
    resting_until: Option<Instant>,
}

impl Door {
    /// Takes over a socket that is bound already.
    pub(crate) fn new(
        socket: std::net::TcpListener,
        fixed_host: Option<Arc<str>>,
    ) -> std::io::Result<Self> {
        socket.set_nonblocking(true)?;
        let port = socket.local_addr()?.port();
        Ok(Self {
            socket: TcpListener::from_std(socket),
            listener: Listener {
                port,
                scheme: "http",
                certificates: false,
                spoken: None,
            },
            fixed_host,
            ready: true,
            resting_until: None,
        })
    }

    /// Whether to accept now.
    pub(super) fn is_open(&self, now: Instant) -> bool {
        self.ready && self.resting_until.is_none_or(|until| until <= now)
    }
}

/// How many connections may be open, over all listeners.
#[derive(Clone)]
pub(crate) struct Places {
    all: Arc<Quota<()>>,
    per_client: Arc<Quota<IpAddr>>,
}

/// A connection's place among those that may be open.
pub(crate) type Place = (Permit<()>, Option<Permit<IpAddr>>);

impl Places {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            all: Quota::new(config.max_connections),
            per_client: Quota::new(config.max_connections_per_client),
        }
    }

    /// A place, or the answer for those who get none.
    pub(crate) fn enter(&self, client: IpAddr, trust: &Trust) -> Result<Place, &'static [u8]> {
        let place = self.all.take(&()).ok_or(TOO_MANY)?;
        if trust.believes(client) {
            return Ok((place, None));
        }
        let of_client = self.per_client.take(&client).ok_or(TOO_MANY_OF_YOURS)?;
        Ok((place, Some(of_client)))
    }
}

impl Reactor {
    /// Lets in whoever waits at a door.
    pub(super) fn accept(&mut self, at: usize) {
        for _ in 0..AT_ONCE {
            let Some(door) = self.doors.get_mut(at) else {
                return;
            };
            match door.socket.accept() {
                Ok((stream, addr)) => {
                    let peer = Peer {
                        addr,
                        certificate: None,
                        listener: door.listener,
                    };
                    let fixed_host = door.fixed_host.clone();
                    self.admit(stream, peer, fixed_host);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    door.ready = false;
                    return;
                }
                // Gone before it was let in.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection; trying again in a moment");
                    door.resting_until = Some(self.now + REST);
                    return;
                }
            }
        }
    }

    fn admit(&mut self, mut stream: TcpStream, peer: Peer, fixed_host: Option<Arc<str>>) {
        if stream.set_nodelay(true).is_err() {
            // The client is gone already.
            return;
        }
        let client = peer.addr.ip();
        match self.places.enter(client, &self.shared.trust) {
            Ok(place) => self.welcome(Stream::Tcp(stream), peer, fixed_host, Some(place)),
            Err(answer) => {
                tracing::debug!(%client, "too many connections");
                // A fresh socket takes this much; whoever does not read it learns by the close.
                let _ = stream.write(answer);
            }
        }
    }

    /// Begins to serve a connection.
    pub(super) fn welcome(
        &mut self,
        stream: Stream,
        peer: Peer,
        fixed_host: Option<Arc<str>>,
        place: Option<Place>,
    ) {
        let key = self.clients.reserve();
        let mut wire = Wire::new(stream);
        if let Err(error) = wire.register(self.poll.registry(), Kind::Client(key).token()) {
            tracing::warn!(%error, "a connection cannot be watched and is closed");
            return self.clients.release(key);
        }
        let limits = self.shared.limits;
        let client = Client::new(
            key,
            wire,
            Arc::new(peer),
            fixed_host,
            place,
            limits,
            self.now,
        );
        self.clients.put(key, Box::new(client));
        self.queue(key);
    }
}
