//! How long each side may take. One look at every connection a few times a second, no timer per request.

use std::io;
use std::time::{Duration, Instant};

use super::client::{Client, Phase};
use super::exchange::Progress;
use super::outcomes::Gone;
use super::reactor::Reactor;
use super::shared::Times;
use crate::guard::Refusal;
use crate::verdict::Verdict;

/// How often deadlines are looked at, and so how late they may be noticed.
pub(super) const LOOK: Duration = Duration::from_millis(100);
/// How long a client may take to understand that it is over.
const LINGER: Duration = Duration::from_secs(2);

/// Who is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// The client, for a head: all of it counts, however it drips in.
    Head,
    /// The client, for more of its body.
    Body,
    /// The client, to take its answer.
    Reader,
    /// The client, to hang up.
    Farewell,
    /// The instance, to accept the connection.
    Dial,
    /// The instance, to take the request or to begin its answer.
    Instance,
}

impl Client {
    /// Whom this connection waits for and since when; nobody while an answer streams, or in a tunnel.
    fn waits_for(&self) -> Option<(Waiting, Instant)> {
        let upstream = self.upstream.as_ref();
        match &self.phase {
            Phase::Leaving {
                told: Some(told), ..
            } => Some((Waiting::Farewell, *told)),
            Phase::Waiting if self.wire.pending() == 0 => Some((Waiting::Head, self.since)),
            Phase::Serving(exchange) if matches!(exchange.progress, Progress::Tunnel { .. }) => {
                None
            }
            _ if self.wire.pending() > 0 => Some((Waiting::Reader, self.touched)),
            Phase::Serving(_) if upstream.is_some_and(|up| up.connecting) => {
                Some((Waiting::Dial, self.since))
            }
            Phase::Serving(exchange) if matches!(exchange.progress, Progress::Body(..)) => None,
            Phase::Serving(exchange) => {
                let body =
                    !exchange.request_done && upstream.is_some_and(|up| up.wire.pending() == 0);
                let whom = if body {
                    Waiting::Body
                } else {
                    Waiting::Instance
                };
                Some((whom, self.touched))
            }
            Phase::Waiting | Phase::Leaving { .. } => None,
        }
    }

    fn overdue(&self, times: &Times, now: Instant) -> Option<Waiting> {
        let (whom, since) = self.waits_for()?;
        let limit = match whom {
            Waiting::Head => times.header,
            Waiting::Body | Waiting::Reader => times.body_idle,
            Waiting::Farewell => LINGER,
            Waiting::Dial => times.dial,
            Waiting::Instance => times.endpoint,
        };
        (now.saturating_duration_since(since) >= limit).then_some(whom)
    }
}

impl Reactor {
    /// Ends what has taken too long.
    pub(super) fn sweep(&mut self) {
        let (times, now) = (self.shared.times, self.now);
        self.upstreams.sweep(now);
        let overdue = |client: &Client| client.overdue(&times, now);
        let late: Vec<_> = self
            .clients
            .iter()
            .filter_map(|(key, client)| Some((key, overdue(client)?)))
            .collect();
        for (key, whom) in late {
            if let Some(mut client) = self.clients.take(key) {
                match self.give_up(&mut client, whom) {
                    Ok(()) => {
                        self.clients.put(key, client);
                        self.queue(key);
                    }
                    Err(Gone) => self.bury(client),
                }
            }
        }
    }

    fn give_up(&mut self, client: &mut Client, whom: Waiting) -> Result<(), Gone> {
        client.touched = self.now;
        match whom {
            Waiting::Head | Waiting::Reader | Waiting::Farewell => Err(Gone),
            Waiting::Body => self.refuse(client, &Verdict::Refused(Refusal::BodyStalled)),
            Waiting::Dial => {
                let limit = self.shared.times.dial;
                let why = format!("no connection within {} s", limit.as_secs_f64());
                self.dial_failed(client, &io::Error::new(io::ErrorKind::TimedOut, why))
            }
            Waiting::Instance => {
                let limit = self.shared.times.endpoint;
                self.refuse(client, &Verdict::Deadline(limit))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use super::*;
    use crate::engine::slots::Slots;
    use crate::engine::wire::{Stream, Wire};
    use crate::guard::Limits;
    use crate::rewrite::Peer;

    fn leaving(pending: &[u8], told: Option<Instant>, now: Instant) -> Client {
        let (ours, _theirs) = mio::net::UnixStream::pair().unwrap();
        let mut wire = Wire::new(Stream::Unix(ours));
        wire.queue(pending);
        let key = Slots::<()>::new().reserve();
        let peer = Arc::new(Peer::default());
        let mut client = Client::new(key, wire, peer, None, None, Limits::OF_TESTS, now);
        client.phase = Phase::Leaving { surplus: 0, told };
        client
    }

    #[test]
    fn who_has_not_taken_the_last_answer_is_not_hurried_away() {
        let start = Instant::now();
        let behind = leaving(b"the rest of an answer", None, start);
        assert_eq!(behind.waits_for(), Some((Waiting::Reader, start)));
        let told = start + LINGER;
        let done = leaving(b"", Some(told), start);
        assert_eq!(done.waits_for(), Some((Waiting::Farewell, told)));
    }
}
