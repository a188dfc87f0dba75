//! From the client to the instance.

use super::client::{Client, Phase};
use super::exchange::{Exchange, Progress};
use super::outcomes::Gone;
use super::reactor::Reactor;
use super::wire::Got;
use crate::guard::Refused;
use crate::verdict::Verdict;

/// What waits for an instance beyond this is not added to: the client has to wait too.
const BACKLOG: usize = 64 * 1024;
/// What a client may still send after its last message, or after a refusal, before we stop listening.
const SURPLUS: usize = 256 * 1024;

/// What reading a head came to.
enum Reading {
    Nothing,
    Partial,
    Whole(Box<Exchange>),
    Refused(Box<Exchange>, Refused),
}

impl Reactor {
    /// Moves what the client sent; true if anything moved.
    pub(super) fn take_request(&mut self, client: &mut Client) -> Result<bool, Gone> {
        match &client.phase {
            Phase::Waiting => self.take_head(client),
            Phase::Serving(exchange) => match exchange.progress {
                Progress::Tunnel { .. } => self.tunnel_in(client),
                _ if exchange.request_done => self.watch(client),
                _ => self.take_body(client),
            },
            Phase::Leaving { .. } => self.hear_out(client),
        }
    }

    fn take_head(&mut self, client: &mut Client) -> Result<bool, Gone> {
        // The last answer has to be out first: nobody can have more than one waiting.
        if client.wire.pending() > 0 {
            return Ok(false);
        }
        let mut input = std::mem::take(&mut client.input);
        let mut room = std::mem::take(&mut self.room);
        let reading = self.read_head(client, &mut input, &mut room);
        (client.input, self.room) = (input, room);
        match reading? {
            Reading::Nothing => return Ok(false),
            Reading::Partial => {}
            Reading::Whole(exchange) => self.begin(client, exchange)?,
            Reading::Refused(exchange, refused) => self.turn_away(client, exchange, refused)?,
        }
        Ok(true)
    }

    fn read_head(
        &mut self,
        client: &mut Client,
        input: &mut Vec<u8>,
        room: &mut [u8],
    ) -> Result<Reading, Gone> {
        let mut fresh: &[u8] = &[];
        if input.is_empty() || client.starved {
            match client.wire.read(room).map_err(|_| Gone)? {
                Got::Bytes(count) => fresh = &room[..count],
                Got::Nothing => return Ok(Reading::Nothing),
                Got::End => return Err(Gone),
            }
            if !input.is_empty() {
                input.extend_from_slice(fresh);
                fresh = &[];
            }
        }
        let bytes: &[u8] = if input.is_empty() { fresh } else { &*input };
        let mut exchange = self.spare();
        match client.guard.head(bytes, &mut exchange.head) {
            Ok(None) => {
                client.starved = true;
                if input.is_empty() {
                    // The time for a head begins with its first byte.
                    client.since = self.now;
                    input.extend_from_slice(fresh);
                }
                self.keep_spare(exchange);
                Ok(Reading::Partial)
            }
            Ok(Some(place)) => {
                client.starved = false;
                exchange.raw.extend_from_slice(place.of(bytes));
                let rest = bytes[place.to()..].to_vec();
                *input = rest;
                Ok(Reading::Whole(exchange))
            }
            Err(refused) => {
                *input = Vec::new();
                Ok(Reading::Refused(exchange, refused))
            }
        }
    }

    fn take_body(&mut self, client: &mut Client) -> Result<bool, Gone> {
        let ready = |client: &Client| {
            let upstream = client.upstream.as_ref();
            upstream.is_some_and(|up| !up.connecting && !up.deaf && up.wire.pending() < BACKLOG)
        };
        if !ready(client) {
            return Ok(false);
        }
        let input = std::mem::take(&mut client.input);
        let mut room = std::mem::take(&mut self.room);
        let moved = match input.is_empty() {
            false => pass_body(client, &input),
            true => match client.wire.read(&mut room) {
                Ok(Got::Bytes(count)) => pass_body(client, &room[..count]),
                Ok(Got::Nothing) => Ok(false),
                Ok(Got::End) | Err(_) => {
                    self.room = room;
                    return Err(Gone);
                }
            },
        };
        self.room = room;
        match moved {
            Ok(moved) => Ok(moved),
            // A body that broke off is the client's doing, whatever it looked like from the other side.
            Err(refused) => {
                self.refuse(client, &Verdict::Refused(refused.why))?;
                Ok(true)
            }
        }
    }

    /// The request is complete: has the client gone while it waits?
    fn watch(&mut self, client: &mut Client) -> Result<bool, Gone> {
        if !client.wire.ended() || !client.input.is_empty() {
            return Ok(false);
        }
        match client.wire.read(&mut self.room).map_err(|_| Gone)? {
            Got::Bytes(count) => {
                client.input.extend_from_slice(&self.room[..count]);
                Ok(true)
            }
            Got::Nothing => Ok(false),
            Got::End => Err(Gone),
        }
    }

    fn tunnel_in(&mut self, client: &mut Client) -> Result<bool, Gone> {
        let Client {
            upstream: Some(upstream),
            phase: Phase::Serving(exchange),
            wire,
            input,
            ..
        } = client
        else {
            return Ok(false);
        };
        let Progress::Tunnel { client_ended } = &mut exchange.progress else {
            return Ok(false);
        };
        if upstream.wire.pending() > 0 || *client_ended {
            return Ok(false);
        }
        if !input.is_empty() {
            let early = std::mem::take(input);
            upstream.wire.write(&[&early]).map_err(|_| Gone)?;
            return Ok(true);
        }
        match wire.read(&mut self.room).map_err(|_| Gone)? {
            Got::Bytes(count) => {
                let bytes = &self.room[..count];
                upstream.wire.write(&[bytes]).map_err(|_| Gone)?;
            }
            Got::Nothing => return Ok(false),
            Got::End => {
                *client_ended = true;
                upstream.wire.finish();
            }
        }
        Ok(true)
    }

    /// Reads and forgets, until the client has understood that it is over.
    fn hear_out(&mut self, client: &mut Client) -> Result<bool, Gone> {
        if client.wire.pending() > 0 {
            return Ok(false);
        }
        let Phase::Leaving { surplus, told } = &mut client.phase else {
            return Ok(false);
        };
        if told.is_none() {
            *told = Some(self.now);
            client.wire.finish();
        }
        match client.wire.read(&mut self.room).map_err(|_| Gone)? {
            Got::Bytes(count) if *surplus + count <= SURPLUS => *surplus += count,
            Got::Bytes(_) | Got::End => return Err(Gone),
            Got::Nothing => return Ok(false),
        }
        Ok(true)
    }
}

/// Passes on what belongs to the body; the rest waits for its turn.
fn pass_body(client: &mut Client, bytes: &[u8]) -> Result<bool, Refused> {
    let passing = client.guard.pass_body(bytes)?;
    client.input.extend_from_slice(&bytes[passing.used..]);
    let done = !client.guard.in_body();
    let (Some(upstream), Phase::Serving(exchange)) = (&mut client.upstream, &mut client.phase)
    else {
        return Ok(false);
    };
    let parts = [&bytes[..passing.plain], &passing.tail[..]];
    exchange.body_sent += passing.used as u64;
    exchange.request_done = done;
    if upstream.wire.write(&parts).is_err() {
        // It may have answered before it hung up.
        upstream.deaf = true;
        upstream.wire.forget_pending();
    }
    Ok(true)
}
