//! The book-keeping of one request: it reaches the log and the counters exactly once, whatever happens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use http::header::{HeaderValue, REFERER, USER_AGENT};
use http::{HeaderMap, Request, StatusCode};

use super::Proxy;
use crate::access_log::Record;
use crate::quota::Permit;
use crate::rewrite::Peer;
use crate::stats::Sample;
use crate::table::Endpoint;

/// One request, from its head to its last byte. Dropped unfinished, it is logged as such.
pub(crate) struct Exchange {
    proxy: Arc<Proxy>,
    record: Record,
    arrived: Instant,
    head_after: Option<Duration>,
    endpoint: Option<Arc<Endpoint>>,
    request_id: HeaderValue,
    /// One of the app's requests at a time.
    permit: Option<Permit<String>>,
}

impl Exchange {
    pub(crate) fn begin<B>(
        proxy: &Arc<Proxy>,
        request: &Request<B>,
        host: &str,
        peer: Peer,
    ) -> Self {
        let text = |name| {
            request
                .headers()
                .get(name)
                .map(|value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let record = Record {
            host: host.to_owned(),
            started: Utc::now(),
            request_line: format!(
                "{} {} {:?}",
                request.method(),
                request.uri(),
                request.version()
            ),
            referer: text(REFERER).unwrap_or_default(),
            user_agent: text(USER_AGENT).unwrap_or_default(),
            remote: peer.addr.to_string(),
            ..Record::default()
        };
        let request_id = HeaderValue::from_static("-");
        Self {
            proxy: proxy.clone(),
            record,
            arrived: Instant::now(),
            head_after: None,
            endpoint: None,
            request_id,
            permit: None,
        }
    }

    /// The request line as received, where the parsed one is not it.
    pub(crate) fn asked_for(&mut self, line: String) {
        self.record.request_line = line;
    }

    /// Arrival in Unix milliseconds.
    pub(crate) fn started_ms(&self) -> u128 {
        u128::try_from(self.record.started.timestamp_millis()).unwrap_or(0)
    }

    /// Notes the id and forwarded-for list the instance will see.
    pub(crate) fn identify(&mut self, id: &HeaderValue, headers: &HeaderMap) {
        self.record.request_id = String::from_utf8_lossy(id.as_bytes()).into_owned();
        let forwarded = headers
            .get("x-forwarded-for")
            .map(HeaderValue::as_bytes)
            .unwrap_or_default();
        self.record.forwarded_for = String::from_utf8_lossy(forwarded).into_owned();
        self.request_id = id.clone();
    }

    pub(crate) fn request_id(&self) -> HeaderValue {
        self.request_id.clone()
    }

    /// Notes who gets the request; false when its app has as many as it may have at a time.
    pub(crate) fn goes_to(&mut self, endpoint: &Arc<Endpoint>) -> bool {
        self.record.app = endpoint.app.clone();
        self.endpoint = Some(endpoint.clone());
        if self.permit.is_none() {
            let app = endpoint.app.as_ref().unwrap_or(&endpoint.address);
            self.permit = self.proxy.per_app.take(app);
        }
        self.permit.is_some()
    }

    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.record.status = Some(status.as_u16());
        self.head_after = Some(self.arrived.elapsed());
    }

    pub(crate) fn count(&mut self, bytes: usize) {
        self.record.bytes += bytes as u64;
    }

    /// The last byte is out.
    pub(crate) fn finish(mut self) {
        self.record.took = Some(self.arrived.elapsed());
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let record = std::mem::take(&mut self.record);
        if let Some(endpoint) = &self.endpoint {
            let sample = Sample {
                status: record.status,
                latency: self.head_after.unwrap_or_else(|| self.arrived.elapsed()),
                component: endpoint.component.as_deref(),
                app: endpoint.app.as_deref(),
            };
            self.proxy.stats().record(&sample, Instant::now());
        }
        self.proxy.log.log(record);
    }
}
