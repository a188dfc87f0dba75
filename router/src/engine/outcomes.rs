//! How exchanges and connections end.

use super::client::{Client, Phase};
use super::exchange::{Exchange, Progress};
use super::reactor::Reactor;
use crate::guard::{Body, Name, Refused, Span};
use crate::verdict::{Asked, Verdict};

/// The connection to the client is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gone;

impl Reactor {
    /// A head that means nothing, or too much.
    pub(super) fn turn_away(
        &mut self,
        client: &mut Client,
        mut exchange: Box<Exchange>,
        refused: Refused,
    ) -> Result<(), Gone> {
        exchange.begin(self.now);
        exchange.head.fields.clear();
        exchange.head.host = None;
        exchange.head.last = true;
        exchange.refused_line = refused.line;
        exchange.sent = bus::ids::guid().into_bytes();
        exchange.said.request_id = Span::new(0, exchange.sent.len());
        client.enter(Phase::Serving(exchange), self.now);
        self.refuse(client, &Verdict::Refused(refused.why))
    }

    /// Answers on our own account; once an answer has begun, all that is left is to break it off.
    pub(super) fn refuse(&mut self, client: &mut Client, verdict: &Verdict) -> Result<(), Gone> {
        self.drop_upstream(client);
        match verdict {
            Verdict::UnknownRoute => self.shared.stats().bad_request(),
            Verdict::EndpointFailure => self.shared.stats().bad_gateway(),
            _ => {}
        }
        let stopping = self.is_stopping();
        let Some(exchange) = client.exchange() else {
            return Err(Gone);
        };
        if exchange.status.is_some() {
            return Err(Gone);
        }
        tracing::debug!(
            host = exchange.host(),
            code = verdict.code(),
            "request refused"
        );
        exchange.head.last |=
            stopping || !exchange.request_done || matches!(verdict, Verdict::Refused(_));
        exchange.answered(verdict.status().as_u16(), self.now);
        let asked = Asked {
            accept: exchange.head.values(&exchange.raw, Name::Accept).next(),
            host: exchange.host(),
            request_id: exchange.said.request_id.of(&exchange.sent),
            last: exchange.head.last,
            old: exchange.head.old,
        };
        let (head, body) = verdict.answer(&asked);
        let body = if exchange.method() == b"HEAD" {
            ""
        } else {
            &body
        };
        exchange.count(body.len());
        client
            .wire
            .write(&[head.as_bytes(), body.as_bytes()])
            .map_err(|_| Gone)?;
        self.finish(client, false)
    }

    /// What load balancers see: healthy until the drain begins. Not logged, not counted.
    pub(super) fn tell_health(
        &mut self,
        client: &mut Client,
        exchange: Box<Exchange>,
    ) -> Result<(), Gone> {
        let (status, text) = match self.shared.unready(self.now) {
            Some(why) => ("503 Service Unavailable", why),
            None => ("200 OK", "ok"),
        };
        let text = format!("{text}\n");
        let head = format!(
            "HTTP/1.1 {status}\r\nCache-Control: private, max-age=0\r\nExpires: 0\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            text.len()
        );
        let text = if exchange.method() == b"HEAD" {
            ""
        } else {
            &text
        };
        client
            .wire
            .write(&[head.as_bytes(), text.as_bytes()])
            .map_err(|_| Gone)?;
        self.keep_spare(exchange);
        self.leave(client);
        Ok(())
    }

    /// The answer is complete.
    pub(super) fn finish(&mut self, client: &mut Client, surplus: bool) -> Result<(), Gone> {
        let stopping = self.is_stopping();
        let Some(exchange) = client.enter(Phase::Waiting, self.now) else {
            return Err(Gone);
        };
        exchange.record(&client.peer, true, &self.shared, &mut self.lines);
        if let Some(upstream) = client.upstream.take() {
            let reusable = matches!(
                exchange.progress,
                Progress::Awaited | Progress::Body(Body::Length(_) | Body::Chunked(_), _)
            ) && exchange.request_done
                && !exchange.answer.last
                && !surplus
                && !upstream.deaf
                && !upstream.wire.ended()
                && upstream.wire.pending() == 0;
            match reusable {
                true => self.upstreams.give_back(upstream, self.now),
                false => self.upstreams.release(upstream.key),
            }
        }
        let last = exchange.head.last || !exchange.request_done || stopping;
        let tunnel = matches!(exchange.progress, Progress::Tunnel { .. });
        self.keep_spare(exchange);
        if last || tunnel {
            self.leave(client);
        }
        Ok(())
    }

    fn leave(&mut self, client: &mut Client) {
        client.input = Vec::new();
        let leaving = Phase::Leaving {
            surplus: 0,
            told: None,
        };
        client.enter(leaving, self.now);
    }

    /// The connection to the instance is of no use any more.
    pub(super) fn drop_upstream(&mut self, client: &mut Client) {
        if let Some(upstream) = client.upstream.take() {
            self.upstreams.release(upstream.key);
        }
    }

    /// The client is gone: what it asked for is logged as unfinished.
    pub(super) fn bury(&mut self, mut client: Box<Client>) {
        self.drop_upstream(&mut client);
        if let Phase::Serving(exchange) = &client.phase {
            exchange.record(&client.peer, false, &self.shared, &mut self.lines);
        }
        self.clients.release(client.key);
    }
}
