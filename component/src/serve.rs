//! One accept loop for every HTTP service. Everything a connection does has a deadline, and the connections have limits: in all, and
//! from one address. `axum::serve` has neither, so that whoever connects and says nothing would hold a descriptor for ever.
//!
//! | what a client does | what ends it |
//! |---|---|
//! | sends nothing, half a head, half an HTTP/2 preface | no request within [`FIRST_REQUEST_SECONDS`] |
//! | has asked and is silent | [`HEADER_SECONDS`] for the next head (HTTP/1), [`IDLE_SECONDS`] |
//! | stops in the middle of a body, or drips | [`BODY_PROGRESS_SECONDS`] |
//! | does not take its answer | [`SEND_STALL_SECONDS`] |
//! | opens very many | the limits of [`Limits`]: the oldest without a request goes first |

mod body;
mod seats;
mod transport;

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::forwarders::Forwarders;
use crate::limits::{
    ADDRESS_CONNECTIONS, BODY_PROGRESS_SECONDS, FIRST_REQUEST_SECONDS, FORWARDER_CONNECTIONS,
    HEADER_SECONDS, HTTP2_STREAMS, IDLE_SECONDS, LISTENER_CONNECTIONS, LISTENER_DESCRIPTOR_PARTS,
    SEND_STALL_SECONDS,
};
use crate::{Tasks, process};
use seats::{Seat, Seats};
use transport::Transport;

/// How long open requests may finish after the stop signal.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// What a listener bears.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open connections in all.
    pub connections: usize,
    /// Of them from one address.
    pub of_address: usize,
    /// Of them from this host, or from one of `forwarders`.
    pub of_forwarder: usize,
    /// Routers and proxies that bring many clients.
    pub forwarders: Forwarders,
    /// Time to the first request.
    pub first_request: Duration,
    /// Time for a further request head on HTTP/1.
    pub header: Duration,
    /// Time without a request.
    pub idle: Duration,
    /// Time in which a body has to get on.
    pub body_progress: Duration,
    /// Time an answer may wait to be taken.
    pub send_stall: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::within(process::descriptors())
    }
}

impl Limits {
    /// The limits of a process that may have so many descriptors.
    fn within(descriptors: usize) -> Limits {
        let connections = LISTENER_CONNECTIONS.min(descriptors / LISTENER_DESCRIPTOR_PARTS);
        let part = |of_all: usize| (connections * of_all / LISTENER_CONNECTIONS).max(1);
        Limits {
            connections,
            of_address: part(ADDRESS_CONNECTIONS),
            of_forwarder: part(FORWARDER_CONNECTIONS),
            forwarders: Forwarders::default(),
            first_request: FIRST_REQUEST_SECONDS,
            header: HEADER_SECONDS,
            idle: IDLE_SECONDS,
            body_progress: BODY_PROGRESS_SECONDS,
            send_stall: SEND_STALL_SECONDS,
        }
    }

    /// The usual ones, with forwarders.
    pub fn behind(forwarders: Forwarders) -> Limits {
        Limits {
            forwarders,
            ..Limits::default()
        }
    }
}

/// Serves `app` on a bound listener until the daemon's tasks are stopped. The
/// peer's address is available as `ConnectInfo<SocketAddr>`.
pub fn serve(listener: TcpListener, app: Router, tasks: &Tasks) {
    serve_within(listener, app, tasks, Limits::default());
}

/// As [`serve`], with limits of its own.
pub fn serve_within(listener: TcpListener, app: Router, tasks: &Tasks, limits: Limits) {
    let door = Arc::new(Door {
        app,
        seats: Seats::new(&limits),
        limits,
        stop: tasks.token(),
    });
    tasks.spawn_graceful(async move {
        let open = TaskTracker::new();
        loop {
            tokio::select! {
                () = door.stop.cancelled() => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => door.let_in(stream, peer, &open),
                    Err(error) => door.pause_after(error).await,
                },
            }
        }
        drop(listener);
        open.close();
        let _ = tokio::time::timeout(DRAIN_LIMIT, open.wait()).await;
    });
}

/// What all connections of a listener share.
struct Door {
    app: Router,
    seats: Seats,
    limits: Limits,
    stop: CancellationToken,
}

impl Door {
    fn let_in(self: &Arc<Door>, stream: TcpStream, peer: SocketAddr, open: &TaskTracker) {
        let Some(seat) = self.seats.take(peer.ip()) else {
            tracing::debug!(%peer, "a connection was refused: there are too many");
            return;
        };
        let door = self.clone();
        open.spawn(async move { door.attend(stream, peer, seat).await });
    }

    /// One connection from its first byte to its end, or until it became something else (a web socket).
    async fn attend(self: Arc<Door>, stream: TcpStream, peer: SocketAddr, seat: Arc<Seat>) {
        let _ = stream.set_nodelay(true);
        let (first, idle) = (self.limits.first_request, self.limits.idle);
        let mut overdue = pin!(seat.overdue(first, idle));
        // As long as nothing came, a connection costs its descriptor and little else.
        tokio::select! {
            ready = stream.readable() => if ready.is_err() { return },
            () = &mut overdue => return,
            () = self.stop.cancelled() => return,
        }
        let transport = Transport::new(stream, seat.clone(), self.limits.send_stall);
        let builder = builder(self.limits.header);
        let (door, holder) = (self.clone(), seat.clone());
        let service = service_fn(move |request| door.answer(request, peer, &holder));
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(transport), service);
        let mut connection = pin!(connection);
        let mut is_stopping = false;
        loop {
            tokio::select! {
                ended = &mut connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%peer, %error, "connection ended early");
                    }
                    return;
                }
                () = &mut overdue => {
                    tracing::debug!(%peer, "connection closed: it was silent for too long, or others needed its place");
                    return;
                }
                () = self.stop.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }

    /// One request; it is in flight until the last piece of its answer is on the way.
    fn answer(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
        seat: &Arc<Seat>,
    ) -> impl Future<Output = Result<http::Response<Body>, Infallible>> + Send + use<> {
        let in_flight = seat.begin();
        let progress = self.limits.body_progress;
        let mut request = request.map(|body| Body::new(body::Progress::new(body, progress)));
        request.extensions_mut().insert(ConnectInfo(peer));
        let app = self.app.clone();
        async move {
            let response = app.oneshot(request).await?;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                in_flight.for_ever();
                return Ok(response);
            }
            Ok(response.map(|body| Body::new(body::Following::new(body, in_flight))))
        }
    }

    /// Out of descriptors and the like: others must go first, those without a request before all.
    async fn pause_after(&self, error: std::io::Error) {
        tracing::warn!(%error, "cannot accept a connection");
        self.seats.make_room();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn builder(header: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_STREAMS);
    builder
}
