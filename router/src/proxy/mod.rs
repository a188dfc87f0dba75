//! One request from head to last byte.

mod attempt;
mod exchange;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONNECTION, HOST, HeaderValue, TRANSFER_ENCODING, USER_AGENT};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use tokio_util::task::TaskTracker;

pub(crate) use exchange::Exchange;

use crate::access_log::AccessLog;
use crate::body::{ResponseBody, Source};
use crate::budget::Budget;
use crate::client::Conversation;
use crate::guard::Refused;
use crate::progress::Progress;
use crate::quota::Quota;
use crate::rewrite::{self, Peer, Trust};
use crate::stats::Stats;
use crate::table::{Table, Wanted};
use crate::upstream::Upstream;
use crate::verdict::Verdict;

/// What all requests share.
pub(crate) struct Proxy {
    pub(crate) table: Mutex<Table>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) stats: Mutex<Stats>,
    pub(crate) log: AccessLog,
    pub(crate) trust: Trust,
    pub(crate) endpoint_timeout: Duration,
    /// What clients are told to wait when a route has no instance.
    pub(crate) retry_after: Duration,
    pub(crate) secure_cookies: bool,
    /// What second attempts are paid from.
    pub(crate) retries: Budget,
    /// Requests at a time, by app.
    pub(crate) per_app: Arc<Quota<String>>,
    pub(crate) draining: AtomicBool,
    pub(crate) tunnels: TaskTracker,
}

/// A request split into what may be sent again and what may not.
pub(crate) struct Inbound {
    pub(crate) head: http::request::Parts,
    /// Gone once it went out with an attempt.
    pub(crate) body: Option<Incoming>,
    pub(crate) has_body: bool,
    pub(crate) progress: Progress,
    pub(crate) host: String,
    pub(crate) session: rewrite::Session,
    /// Protocol of an upgrade and the client's half of it.
    pub(crate) upgrade: Option<(HeaderValue, hyper::upgrade::OnUpgrade)>,
}

impl Proxy {
    pub(crate) fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing panics while holding this lock, and a table is valid between any two statements.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stats(&self) -> MutexGuard<'_, Stats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one request; errors of any kind become answers.
    pub(crate) async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: Peer,
        conversation: &Conversation,
        fixed_host: Option<&str>,
    ) -> Response<ResponseBody> {
        if let Some(refused) = conversation.begin() {
            return self.turn_away(&request, peer, refused);
        }
        if is_health_check(request.headers()) {
            return self.health();
        }
        let host = fixed_host.map_or_else(|| host_of(&request), str::to_owned);
        let mut exchange = Exchange::begin(&self, &request, &host, peer);
        let inbound = self.prepare(request, host, peer, &mut exchange);
        let asked = inbound.head.headers.clone();
        let host = inbound.host.clone();
        let progress = inbound.progress.clone();
        let delivered = tokio::select! {
            delivered = attempt::deliver(&self, inbound, &mut exchange) => Some(delivered),
            () = progress.silence(self.endpoint_timeout) => None,
        };
        match delivered {
            Some(Ok(answer)) => answer.into_response(&self, exchange),
            Some(Err(verdict)) => {
                // A body that broke off is the client's doing, whatever it looked like from the other side.
                let verdict = conversation.broken().map_or(verdict, Verdict::Refused);
                self.refuse(&verdict, &asked, &host, exchange)
            }
            None => self.refuse(
                &Verdict::Deadline(self.endpoint_timeout),
                &asked,
                &host,
                exchange,
            ),
        }
    }

    /// Answers what stands in for a request that the guard refused.
    fn turn_away(
        self: &Arc<Self>,
        stand_in: &Request<Incoming>,
        peer: Peer,
        refused: Refused,
    ) -> Response<ResponseBody> {
        let host = match refused.line {
            Some(_) => String::new(),
            None => host_of(stand_in),
        };
        let mut exchange = Exchange::begin(self, stand_in, &host, peer);
        if let Some(line) = refused.line {
            exchange.asked_for(line);
        }
        let id = HeaderValue::from_str(&bus::ids::guid());
        exchange.identify(
            &id.unwrap_or(HeaderValue::from_static("-")),
            &HeaderMap::new(),
        );
        let verdict = Verdict::Refused(refused.why);
        let mut response = self.refuse(&verdict, stand_in.headers(), &host, exchange);
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }

    /// Rewrites the head for the instance; the same head serves all attempts.
    fn prepare(
        &self,
        request: Request<Incoming>,
        host: String,
        peer: Peer,
        exchange: &mut Exchange,
    ) -> Inbound {
        let mut request = request;
        let wanted = rewrite::is_upgrade(request.headers());
        let upgrade = wanted.map(|protocol| (protocol, hyper::upgrade::on(&mut request)));
        let (mut head, body) = request.into_parts();
        head.extensions.remove::<hyper::upgrade::OnUpgrade>();
        head.version = Version::HTTP_11;
        head.uri = origin_form(&head.uri);
        if let Ok(value) = HeaderValue::from_str(&host) {
            head.headers.insert(HOST, value);
        }
        let chunked = head.headers.contains_key(TRANSFER_ENCODING);
        rewrite::remove_hop_by_hop(&mut head.headers);
        if chunked {
            // Said again by us: without it the library drops the body of a GET.
            head.headers
                .insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        // We answer `Expect: 100-continue` ourselves, as soon as the instance takes the body.
        head.headers.remove(http::header::EXPECT);
        let id = rewrite::forward(
            &mut head.headers,
            peer,
            &self.trust,
            &bus::ids::guid(),
            exchange.started_ms(),
        );
        exchange.identify(&id, &head.headers);
        let session = rewrite::session(&head.headers);
        let has_body = !http_body::Body::is_end_stream(&body);
        Inbound {
            head,
            body: has_body.then_some(body),
            has_body,
            progress: Progress::new(),
            host,
            session,
            upgrade,
        }
    }

    pub(crate) fn choose(
        &self,
        inbound: &Inbound,
        tried: &[u64],
    ) -> Result<crate::table::Choice, Verdict> {
        let now = Instant::now();
        let mut table = self.table();
        let wanted = Wanted {
            host: &inbound.host,
            path: inbound.head.uri.path(),
            sticky: inbound.session.instance.as_deref(),
        };
        let learning = table.learning_left(now);
        table
            .choose(&wanted, tried, now)
            .map_err(|miss| Verdict::of(miss, learning.unwrap_or(self.retry_after)))
    }

    fn refuse(
        &self,
        verdict: &Verdict,
        asked: &HeaderMap,
        host: &str,
        mut exchange: Exchange,
    ) -> Response<ResponseBody> {
        match verdict {
            Verdict::UnknownRoute => self.stats().bad_request(),
            Verdict::EndpointFailure => self.stats().bad_gateway(),
            _ => {}
        }
        tracing::debug!(host, code = verdict.code(), "request refused");
        let response = verdict.response(asked, host, &exchange.request_id());
        exchange.answered(response.status());
        response.map(|text| {
            ResponseBody::new(Source::Own(Some(Bytes::from(text))), Some(exchange), None)
        })
    }

    /// What load balancers see: healthy until the drain begins.
    fn health(&self) -> Response<ResponseBody> {
        let draining = self.draining.load(Ordering::Relaxed);
        let (status, text) = if draining {
            (StatusCode::SERVICE_UNAVAILABLE, "draining\n")
        } else {
            (StatusCode::OK, "ok\n")
        };
        let mut response = Response::new(ResponseBody::new(
            Source::Own(Some(Bytes::from_static(text.as_bytes()))),
            None,
            None,
        ));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            http::header::CACHE_CONTROL,
            HeaderValue::from_static("private, max-age=0"),
        );
        headers.insert(http::header::EXPIRES, HeaderValue::from_static("0"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

fn is_health_check(headers: &HeaderMap) -> bool {
    headers
        .get(USER_AGENT)
        .is_some_and(|agent| agent == "HTTP-Monitor/1.1")
}

/// The host asked for: that of an absolute request target, else the Host header.
fn host_of(request: &Request<Incoming>) -> String {
    let authority = request
        .uri()
        .authority()
        .map(|authority| authority.as_str().to_owned());
    authority.unwrap_or_else(|| {
        let header = request
            .headers()
            .get(HOST)
            .and_then(|value| value.to_str().ok());
        header.unwrap_or_default().to_owned()
    })
}

fn origin_form(uri: &http::Uri) -> http::Uri {
    let Some(path) = uri.path_and_query() else {
        return http::Uri::from_static("/");
    };
    http::Uri::from(path.clone())
}
