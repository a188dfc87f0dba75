//! HTTP/2: the protocol library's business. Each request goes on as HTTP/1.1 over a connection of
//! its own to the engine, where it is judged like any other.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{CONNECTION, COOKIE, HOST, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::server::TlsStream;

use super::listener::Inside;
use crate::engine::Place;
use crate::rewrite::Peer;

/// Requests of one connection at a time.
const STREAMS: u32 = 250;
/// Requests that a client may take back before they were looked at; more is an attack.
const RESETS: usize = 20;
/// Requests that a client may take back before they are answered; more, and more than half of all, is an attack.
const TAKEN_BACK: usize = 100;
/// Idle connections to the engine that may turn out closed before a request is given up.
const CONNECTIONS_TRIED: usize = 4;
/// A client that is there answers a ping this often and this soon.
const PING: Duration = Duration::from_secs(20);

type Body = BoxBody<Bytes, hyper::Error>;

/// One client's connection.
struct Session {
    peer: Peer,
    inside: Inside,
    /// Connections to the engine that wait for a request.
    idle: Mutex<Vec<SendRequest<Incoming>>>,
    /// Requests being served, and all so far.
    open: AtomicUsize,
    begun: AtomicUsize,
    /// Requests taken back before they were answered.
    taken_back: AtomicUsize,
    abuse: Notify,
}

/// A request being served, to the end of its answer's body.
struct Open(Arc<Session>);

impl Open {
    fn of(session: &Arc<Session>) -> Self {
        session.begun.fetch_add(1, Ordering::Relaxed);
        session.open.fetch_add(1, Ordering::Relaxed);
        Self(session.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request being answered; dropped early when the client takes it back.
struct Answering<'a> {
    session: &'a Session,
    answered: bool,
}

impl Drop for Answering<'_> {
    fn drop(&mut self) {
        let session = self.session;
        if self.answered {
            return;
        }
        let taken_back = session.taken_back.fetch_add(1, Ordering::Relaxed) + 1;
        if taken_back > TAKEN_BACK && 2 * taken_back > session.begun.load(Ordering::Relaxed) {
            session.abuse.notify_one();
        }
    }
}

/// Serves a connection to its end.
pub(super) async fn serve(
    stream: TlsStream<TcpStream>,
    mut peer: Peer,
    place: Place,
    inside: Inside,
) {
    let _place = place;
    peer.listener.spoken = Some("HTTP/2.0");
    let session = Arc::new(Session {
        peer,
        inside: inside.clone(),
        idle: Mutex::default(),
        open: AtomicUsize::new(0),
        begun: AtomicUsize::new(0),
        taken_back: AtomicUsize::new(0),
        abuse: Notify::new(),
    });
    let serving = session.clone();
    let service = service_fn(move |request| {
        let session = serving.clone();
        async move { session.answer(request).await }
    });
    let head = u32::try_from(inside.shared.limits.head_bytes).unwrap_or(u32::MAX);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(head)
        .max_pending_accept_reset_streams(RESETS)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = connection.as_mut() => {
            if let Err(error) = ended {
                tracing::debug!(%error, "an HTTP/2 connection ended early");
            }
            return;
        }
        () = session.abuse.notified() => {
            tracing::info!(addr = %session.peer.addr, "an HTTP/2 client takes its requests back: closed");
            return;
        }
        () = session.idle(inside.shared.times.header) => {}
        () = inside.stop.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    // What was begun is finished, the engine knows when to give up on it; a head of which
    // the rest never comes is nobody's.
    tokio::select! {
        _ = connection => {}
        () = session.idle(inside.shared.times.header) => {}
    }
}

/// A body during which its request counts as open.
fn until_read(body: Body, open: Open) -> Body {
    let held = body.map_frame(move |frame| {
        let _ = &open;
        frame
    });
    held.boxed()
}

impl Session {
    /// Ends when nothing was asked for as long as the limit.
    async fn idle(&self, limit: Duration) {
        loop {
            let begun = self.begun.load(Ordering::Relaxed);
            tokio::time::sleep(limit).await;
            let quiet = begun == self.begun.load(Ordering::Relaxed);
            if quiet && self.open.load(Ordering::Relaxed) == 0 {
                return;
            }
        }
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, hyper::Error> {
        let open = Open::of(&self);
        let mut answering = Answering {
            session: &self,
            answered: false,
        };
        let answer = match downgraded(request) {
            Ok(request) => self.ask(request).await,
            Err(status) => Ok(own(status)),
        };
        answering.answered = true;
        Ok(answer?.map(|body| until_read(body, open)))
    }

    /// The beginning of an answer, and the connection that it comes over; none without the engine.
    async fn send(
        &self,
        mut request: Request<Incoming>,
    ) -> Result<Option<(SendRequest<Incoming>, Response<Incoming>)>, hyper::Error> {
        for _ in 0..CONNECTIONS_TRIED {
            let Some(mut sender) = self.connect().await else {
                return Ok(None);
            };
            match sender.try_send_request(request).await {
                Ok(response) => return Ok(Some((sender, response))),
                // It had waited for so long that the engine closed it: nothing was sent.
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(error.into_error()),
                },
            }
        }
        Ok(None)
    }

    async fn ask(&self, request: Request<Incoming>) -> Result<Response<Body>, hyper::Error> {
        let Some((sender, mut response)) = self.send(request).await? else {
            return Ok(own(StatusCode::SERVICE_UNAVAILABLE));
        };
        for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE] {
            response.headers_mut().remove(name);
        }
        *response.version_mut() = Version::HTTP_2;
        // Ready again once its answer has been read; until then the library says no.
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(sender);
        Ok(response.map(BodyExt::boxed))
    }

    /// A connection to the engine that has nothing else to do.
    async fn connect(&self) -> Option<SendRequest<Incoming>> {
        let idle = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.retain(|sender| !sender.is_closed());
            let ready = idle.iter().position(SendRequest::is_ready);
            ready.map(|at| idle.swap_remove(at))
        };
        if idle.is_some() {
            return idle;
        }
        let stream = self.inside.open(&self.peer, None).ok()?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
        self.inside.connections.spawn(async move {
            // Its end is seen by whoever waits for an answer.
            let _ = connection.await;
        });
        Some(sender)
    }
}

/// The request as HTTP/1.1 says it. What HTTP/2 forbids was refused by the library; the rest is the engine's to judge.
fn downgraded(mut request: Request<Incoming>) -> Result<Request<Incoming>, StatusCode> {
    if request.method() == Method::CONNECT {
        return Err(StatusCode::NOT_IMPLEMENTED);
    }
    if let Some(authority) = request.uri().authority() {
        // The pseudo-header wins over a Host header beside it (RFC 9113 §8.3.1).
        let host = HeaderValue::from_str(authority.as_str());
        let host = host.map_err(|_| StatusCode::BAD_REQUEST)?;
        request.headers_mut().insert(HOST, host);
    }
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map_or(http::Uri::from_static("/"), http::Uri::from);
    *request.version_mut() = Version::HTTP_11;
    for name in [TE, CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        request.headers_mut().remove(name);
    }
    join_cookies(request.headers_mut())?;
    Ok(request)
}

/// HTTP/2 may send cookies one by one (RFC 9113 §8.2.3); HTTP/1.1 knows one line.
fn join_cookies(headers: &mut HeaderMap) -> Result<(), StatusCode> {
    let crumbs: Vec<&[u8]> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if crumbs.len() > 1 {
        let joined = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]));
        headers.insert(COOKIE, joined.map_err(|_| StatusCode::BAD_REQUEST)?);
    }
    Ok(())
}

fn own(status: StatusCode) -> Response<Body> {
    let text = Full::new(Bytes::from(format!("{status}\n")));
    let never = |never: Infallible| match never {};
    let mut response = Response::new(text.map_err(never).boxed());
    *response.status_mut() = status;
    response
}
