//! The book-keeping of one request, from its head to its last byte.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::shared::Shared;
use crate::access_log::{Lines, Record};
use crate::answer::Answer;
use crate::guard::{Body, Head, Name};
use crate::quota::Permit;
use crate::rewrite::{Peer, Said};
use crate::stats::Sample;
use crate::table::{Busy, Endpoint};

/// Endpoints tried per request, as the original.
pub(super) const ATTEMPTS: usize = 3;

/// How far the answer has come.
#[derive(Debug, Default)]
pub(super) enum Progress {
    /// No head yet.
    #[default]
    Awaited,
    /// The body is being passed on.
    Body(Body, Passage),
    /// Both sides left HTTP; whether the client has said its last word.
    Tunnel { client_ended: bool },
}

/// What becomes of a body on the way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passage {
    /// It goes as it comes.
    AsIs,
    /// Its end is the connection's; the client gets chunks instead.
    IntoChunks,
    /// It comes in chunks, which the client does not understand.
    OutOfChunks,
}

/// One request. Used again for the next one, room and all.
#[derive(Default)]
pub(super) struct Exchange {
    /// The head as the client sent it, and taken apart.
    pub(super) raw: Vec<u8>,
    pub(super) head: Head,
    /// What stands in the log where there is no whole head.
    pub(super) refused_line: Option<String>,
    /// The head as instances get it.
    pub(super) sent: Vec<u8>,
    pub(super) said: Said,
    pub(super) fixed_host: Option<Arc<str>>,
    pub(super) upgrade: bool,
    /// The instance that a session asked for.
    pub(super) session: Option<String>,
    pub(super) route: Option<Arc<str>>,
    pub(super) endpoint: Option<Busy>,
    pub(super) tried: Vec<u64>,
    /// All endpoints were known to fail before the first was tried.
    pub(super) desperate: bool,
    /// Every byte of the request was passed on.
    pub(super) request_done: bool,
    /// Bytes of its body that are gone from here.
    pub(super) body_sent: u64,
    pub(super) answer: Answer,
    pub(super) progress: Progress,
    pub(super) status: Option<u16>,
    bytes: u64,
    permit: Option<Permit<String>>,
    arrived: Option<Arrival>,
    head_after: Option<Duration>,
}

#[derive(Clone, Copy)]
struct Arrival {
    at: Instant,
    wall: SystemTime,
}

impl Exchange {
    /// A request has come.
    pub(super) fn begin(&mut self, now: Instant) {
        self.arrived = Some(Arrival {
            at: now,
            wall: SystemTime::now(),
        });
    }

    /// Ready for the next request. Room beyond the ordinary is given back.
    pub(super) fn reset(&mut self) {
        let (mut raw, mut sent) = (
            std::mem::take(&mut self.raw),
            std::mem::take(&mut self.sent),
        );
        let (mut head, mut answer) = (
            std::mem::take(&mut self.head),
            std::mem::take(&mut self.answer),
        );
        for room in [&mut raw, &mut sent] {
            room.clear();
            room.shrink_to(4096);
        }
        head.fields.clear();
        answer.fields.clear();
        *self = Self {
            raw,
            sent,
            head,
            answer,
            ..Self::default()
        };
    }

    /// Arrival in Unix milliseconds.
    pub(super) fn started_ms(&self) -> u64 {
        let wall = self.arrived.map(|arrived| arrived.wall);
        let since = wall.and_then(|wall| wall.duration_since(SystemTime::UNIX_EPOCH).ok());
        since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0))
    }

    /// The host asked for, port and case as received.
    pub(super) fn host(&self) -> &str {
        match &self.fixed_host {
            Some(host) => host,
            // The guard lets pass nothing but ASCII.
            None => std::str::from_utf8(self.head.host.unwrap_or_default().of(&self.raw))
                .unwrap_or_default(),
        }
    }

    pub(super) fn path(&self) -> &str {
        std::str::from_utf8(self.head.path.of(&self.raw)).unwrap_or_default()
    }

    pub(super) fn method(&self) -> &[u8] {
        self.head.method.of(&self.raw)
    }

    /// May the request be sent again although the first copy may have arrived?
    pub(super) fn repeatable(&self) -> bool {
        let idempotent: [&[u8]; 6] = [b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"TRACE"];
        idempotent.contains(&self.method()) && self.request_done && self.body_sent == 0
    }

    /// Notes who gets the request; false when its app has as many as it may have at a time.
    pub(super) fn goes_to(&mut self, endpoint: &Arc<Endpoint>, shared: &Shared) -> bool {
        self.endpoint = Some(Busy::at(endpoint.clone()));
        if self.permit.is_none() && shared.per_app.is_limited() {
            let app = endpoint.app.as_ref().unwrap_or(&endpoint.address);
            self.permit = shared.per_app.take(app);
            return self.permit.is_some();
        }
        true
    }

    /// The head of the answer is out.
    pub(super) fn answered(&mut self, status: u16, now: Instant) {
        self.status = Some(status);
        self.head_after = self.arrived.map(|arrived| now.duration_since(arrived.at));
    }

    pub(super) fn count(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
    }

    /// Into the log and the counters, once. `whole`: the last byte is out.
    pub(super) fn record(&self, peer: &Peer, whole: bool, shared: &Shared, lines: &mut Lines) {
        let Some(arrived) = self.arrived else { return };
        let now = Instant::now();
        let took = now.duration_since(arrived.at);
        if let Some(endpoint) = &self.endpoint {
            let sample = Sample {
                status: self.status,
                latency: self.head_after.unwrap_or(took),
                component: endpoint.component.as_deref(),
                app: endpoint.app.as_deref(),
            };
            shared.stats().record(&sample, now);
        }
        let value = |name| self.head.values(&self.raw, name).next().unwrap_or_default();
        let line = match &self.refused_line {
            Some(line) => line.as_bytes(),
            None => self.head.line.of(&self.raw),
        };
        let spoken = peer.listener.spoken.map(|version| {
            let asked = line.strip_suffix(b"HTTP/1.1").unwrap_or(line);
            [asked, version.as_bytes()].concat()
        });
        let record = Record {
            host: self.host().as_bytes(),
            started: arrived.wall,
            request_line: spoken.as_deref().unwrap_or(line),
            status: self.status,
            bytes: self.bytes,
            referer: value(Name::Referer),
            user_agent: value(Name::UserAgent),
            remote: peer.addr,
            forwarded_for: self.said.forwarded_for.of(&self.sent),
            request_id: self.said.request_id.of(&self.sent),
            took: whole.then_some(took),
            app: self
                .endpoint
                .as_ref()
                .and_then(|endpoint| endpoint.app.as_deref()),
        };
        lines.log(&record, now);
    }
}
