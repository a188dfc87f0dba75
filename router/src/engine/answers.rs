//! From the instance to the client.

use std::io::Write as _;

use super::client::{Client, Phase};
use super::exchange::{Exchange, Passage, Progress};
use super::outcomes::Gone;
use super::reactor::Reactor;
use super::wire::Got;
use crate::answer;
use crate::guard::{Body, Limits, Passing};
use crate::rewrite::{self, Closing, Reply};
use crate::verdict::Verdict;

/// What a piece of an answer led to.
enum Next {
    /// More is to come.
    More,
    /// That was all; there may be bytes that belong to nothing.
    Done { surplus: bool },
}

impl Reactor {
    /// Moves what the instance sent; true if anything moved.
    pub(super) fn take_answer(&mut self, client: &mut Client) -> Result<bool, Gone> {
        let Some(upstream) = &mut client.upstream else {
            return Ok(false);
        };
        if upstream.connecting {
            return self.connecting(client);
        }
        // The client takes what there is before more is fetched.
        if client.wire.pending() > 0 {
            return Ok(false);
        }
        let mut room = std::mem::take(&mut self.room);
        let got = upstream.wire.read(&mut room);
        let moved = match got {
            Ok(Got::Nothing) => Ok(false),
            Ok(Got::Bytes(count)) => self.answer_bytes(client, &room[..count]).map(|()| true),
            Ok(Got::End) => self.instance_ended(client, true).map(|()| true),
            Err(_) => self.instance_ended(client, false).map(|()| true),
        };
        self.room = room;
        moved
    }

    fn answer_bytes(&mut self, client: &mut Client, bytes: &[u8]) -> Result<(), Gone> {
        let limits = self.shared.limits;
        let (Some(upstream), Phase::Serving(exchange)) = (&mut client.upstream, &mut client.phase)
        else {
            return Err(Gone);
        };
        match &exchange.progress {
            Progress::Awaited if upstream.head.is_empty() => self.answer_head(client, bytes),
            Progress::Awaited => {
                let mut all = std::mem::take(&mut upstream.head);
                all.extend_from_slice(bytes);
                self.answer_head(client, &all)
            }
            Progress::Body(..) => {
                let mut out = std::mem::take(&mut self.out);
                out.clear();
                let next = pass(exchange, bytes, limits, &mut out);
                let written = match next {
                    Err(_) => Err(Gone),
                    Ok((Passed::Plain(ref passing), _)) => {
                        let parts = [&bytes[..passing.plain], &passing.tail[..]];
                        client.wire.write(&parts).map_err(|_| Gone)
                    }
                    Ok((Passed::Recoded, _)) => client.wire.write(&[&out]).map_err(|_| Gone),
                };
                self.out = out;
                written?;
                self.act(client, next.map_err(|_| Gone)?.1)
            }
            Progress::Tunnel { .. } => {
                exchange.count(bytes.len());
                client.wire.write(&[bytes]).map_err(|_| Gone)
            }
        }
    }

    fn act(&mut self, client: &mut Client, next: Next) -> Result<(), Gone> {
        match next {
            Next::More => Ok(()),
            Next::Done { surplus } => self.finish(client, surplus),
        }
    }

    /// Reads heads until the final one is there.
    fn answer_head(&mut self, client: &mut Client, bytes: &[u8]) -> Result<(), Gone> {
        let mut rest = bytes;
        loop {
            let (Some(upstream), Phase::Serving(exchange)) =
                (&mut client.upstream, &mut client.phase)
            else {
                return Err(Gone);
            };
            let end = match answer::read(rest, self.shared.limits, &mut exchange.answer) {
                Ok(Some(end)) => end,
                Ok(None) => {
                    upstream.head = rest.to_vec();
                    return Ok(());
                }
                Err(error) => {
                    let address = exchange
                        .endpoint
                        .as_ref()
                        .map(|endpoint| &*endpoint.address);
                    tracing::info!(address, %error, "an instance's answer cannot be passed on");
                    return self.refuse(client, &Verdict::EndpointFailure);
                }
            };
            let (head, behind) = rest.split_at(end);
            match exchange.answer.status {
                101 if exchange.upgrade => return self.switch(client, head, behind),
                // Nobody asked for it, so it has no meaning to the client.
                101 => return self.refuse(client, &Verdict::EndpointFailure),
                // Said by ourselves, if the client waited for it.
                100 => {}
                102..200 if !exchange.head.old => {
                    let mut out = Vec::new();
                    rewrite::informational(&mut out, head, &exchange.answer);
                    client.wire.write(&[&out]).map_err(|_| Gone)?;
                }
                102..200 => {}
                _ => return self.answer_final(client, head, behind),
            }
            rest = behind;
        }
    }

    fn answer_final(
        &mut self,
        client: &mut Client,
        head: &[u8],
        behind: &[u8],
    ) -> Result<(), Gone> {
        let stopping = self.is_stopping();
        let limits = self.shared.limits;
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        let Phase::Serving(exchange) = &mut client.phase else {
            return Err(Gone);
        };
        exchange.answered(exchange.answer.status, self.now);
        let body = exchange.answer.body(exchange.method() == b"HEAD");
        let (passage, closing) = manner(exchange, body.as_ref(), stopping);
        let endpoint = exchange.endpoint.as_deref().cloned();
        let cookie = endpoint.and_then(|endpoint| {
            let route = exchange.route.as_deref().unwrap_or_default();
            let given = (&exchange.answer, head);
            self.shared
                .cookies
                .answer(given, exchange.session.as_deref(), &endpoint, route)
        });
        let reply = Reply {
            request_id: exchange.said.request_id.of(&exchange.sent),
            cookie,
            closing,
            chunked: body.is_some()
                && (passage == Passage::IntoChunks
                    || matches!(body, Some(Body::Chunked(_))) && passage == Passage::AsIs),
            switches: false,
        };
        rewrite::response(&mut out, head, &exchange.answer, &reply);
        exchange.head.last |= closing == Closing::Close;
        let next = match body {
            None => Ok((
                Passed::Plain(NOTHING),
                Next::Done {
                    surplus: !behind.is_empty(),
                },
            )),
            Some(body) => {
                exchange.progress = Progress::Body(body, passage);
                pass(exchange, behind, limits, &mut out)
            }
        };
        let written = match &next {
            Ok((Passed::Plain(passing), _)) => {
                client
                    .wire
                    .write(&[&out, &behind[..passing.plain], &passing.tail])
            }
            Ok((Passed::Recoded, _)) | Err(_) => client.wire.write(&[&out]),
        };
        self.out = out;
        written.map_err(|_| Gone)?;
        self.act(client, next.map_err(|_| Gone)?.1)
    }

    /// After a 101: bytes both ways until both sides have ended. No idle timeout, as the original.
    fn switch(&mut self, client: &mut Client, head: &[u8], behind: &[u8]) -> Result<(), Gone> {
        let Phase::Serving(exchange) = &mut client.phase else {
            return Err(Gone);
        };
        exchange.answered(101, self.now);
        let reply = Reply {
            request_id: exchange.said.request_id.of(&exchange.sent),
            cookie: None,
            closing: Closing::No,
            chunked: false,
            switches: true,
        };
        let mut out = Vec::new();
        rewrite::response(&mut out, head, &exchange.answer, &reply);
        exchange.count(behind.len());
        exchange.progress = Progress::Tunnel {
            client_ended: false,
        };
        client.wire.write(&[&out, behind]).map_err(|_| Gone)
    }

    /// The instance will send nothing more; `cleanly` unless the connection broke.
    fn instance_ended(&mut self, client: &mut Client, cleanly: bool) -> Result<(), Gone> {
        let (Some(upstream), Phase::Serving(exchange)) = (&mut client.upstream, &mut client.phase)
        else {
            return Err(Gone);
        };
        match &mut exchange.progress {
            Progress::Awaited if upstream.head.is_empty() => {
                let address = exchange
                    .endpoint
                    .as_ref()
                    .map(|endpoint| &*endpoint.address);
                tracing::debug!(address, "an instance broke off");
                self.lost(client)
            }
            Progress::Awaited => self.refuse(client, &Verdict::EndpointFailure),
            Progress::Body(Body::Endless, passage) if cleanly => {
                if *passage == Passage::IntoChunks {
                    client.wire.write(&[b"0\r\n\r\n"]).map_err(|_| Gone)?;
                }
                self.finish(client, false)
            }
            // Closed, so that the client sees that something is missing.
            Progress::Body(..) => Err(Gone),
            Progress::Tunnel { .. } if cleanly => self.finish(client, false),
            Progress::Tunnel { .. } => Err(Gone),
        }
    }
}

/// No bytes go on.
const NOTHING: Passing = Passing {
    used: 0,
    plain: 0,
    tail: Vec::new(),
};

/// What was done with body bytes.
enum Passed {
    /// These go out, as they are.
    Plain(Passing),
    /// They were written to the buffer in another form.
    Recoded,
}

/// How the body goes out, and what the client is told about the connection.
fn manner(exchange: &Exchange, body: Option<&Body>, stopping: bool) -> (Passage, Closing) {
    let old = exchange.head.old;
    let (passage, endless) = match body {
        Some(Body::Endless) if old => (Passage::AsIs, true),
        Some(Body::Endless) => (Passage::IntoChunks, false),
        Some(Body::Chunked(_)) if old => (Passage::OutOfChunks, true),
        _ => (Passage::AsIs, false),
    };
    let closing = match exchange.head.last || endless || stopping {
        true => Closing::Close,
        false if old => Closing::KeepAlive,
        false => Closing::No,
    };
    (passage, closing)
}

/// Follows the body and brings it into the form that the client gets.
fn pass(
    exchange: &mut Exchange,
    bytes: &[u8],
    limits: Limits,
    out: &mut Vec<u8>,
) -> Result<(Passed, Next), crate::guard::Refusal> {
    let Progress::Body(body, passage) = &mut exchange.progress else {
        return Ok((Passed::Plain(NOTHING), Next::More));
    };
    let (used, done) = match (&mut *body, *passage) {
        (Body::Chunked(chunks), Passage::OutOfChunks) => chunks.decode(bytes, limits, out)?,
        (body, _) => body.take(bytes, limits)?,
    };
    let passed = match *passage {
        Passage::AsIs => Passed::Plain(body.passing(used)),
        Passage::IntoChunks if used > 0 => {
            // Writing to memory cannot fail.
            let _ = write!(out, "{used:x}\r\n");
            out.extend_from_slice(&bytes[..used]);
            out.extend_from_slice(b"\r\n");
            Passed::Recoded
        }
        Passage::IntoChunks | Passage::OutOfChunks => Passed::Recoded,
    };
    exchange.count(used);
    let surplus = used < bytes.len();
    let next = match done {
        true => Next::Done { surplus },
        false => Next::More,
    };
    Ok((passed, next))
}
