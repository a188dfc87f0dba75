//! The loop: waits for ready sockets, and carries each as far as it goes.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use super::accept::{Door, Places};
use super::client::{Client, Phase};
use super::exchange::Exchange;
use super::handle::Command;
use super::outcomes::Gone;
use super::patience::LOOK;
use super::shared::Shared;
use super::slots::{Key, Slots};
use super::upstream::Upstreams;
use super::wire::Stream;
use crate::access_log::Lines;

/// Bytes read at once.
const ROOM: usize = 64 * 1024;
/// Events taken at once.
const EVENTS: usize = 1024;
/// Steps a connection may take before the others have their turn.
const STEPS: usize = 16;
/// Exchanges kept for the next requests.
const SPARE: usize = 64;

/// What an event is about.
pub(super) enum Kind {
    Client(Key),
    Upstream(Key),
    Door(usize),
    Handle,
}

impl Kind {
    /// Two bits for the kind, the rest for the key.
    pub(super) fn token(&self) -> Token {
        Token(match self {
            Self::Client(key) => key.number(),
            Self::Upstream(key) => 1 << 62 | key.number(),
            Self::Door(at) => 2 << 62 | at,
            Self::Handle => 3 << 62,
        })
    }

    fn of(token: Token) -> Self {
        let number = token.0 & !(3 << 62);
        match token.0 >> 62 {
            0 => Self::Client(Key::from_number(number)),
            1 => Self::Upstream(Key::from_number(number)),
            2 => Self::Door(number),
            _ => Self::Handle,
        }
    }
}

/// One thread of the data path. Owns its connections; shares only what [`Shared`] holds.
pub(super) struct Reactor {
    pub(super) poll: Poll,
    pub(super) doors: Vec<Door>,
    pub(super) places: Places,
    pub(super) shared: Arc<Shared>,
    pub(super) clients: Slots<Box<Client>>,
    pub(super) upstreams: Upstreams,
    pub(super) lines: Lines,
    /// One reading of the clock per turn.
    pub(super) now: Instant,
    /// Where bytes are read into; one for all connections, so that idle ones need none.
    pub(super) room: Vec<u8>,
    /// Where heads are written.
    pub(super) out: Vec<u8>,
    commands: Receiver<Command>,
    work: VecDeque<Key>,
    // Boxed, as they stand in a phase: moved around without being copied.
    #[allow(clippy::vec_box)]
    spare: Vec<Box<Exchange>>,
    /// Takes nothing new, and ends here at the latest.
    stop_by: Option<Instant>,
}

impl Reactor {
    pub(super) fn new(
        poll: Poll,
        mut doors: Vec<Door>,
        places: Places,
        shared: Arc<Shared>,
        commands: Receiver<Command>,
    ) -> io::Result<Self> {
        for (at, door) in doors.iter_mut().enumerate() {
            let token = Kind::Door(at).token();
            poll.registry()
                .register(&mut door.socket, token, Interest::READABLE)?;
        }
        let times = shared.times;
        Ok(Self {
            poll,
            doors,
            places,
            lines: shared.log.lines(),
            upstreams: Upstreams::new(times.keep_alive, shared.max_idle_per_endpoint),
            shared,
            clients: Slots::new(),
            now: Instant::now(),
            room: vec![0; ROOM],
            out: Vec::new(),
            commands,
            work: VecDeque::new(),
            spare: Vec::new(),
            stop_by: None,
        })
    }

    /// Serves until it was told to stop and everything has ended, or the time for that is up.
    ///
    /// # Errors
    /// When the kernel does not let it wait for its sockets.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        let mut swept = Instant::now();
        while !self.is_over() {
            if let Err(error) = self.poll.poll(&mut events, self.patience())
                && error.kind() != io::ErrorKind::Interrupted
            {
                self.lines.ship();
                return Err(error);
            }
            self.now = Instant::now();
            events.iter().for_each(|event| self.note(event));
            self.turn();
            if self.now.duration_since(swept) >= LOOK {
                swept = self.now;
                self.sweep();
            }
            self.lines.tick(self.now);
        }
        self.lines.ship();
        Ok(())
    }

    /// How long to wait for events.
    fn patience(&self) -> Option<Duration> {
        if !self.work.is_empty() {
            return Some(Duration::ZERO);
        }
        let resting = self.doors.iter().any(|door| door.ready);
        let quiet = self.clients.len() == 0 && self.upstreams.is_empty();
        let nothing_due = quiet && !resting && self.lines.is_empty() && self.stop_by.is_none();
        (!nothing_due).then_some(LOOK)
    }

    fn note(&mut self, event: &mio::event::Event) {
        match Kind::of(event.token()) {
            Kind::Client(key) => {
                if let Some(client) = self.clients.get_mut(key) {
                    client.wire.note(event);
                    self.queue(key);
                }
            }
            Kind::Upstream(key) => {
                let client = self.upstreams.owner(key);
                let client = client.and_then(|key| self.clients.get_mut(key));
                if let Some(client) = client
                    && let Some(upstream) = &mut client.upstream
                {
                    upstream.wire.note(event);
                    let key = client.key;
                    self.queue(key);
                }
            }
            Kind::Door(at) => {
                if let Some(door) = self.doors.get_mut(at) {
                    door.ready = true;
                }
            }
            Kind::Handle => self.obey(),
        }
    }

    /// Serves everybody who has something, once.
    fn turn(&mut self) {
        for at in 0..self.doors.len() {
            if self.doors[at].is_open(self.now) {
                self.accept(at);
            }
        }
        for _ in 0..self.work.len() {
            if let Some(key) = self.work.pop_front() {
                self.serve(key);
            }
        }
    }

    /// Puts a connection on the list of this turn.
    pub(super) fn queue(&mut self, key: Key) {
        if let Some(client) = self.clients.get_mut(key)
            && !std::mem::replace(&mut client.queued, true)
        {
            self.work.push_back(key);
        }
    }

    fn serve(&mut self, key: Key) {
        let Some(mut client) = self.clients.take(key) else {
            return;
        };
        client.queued = false;
        match self.guarded(|reactor| reactor.steps(&mut client)) {
            Ok(more) => {
                self.clients.put(key, client);
                if more {
                    self.queue(key);
                }
            }
            Err(Gone) => self.bury(client),
        }
    }

    /// A defect met while serving one connection ends that one, not the others of this thread.
    fn guarded<T>(&mut self, serve: impl FnOnce(&mut Self) -> Result<T, Gone>) -> Result<T, Gone> {
        catch_unwind(AssertUnwindSafe(|| serve(self))).unwrap_or_else(|_| {
            // Whoever panicked may have held it.
            self.room.resize(ROOM, 0);
            tracing::error!("serving a connection met a defect; it is closed, the others go on");
            Err(Gone)
        })
    }

    /// Moves whatever can be moved; true if there may be more.
    fn steps(&mut self, client: &mut Client) -> Result<bool, Gone> {
        for _ in 0..STEPS {
            let mut moved = flush(client)?;
            moved |= self.take_request(client)?;
            moved |= self.take_answer(client)?;
            if !moved {
                return Ok(false);
            }
            client.touched = self.now;
        }
        Ok(true)
    }

    /// Does what the rest of the router asks for.
    fn obey(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Forget(serials) => {
                    serials
                        .iter()
                        .for_each(|serial| self.upstreams.forget(*serial));
                }
                Command::Join(stream, peer, place) => {
                    self.welcome(Stream::Unix(stream), peer, None, place);
                }
                Command::Stop(by) => self.stop(by),
            }
        }
    }

    fn stop(&mut self, by: Instant) {
        self.stop_by = Some(by);
        self.doors.clear();
        let waiting =
            |client: &Client| matches!(client.phase, Phase::Waiting) && client.input.is_empty();
        let idle: Vec<Key> = self
            .clients
            .iter()
            .filter(|(_, client)| waiting(client))
            .map(|(key, _)| key)
            .collect();
        for key in idle {
            // A request may have arrived already; it is still served.
            self.serve(key);
            if let Some(client) = self.clients.get_mut(key)
                && waiting(client)
                && let Some(client) = self.clients.take(key)
            {
                self.bury(client);
            }
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop_by.is_some()
    }

    fn is_over(&self) -> bool {
        let Some(by) = self.stop_by else { return false };
        let open = self.clients.len();
        if open > 0 && Instant::now() >= by {
            tracing::warn!(open, "open connections did not end in time and are dropped");
            return true;
        }
        open == 0
    }

    /// Room for an exchange.
    pub(super) fn spare(&mut self) -> Box<Exchange> {
        self.spare.pop().unwrap_or_default()
    }

    /// Keeps it for the next request.
    pub(super) fn keep_spare(&mut self, mut exchange: Box<Exchange>) {
        exchange.reset();
        if self.spare.len() < SPARE {
            self.spare.push(exchange);
        }
    }
}

/// Writes what waits, on both sides.
fn flush(client: &mut Client) -> Result<bool, Gone> {
    let mut moved = client.wire.flush().map_err(|_| Gone)?;
    if let Some(upstream) = &mut client.upstream
        && !upstream.connecting
    {
        match upstream.wire.flush() {
            Ok(more) => moved |= more,
            // It may have answered before it hung up.
            Err(_) => {
                upstream.deaf = true;
                upstream.wire.forget_pending();
            }
        }
    }
    Ok(moved)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::access_log::AccessLog;
    use crate::config::Config;

    #[test]
    fn a_defect_ends_one_connection_and_leaves_the_thread_fit_for_the_others() {
        let config = Config::default();
        let (log, _) = AccessLog::open(&[]).unwrap();
        let shared = Arc::new(crate::daemon::shared(&config, log));
        let (_told, commands) = std::sync::mpsc::channel();
        let places = Places::new(&config);
        let poll = Poll::new().unwrap();
        let mut reactor = Reactor::new(poll, Vec::new(), places, shared, commands).unwrap();
        let served = reactor.guarded(|reactor| -> Result<(), Gone> {
            let _lost = std::mem::take(&mut reactor.room);
            panic!("a defect");
        });
        assert_eq!((served, reactor.room.len()), (Err(Gone), ROOM));
    }
}
