//! The task of one connection: reads, feeds the session, flushes whoever got something.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep_until, timeout};

use crate::close::Close;
use crate::hub::Hub;
use crate::info;
use crate::limits::{CLOSE_LINGER, NONCE_BYTES, READ_BUFFER, THROTTLE_PAUSE};
use crate::liveness::{Due, Liveness};
use crate::peer::Peer;
use crate::protocol::{Op, Parser, ProtocolError, Step};
use crate::session::Session;
use crate::tls::Offer;

/// The first byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// Serves one client until it goes, misbehaves or is closed.
///
/// The future of an idle connection is most of its memory: what is rare in it is boxed.
pub(crate) async fn serve(hub: Rc<Hub>, peer: Rc<Peer>) {
    let mut connection = Connection::greet(hub, peer);
    connection.run().await;
    Box::pin(connection.finish()).await;
}

struct Connection {
    hub: Rc<Hub>,
    peer: Rc<Peer>,
    session: Session,
    liveness: Liveness,
    /// TLS is on offer and the client's first byte, which tells whether it takes it, has not come.
    undecided: Option<Rc<Offer>>,
    /// The start of an operation whose end has not arrived.
    partial: Vec<u8>,
    /// The last read filled its buffer: there is probably more.
    more: bool,
}

/// What a connection's task does next.
enum Turn {
    Read,
    Write,
    Tick,
}

/// What became of a piece of input: bytes carried out, and bytes the unfinished rest still needs.
struct Progress {
    used: usize,
    missing: usize,
}

impl Connection {
    fn greet(hub: Rc<Hub>, peer: Rc<Peer>) -> Self {
        tracing::debug!(cid = peer.id, addr = %peer.addr, "client connected");
        let nonce = hub.auth().wants_nonce().then(new_nonce);
        let hello = info::line(&hub, &peer, nonce.as_deref());
        let session = Session::new(hub.clone(), peer.clone(), nonce);
        let offer = hub.tls();
        // A handshake has to end in time too, even where nobody must authenticate.
        let must_act = !session.authenticated() || offer.is_some();
        let mut liveness = Liveness::new(&hub.limits(), must_act, Instant::now());
        if let Some(offer) = &offer {
            liveness.postpone(offer.settings.timeout);
        }
        peer.append(|out| out.extend_from_slice(&hello));
        peer.flush();
        Self {
            session,
            liveness,
            undecided: offer,
            partial: Vec::new(),
            more: false,
            hub,
            peer,
        }
    }

    async fn run(&mut self) {
        let mut timer = pin!(sleep_until(self.next_deadline().into()));
        while let Some(turn) = poll_fn(|context| self.poll_turn(timer.as_mut(), context)).await {
            match turn {
                Turn::Read => self.read_batch().await,
                Turn::Write => self.peer.flush(),
                Turn::Tick => self.tick(Instant::now()),
            }
        }
    }

    /// What to do next; `None` once the connection is to be closed.
    fn poll_turn(
        &self,
        mut timer: Pin<&mut Sleep>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Turn>> {
        let peer = &self.peer;
        peer.wake_with(context.waker());
        if peer.closing().is_some() {
            return Poll::Ready(None);
        }
        if peer.wants_write() && peer.stream.poll_writable(context).is_ready() {
            return Poll::Ready(Some(Turn::Write));
        }
        if peer.stream.poll_readable(context).is_ready() {
            return Poll::Ready(Some(Turn::Read));
        }
        let due = self.next_deadline().into();
        if due < timer.deadline() {
            timer.as_mut().reset(due);
        }
        ready!(timer.as_mut().poll(context));
        // The timer may be early, for a deadline that has moved since.
        timer.as_mut().reset(due);
        ready!(timer.as_mut().poll(context));
        Poll::Ready(Some(Turn::Tick))
    }

    fn write_patience(&self) -> Duration {
        Duration::from_secs_f64(self.hub.limits().write_deadline)
    }

    fn next_deadline(&self) -> Instant {
        let liveness = self.liveness.next();
        self.peer
            .write_deadline(self.write_patience())
            .map_or(liveness, |write| write.min(liveness))
    }

    fn tick(&mut self, now: Instant) {
        if self
            .peer
            .write_deadline(self.write_patience())
            .is_some_and(|deadline| now >= deadline)
        {
            return self.peer.close(Close::SlowConsumer);
        }
        match self.liveness.due(now) {
            Due::Nothing => {}
            Due::Ping => {
                self.peer.pinged.set(Some(now));
                self.peer.append(|out| out.extend_from_slice(b"PING\r\n"));
                self.peer.flush();
            }
            Due::Stale => self.peer.close(Close::Stale),
            Due::AuthTimeout => self.peer.close(Close::AuthTimeout),
        }
    }

    /// One read, all operations in it, one flush per destination; then the others get their turn.
    async fn read_batch(&mut self) {
        if self.undecided.is_some() {
            Box::pin(self.decide()).await;
            if self.undecided.is_some() {
                return;
            }
        }
        if self.peer.is_blocked() {
            // Somebody who keeps talking is no reason to forget that it does not listen.
            self.tick(Instant::now());
        }
        let mut outcome = self.read_once();
        while outcome.is_ok()
            && self.session.slow_check().is_some()
            && let Some(good) = Box::pin(self.compare_secret()).await
        {
            outcome = self.session.settle(good);
            self.note_greeting();
            outcome = outcome.and_then(|()| self.process_partial());
        }
        if let Err(reason) = outcome {
            self.peer.close(reason);
            self.hub.mark_dirty(&self.peer);
        }
        if let Some(behind) = self.hub.flush_dirty() {
            // The result does not matter: drained or not, the pause is over.
            let _ = Box::pin(timeout(THROTTLE_PAUSE, behind.drained.notified())).await;
        }
        if self.more {
            tokio::task::yield_now().await;
        }
    }

    /// Looks at the first byte: a client that starts a handshake gets one.
    async fn decide(&mut self) {
        let first = match self.peer.stream.first_byte().await {
            Ok(Some(first)) => first,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Ok(None) | Err(_) => return self.peer.close(Close::Gone),
        };
        let Some(offer) = self.undecided.take() else {
            return;
        };
        if first != TLS_HANDSHAKE {
            if offer.required() {
                self.peer.close(Close::TlsRequired);
            }
        } else if self.peer.stream.secure(offer.config.clone()).is_err() {
            self.peer.close(Close::TlsHandshake);
        }
    }

    /// Compares a password with a bcrypt hash where it delays nobody else.
    async fn compare_secret(&self) -> Option<bool> {
        let check = self.session.slow_check()?;
        let (secret, offered) = (check.secret.clone(), check.offered.clone());
        let compare = tokio::task::spawn_blocking(move || secret.opens_for(&offered));
        Some(compare.await.unwrap_or(false))
    }

    fn read_once(&mut self) -> Result<(), Close> {
        if self.peer.closing().is_some() {
            return Ok(());
        }
        let hub = self.hub.clone();
        let mut scratch = hub.scratch.borrow_mut();
        let kept = self.partial.len();
        // What was kept goes in front of what is read, unless it is long.
        let start = if kept <= READ_BUFFER { kept } else { 0 };
        let end = start + self.read(&mut scratch[start..][..READ_BUFFER])?;
        if end == start {
            return Ok(());
        }
        if start < kept {
            self.partial.extend_from_slice(&scratch[..end]);
            return self.process_partial();
        }
        scratch[..kept].copy_from_slice(&self.partial);
        let progress = self.process(&scratch[..end])?;
        self.keep(&scratch[progress.used..end], progress.missing);
        Ok(())
    }

    /// Reads into `space` what has come; 0 when nothing has.
    fn read(&mut self, space: &mut [u8]) -> Result<usize, Close> {
        let count = match self.peer.stream.try_read(space) {
            Ok(0) => return Err(Close::Gone),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.more = false;
                return Ok(0);
            }
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                tracing::debug!(cid = self.peer.id, %error, "TLS handshake error");
                return Err(Close::TlsHandshake);
            }
            Err(_) => return Err(Close::Gone),
        };
        self.more = count == READ_BUFFER || self.peer.stream.is_secure();
        let now = Instant::now();
        self.liveness.heard(now);
        self.peer.last_activity.set(now);
        self.note_authentication();
        Ok(count)
    }

    /// Carries out what was kept of earlier input.
    fn process_partial(&mut self) -> Result<(), Close> {
        let joined = std::mem::take(&mut self.partial);
        let progress = self.process(&joined)?;
        if progress.used == 0 {
            self.partial = joined;
            self.partial.reserve(progress.missing);
            self.peer.keep_unfinished(self.partial.len());
        } else {
            self.keep(&joined[progress.used..], progress.missing);
        }
        Ok(())
    }

    /// Keeps an unfinished operation for later. An idle connection keeps no buffer.
    fn keep(&mut self, rest: &[u8], missing: usize) {
        self.partial.clear();
        if rest.is_empty() {
            self.partial = Vec::new();
        } else {
            // Short ones pass through the shared buffer with the next read.
            let more = if missing > READ_BUFFER { missing } else { 0 };
            self.partial.reserve_exact(rest.len() + more);
            self.partial.extend_from_slice(rest);
        }
        self.peer.keep_unfinished(rest.len());
    }

    /// Carries out all complete operations, up to a `CONNECT` that must wait for its password.
    fn process(&mut self, input: &[u8]) -> Result<Progress, Close> {
        let parser = self.hub.parser();
        let mut used = 0;
        while used < input.len()
            && self.peer.closing().is_none()
            && self.session.slow_check().is_none()
        {
            match self.parse(&parser, &input[used..])? {
                Step::Op(op, length) => {
                    self.step(op)?;
                    used += length;
                }
                Step::Incomplete(needed) => {
                    return Ok(Progress {
                        used,
                        missing: needed - (input.len() - used),
                    });
                }
            }
        }
        Ok(Progress { used, missing: 0 })
    }

    /// Strangers learn nothing about what is wrong with their bytes.
    fn parse<'a>(&self, parser: &Parser, input: &'a [u8]) -> Result<Step<'a>, Close> {
        parser.next(input).map_err(|error| match error {
            ProtocolError::ControlLine => error.into(),
            _ if !self.session.authenticated() => Close::Authorization,
            _ => error.into(),
        })
    }

    fn step(&mut self, op: Op<'_>) -> Result<(), Close> {
        let connecting = matches!(op, Op::Connect(_));
        self.session.handle(op)?;
        if connecting {
            self.note_greeting();
        }
        Ok(())
    }

    fn note_greeting(&mut self) {
        if self.session.authenticated() {
            self.liveness.authenticated();
            self.liveness.greeted(Instant::now());
        }
    }

    fn note_authentication(&mut self) {
        if self.session.authenticated() {
            self.liveness.authenticated();
        }
    }

    /// Leaves the hub at once, then gives the client a moment to take its last bytes.
    async fn finish(&self) {
        self.peer.keep_unfinished(0);
        self.hub.leave(&self.peer);
        let reason = self.peer.closing().unwrap_or(Close::Gone);
        tracing::debug!(cid = self.peer.id, addr = %self.peer.addr, %reason, "client connection closed");
        let peer = &self.peer;
        let last_bytes = async {
            peer.flush();
            while !peer.stream.is_handshaking()
                && peer.wants_write()
                && peer.stream.writable().await.is_ok()
            {
                peer.flush();
            }
        };
        if timeout(CLOSE_LINGER, last_bytes).await.is_err() {
            tracing::debug!(cid = peer.id, "the client did not take its last bytes");
        }
        peer.stream.say_goodbye();
    }
}

/// Random letters for nkey users to sign.
fn new_nonce() -> Box<str> {
    use base64::Engine as _;
    let bytes: [u8; NONCE_BYTES] = rand::random();
    let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    text.into_boxed_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_is_small() {
        fn size<T>(_: impl FnOnce(Rc<Hub>, Rc<Peer>) -> T) -> usize {
            size_of::<T>()
        }
        eprintln!(
            "{} {} {}",
            size(serve),
            size_of::<Peer>(),
            size_of::<Connection>()
        );
        assert!(size(serve) <= 768, "{}", size(serve));
        assert!(size_of::<Peer>() <= 640, "{}", size_of::<Peer>());
    }
}
