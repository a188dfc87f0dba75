//! The listener: one task per client connection, stopped gracefully.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::client::{Conversation, Guarded};
use crate::config::Config;
use crate::guard::Limits;
use crate::proxy::Proxy;
use crate::quota::{Permit, Quota};
use crate::rewrite::{Listener, Peer, Trust};

/// Header lines the HTTP library reads without being told to make room.
const LIBRARY_FIELDS: usize = 100;

const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nX-Cf-RouterError: too_many_connections\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
const TOO_MANY_OF_YOURS: &[u8] = b"HTTP/1.1 429 Too Many Requests\r\nX-Cf-RouterError: too_many_client_connections\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// What every client connection is served with.
struct Server {
    builder: http1::Builder,
    limits: Limits,
    body_idle: Duration,
    doors: Doors,
    fixed_host: Option<Arc<str>>,
    proxy: Arc<Proxy>,
    connections: TaskTracker,
    /// Finish what is open, take nothing new.
    stop: CancellationToken,
    /// The drain timeout has passed.
    abort: CancellationToken,
}

/// How many connections may be open, over all listeners.
#[derive(Clone)]
pub(crate) struct Doors {
    all: Arc<Quota<()>>,
    per_client: Arc<Quota<IpAddr>>,
}

/// A connection's place among those that may be open.
type Place = (Permit<()>, Option<Permit<IpAddr>>);

impl Doors {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            all: Quota::new(config.max_connections),
            per_client: Quota::new(config.max_connections_per_client),
        }
    }

    /// A place, or the answer for those who get none.
    fn enter(&self, client: IpAddr, trust: &Trust) -> Result<Place, &'static [u8]> {
        let place = self.all.take(&()).ok_or(TOO_MANY)?;
        if trust.believes(client) {
            return Ok((place, None));
        }
        let of_client = self.per_client.take(&client).ok_or(TOO_MANY_OF_YOURS)?;
        Ok((place, Some(of_client)))
    }
}

/// Accepts until the token is cancelled, then lets open requests and tunnels finish within the drain timeout.
pub(crate) async fn serve(
    listener: TcpListener,
    fixed_host: Option<Arc<str>>,
    config: Config,
    doors: Doors,
    proxy: Arc<Proxy>,
    stop: CancellationToken,
) {
    let port = listener.local_addr().map_or(0, |addr| addr.port());
    let abort = CancellationToken::new();
    let server = Server {
        builder: builder(&config),
        limits: config.head_limits(),
        body_idle: Duration::from_secs_f64(config.body_idle_timeout),
        doors,
        fixed_host,
        proxy,
        connections: TaskTracker::new(),
        stop,
        abort,
    };
    loop {
        tokio::select! {
            () = server.stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, addr)) => server.serve_one(stream, Peer { addr, listener: Listener { port, scheme: "http" } }),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection; trying again in a moment");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
        }
    }
    drop(listener);
    server
        .drain(Duration::from_secs_f64(config.drain_timeout))
        .await;
}

fn builder(config: &Config) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .preserve_header_case(true)
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs_f64(config.header_timeout))
        .max_header_size(config.max_header_bytes)
        .max_buf_size(config.max_header_bytes.max(64 * 1024));
    if config.max_header_fields > LIBRARY_FIELDS {
        builder.max_headers(config.max_header_fields);
    }
    builder
}

impl Server {
    fn serve_one(&self, stream: TcpStream, peer: Peer) {
        if stream.set_nodelay(true).is_err() {
            // The client is gone already.
            return;
        }
        let place = match self.doors.enter(peer.addr.ip(), &self.proxy.trust) {
            Ok(place) => place,
            Err(answer) => {
                tracing::debug!(addr = %peer.addr, "too many connections");
                // A fresh socket takes this much; whoever does not read it learns by the close.
                let _ = stream.try_write(answer);
                return;
            }
        };
        let fixed_host = self.fixed_host.clone();
        let conversation = Arc::new(Conversation::default());
        let stream = Guarded::new(stream, self.limits, self.body_idle, conversation.clone());
        let proxy = self.proxy.clone();
        let service = service_fn(move |request| {
            let (proxy, conversation) = (proxy.clone(), conversation.clone());
            let fixed_host = fixed_host.clone();
            async move {
                let mut response = proxy
                    .handle(request, peer, &conversation, fixed_host.as_deref())
                    .await;
                let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
                conversation.answered(switched);
                if conversation.is_last() && !switched {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(CONNECTION, close);
                }
                Ok::<_, Infallible>(response)
            }
        });
        let connection = self
            .builder
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let (stop, abort) = (self.stop.clone(), self.abort.clone());
        self.connections.spawn(async move {
            let _place = place;
            let mut connection = std::pin::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        ended = connection => ended,
                        () = abort.cancelled() => Ok(()),
                    }
                }
            };
            if let Err(error) = ended {
                tracing::debug!(addr = %peer.addr, %error, "client connection ended early");
            }
        });
    }

    async fn drain(self, limit: Duration) {
        let open = async {
            self.connections.close();
            self.connections.wait().await;
            self.proxy.tunnels.close();
            self.proxy.tunnels.wait().await;
        };
        if tokio::time::timeout(limit, open).await.is_err() {
            let (requests, tunnels) = (self.connections.len(), self.proxy.tunnels.len());
            tracing::warn!(
                requests,
                tunnels,
                "open connections did not end in time and are dropped"
            );
            self.abort.cancel();
        }
    }
}
