//! Choosing an instance, dialling it, sending the head; up to three attempts. Sent again is
//! only what was never sent, or what may be sent twice: an idempotent request without a body.

use std::sync::Arc;

use mio::net::TcpStream;

use super::client::{Client, Phase};
use super::exchange::{ATTEMPTS, Exchange};
use super::outcomes::Gone;
use super::reactor::{Kind, Reactor};
use super::slots::Key;
use super::upstream::Upstream;
use super::wire::Wire;
use crate::guard::Name;
use crate::rewrite::{self, Scene};
use crate::table::{Choice, Endpoint, Wanted};
use crate::verdict::Verdict;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl Reactor {
    /// A whole head has come.
    pub(super) fn begin(
        &mut self,
        client: &mut Client,
        mut exchange: Box<Exchange>,
    ) -> Result<(), Gone> {
        exchange.begin(self.now);
        exchange.fixed_host.clone_from(&client.fixed_host);
        exchange.request_done = !client.guard.in_body();
        let agent = exchange.head.values(&exchange.raw, Name::UserAgent).next();
        if agent == Some(b"HTTP-Monitor/1.1") {
            return self.tell_health(client, exchange);
        }
        self.rewrite(client, &mut exchange);
        client.enter(Phase::Serving(exchange), self.now);
        self.shared.retries.earn();
        self.attempt(client)
    }

    fn rewrite(&self, client: &Client, exchange: &mut Exchange) {
        let fresh_id = bus::ids::guid();
        let scene = Scene {
            peer: &client.peer,
            trust: &self.shared.trust,
            fixed_host: client.fixed_host.as_deref(),
            fresh_id: &fresh_id,
            now_ms: exchange.started_ms(),
        };
        let Exchange {
            raw, head, sent, ..
        } = exchange;
        exchange.said = rewrite::request(sent, raw, head, &scene);
        exchange.upgrade = rewrite::upgrade(head, raw).is_some();
        exchange.session = self.shared.cookies.asked(head, raw);
    }

    /// Tries the next instance; the verdict when there is none.
    pub(super) fn attempt(&mut self, client: &mut Client) -> Result<(), Gone> {
        loop {
            let endpoint = match self.next_endpoint(client) {
                Ok(endpoint) => endpoint,
                Err(verdict) => return self.refuse(client, &verdict),
            };
            let Some(exchange) = client.exchange() else {
                return Err(Gone);
            };
            // An upgrade takes the connection with it, so it had better be alive.
            if !exchange.upgrade
                && let Some(upstream) =
                    self.idle_connection(&endpoint, exchange.repeatable(), client.key)
            {
                client.upstream = Some(upstream);
                return self.send_head(client);
            }
            if self.dial(client, &endpoint) {
                return Ok(());
            }
        }
    }

    /// An idle connection. It may have died unnoticed; a request that cannot be sent twice gets
    /// one that is known to live.
    fn idle_connection(
        &mut self,
        endpoint: &Endpoint,
        repeatable: bool,
        client: Key,
    ) -> Option<Box<Upstream>> {
        while let Some(upstream) = self.upstreams.lend(endpoint.serial, client) {
            if repeatable || upstream.wire.is_quiet() {
                return Some(upstream);
            }
            self.upstreams.release(upstream.key);
        }
        None
    }

    fn next_endpoint(&mut self, client: &mut Client) -> Result<Arc<Endpoint>, Verdict> {
        let shared = self.shared.clone();
        let Some(exchange) = client.exchange() else {
            return Err(Verdict::EndpointFailure);
        };
        let first = exchange.tried.is_empty();
        if !first && (exchange.tried.len() >= ATTEMPTS || !shared.retries.spend()) {
            return Err(self.given_up(exchange));
        }
        let choice = match self.choose(exchange) {
            Ok(choice) => choice,
            Err(verdict) if first => return Err(verdict),
            Err(_) => return Err(self.given_up(exchange)),
        };
        exchange.desperate |= first && choice.desperate;
        exchange.tried.push(choice.endpoint.serial);
        exchange.route = Some(choice.route);
        match exchange.goes_to(&choice.endpoint, &shared) {
            true => Ok(choice.endpoint),
            false => Err(Verdict::Overloaded),
        }
    }

    /// All were known to be unreachable before we asked: the route is down, not just one request unlucky.
    fn given_up(&self, exchange: &Exchange) -> Verdict {
        match exchange.desperate {
            true => Verdict::NoEndpoints(self.shared.retry_after),
            false => Verdict::EndpointFailure,
        }
    }

    fn choose(&self, exchange: &Exchange) -> Result<Choice, Verdict> {
        let mut table = self.shared.table();
        let wanted = Wanted {
            host: exchange.host(),
            path: exchange.path(),
            sticky: exchange.session.as_deref(),
        };
        table
            .choose(&wanted, &exchange.tried, self.now)
            .map_err(|miss| {
                let learning = table.learning_left(self.now);
                Verdict::of(miss, learning.unwrap_or(self.shared.retry_after))
            })
    }

    /// Begins to connect; false when that failed at once.
    fn dial(&mut self, client: &mut Client, endpoint: &Arc<Endpoint>) -> bool {
        let key = self.upstreams.reserve(client.key);
        let dialled = endpoint.socket_address().and_then(|address| {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            let mut wire = Wire::dialled(stream);
            wire.register(self.poll.registry(), Kind::Upstream(key).token())?;
            Ok(wire)
        });
        client.since = self.now;
        match dialled {
            Ok(wire) => {
                let upstream = Upstream::new(key, wire, endpoint.serial, self.now);
                client.upstream = Some(Box::new(upstream));
                true
            }
            Err(error) => {
                self.upstreams.release(key);
                self.unreachable(endpoint, &error);
                false
            }
        }
    }

    fn unreachable(&self, endpoint: &Endpoint, error: &std::io::Error) {
        tracing::info!(address = %endpoint.address, %error, "an instance cannot be reached");
        self.shared.table().mark_failed(endpoint, self.now);
    }

    /// Has the connection come about? True if that is decided.
    pub(super) fn connecting(&mut self, client: &mut Client) -> Result<bool, Gone> {
        let Some(upstream) = &mut client.upstream else {
            return Ok(false);
        };
        if !upstream.wire.writable() && !upstream.wire.ended() {
            return Ok(false);
        }
        match upstream.wire.dial_error() {
            None => {
                upstream.connecting = false;
                self.send_head(client)?;
            }
            Some(error) => self.dial_failed(client, &error)?,
        }
        Ok(true)
    }

    /// The instance could not be reached: it is left out for a while, and another one gets the request.
    pub(super) fn dial_failed(
        &mut self,
        client: &mut Client,
        error: &std::io::Error,
    ) -> Result<(), Gone> {
        self.drop_upstream(client);
        if let Some(endpoint) = client
            .exchange()
            .and_then(|exchange| exchange.endpoint.as_deref().cloned())
        {
            self.unreachable(&endpoint, error);
        }
        self.attempt(client)
    }

    /// Sends the head over a connection that stands.
    fn send_head(&mut self, client: &mut Client) -> Result<(), Gone> {
        let (Some(upstream), Phase::Serving(exchange)) = (&mut client.upstream, &mut client.phase)
        else {
            return Err(Gone);
        };
        let Some(endpoint) = &exchange.endpoint else {
            return Err(Gone);
        };
        rewrite::address_to(&mut exchange.sent, &exchange.said, endpoint);
        if exchange.head.waits && client.input.is_empty() && exchange.body_sent == 0 {
            client.wire.write(&[CONTINUE]).map_err(|_| Gone)?;
        }
        // With body bytes at hand, head and body go out as one.
        let more = !exchange.request_done && !client.input.is_empty();
        if more {
            upstream.wire.queue(&exchange.sent);
            return Ok(());
        }
        match upstream.wire.write(&[&exchange.sent]) {
            Ok(()) => Ok(()),
            Err(_) => self.lost(client),
        }
    }

    /// The connection ended before the first byte of an answer.
    pub(super) fn lost(&mut self, client: &mut Client) -> Result<(), Gone> {
        let written = client.upstream.as_ref().map_or(0, |up| up.wire.written());
        let reused = client.upstream.as_ref().is_some_and(|up| up.reused);
        self.drop_upstream(client);
        let Some(exchange) = client.exchange() else {
            return Err(Gone);
        };
        let never_sent = written == 0 && exchange.body_sent == 0;
        if !exchange.repeatable() && !never_sent {
            return self.refuse(client, &Verdict::EndpointFailure);
        }
        let endpoint = exchange.endpoint.as_deref().cloned();
        match endpoint.filter(|_| reused) {
            // An idle connection that had died: the instance itself may be well.
            Some(endpoint) if self.dial(client, &endpoint) => Ok(()),
            _ => self.attempt(client),
        }
    }
}
