//! The task of one connection: reads, feeds the session, flushes whoever got something.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use tokio::time::{sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::hub::Hub;
use crate::info;
use crate::limits::{CLOSE_LINGER, THROTTLE_PAUSE};
use crate::liveness::{Due, Liveness};
use crate::peer::{Close, Peer};
use crate::protocol::{Op, Parser, Step};
use crate::session::Session;

/// Serves one client until it goes, misbehaves or the server stops.
pub(crate) async fn serve(
    hub: Rc<Hub>,
    peer: Rc<Peer>,
    listen: SocketAddr,
    stop: CancellationToken,
) {
    tracing::debug!(cid = peer.id, addr = %peer.addr, "client connected");
    let mut connection = Connection {
        session: Session::new(hub.clone(), peer.clone()),
        liveness: Liveness::new(&hub.limits, hub.auth.required(), Instant::now()),
        parser: hub.parser(),
        partial: BytesMut::new(),
        hub,
        peer,
    };
    let hello = info::line(&connection.hub, listen, &connection.peer);
    connection.peer.append(|out| out.extend_from_slice(&hello));
    connection.peer.flush();
    connection.run(&stop).await;
    connection.finish().await;
}

struct Connection {
    hub: Rc<Hub>,
    peer: Rc<Peer>,
    session: Session,
    liveness: Liveness,
    parser: Parser,
    /// The start of an operation whose end has not arrived.
    partial: BytesMut,
}

/// What became of a piece of input: bytes carried out, and bytes the unfinished rest still needs.
struct Progress {
    used: usize,
    missing: usize,
}

impl Connection {
    async fn run(&mut self, stop: &CancellationToken) {
        let peer = self.peer.clone();
        while peer.closing().is_none() {
            tokio::select! {
                _ = peer.stream.readable() => self.read_batch().await,
                _ = peer.stream.writable(), if peer.pending() > 0 => peer.flush(),
                () = peer.wake.notified() => {}
                () = sleep_until(self.next_deadline().into()) => self.tick(Instant::now()),
                () = stop.cancelled() => peer.close(Close::Shutdown),
            }
        }
    }

    fn write_patience(&self) -> Duration {
        Duration::from_secs_f64(self.hub.limits.write_deadline)
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
                self.peer.append(|out| out.extend_from_slice(b"PING\r\n"));
                self.peer.flush();
            }
            Due::Stale => self.peer.close(Close::Stale),
            Due::AuthTimeout => self.peer.close(Close::AuthTimeout),
        }
    }

    /// One read, all operations in it, one flush per destination; then the others get their turn.
    async fn read_batch(&mut self) {
        if let Err(reason) = self.read_once() {
            self.peer.close(reason);
            self.hub.mark_dirty(&self.peer);
        }
        if let Some(behind) = self.hub.flush_dirty() {
            // The result does not matter: drained or not, the pause is over.
            let _ = timeout(THROTTLE_PAUSE, behind.drained.notified()).await;
        }
        tokio::task::yield_now().await;
    }

    fn read_once(&mut self) -> Result<(), Close> {
        let hub = self.hub.clone();
        let mut scratch = hub.scratch.borrow_mut();
        let count = match self.peer.stream.try_read(&mut scratch) {
            Ok(0) => return Err(Close::Gone),
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
            Err(_) => return Err(Close::Gone),
        };
        self.liveness.heard(Instant::now());
        if self.partial.is_empty() {
            let progress = self.process(&scratch[..count])?;
            self.partial.reserve(progress.missing);
            self.partial
                .extend_from_slice(&scratch[progress.used..count]);
        } else {
            self.partial.extend_from_slice(&scratch[..count]);
            let mut joined = std::mem::take(&mut self.partial);
            let progress = self.process(&joined)?;
            joined.advance(progress.used);
            joined.reserve(progress.missing);
            // An idle connection keeps no buffer.
            self.partial = if joined.is_empty() && progress.missing == 0 {
                BytesMut::new()
            } else {
                joined
            };
        }
        Ok(())
    }

    /// Carries out all complete operations.
    fn process(&mut self, input: &[u8]) -> Result<Progress, Close> {
        let mut used = 0;
        while used < input.len() && self.peer.closing().is_none() {
            match self.parser.next(&input[used..])? {
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

    fn step(&mut self, op: Op<'_>) -> Result<(), Close> {
        let connecting = matches!(op, Op::Connect(_));
        self.session.handle(op)?;
        if connecting && self.session.authenticated() {
            self.liveness.authenticated();
        }
        Ok(())
    }

    /// Leaves the hub at once, then gives the client a moment to take its last bytes.
    async fn finish(self) {
        self.hub.leave(&self.peer);
        let reason = self.peer.closing().unwrap_or(Close::Gone);
        tracing::debug!(cid = self.peer.id, addr = %self.peer.addr, %reason, "client connection closed");
        let last_bytes = async {
            while self.peer.pending() > 0 && self.peer.stream.writable().await.is_ok() {
                self.peer.flush();
            }
        };
        if timeout(CLOSE_LINGER, last_bytes).await.is_err() {
            tracing::debug!(cid = self.peer.id, "the client did not take its last bytes");
        }
    }
}
