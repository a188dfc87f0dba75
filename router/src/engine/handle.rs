//! The data path as the rest of the router sees it.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use component::Tasks;
use mio::net::UnixStream;
use mio::{Poll, Waker};

use super::accept::{Door, Place, Places};
use super::reactor::{Kind, Reactor};
use super::shared::Shared;
use crate::rewrite::Peer;

/// What a thread of the data path is asked to do.
pub(super) enum Command {
    /// Close idle connections to these endpoints.
    Forget(Vec<u64>),
    /// Serve this connection too: a TLS listener's.
    Join(UnixStream, Peer, Option<Place>),
    /// Take nothing new and be done by then.
    Stop(Instant),
}

struct Hand {
    commands: Mutex<Sender<Command>>,
    waker: Waker,
}

impl Hand {
    fn tell(&self, command: Command) {
        let commands = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        // A thread that has ended needs nothing any more.
        let _ = commands.send(command);
        let _ = self.waker.wake();
    }
}

/// All threads of the data path.
#[derive(Clone)]
pub(crate) struct Engine {
    hands: Arc<[Hand]>,
}

/// A listening socket, its address, and the host it stands for.
pub(crate) type Listening = (TcpListener, Option<Arc<str>>);

impl Engine {
    /// Starts `threads` threads, all of which accept from all listeners. One that ends before the router drains fails the
    /// daemon: a router with fewer threads would be slow and look healthy.
    ///
    /// # Errors
    /// When the system gives no descriptors or threads.
    pub(crate) fn start(
        listeners: &[Listening],
        places: &Places,
        shared: &Arc<Shared>,
        threads: usize,
        tasks: &Tasks,
    ) -> io::Result<(Self, Vec<JoinHandle<()>>)> {
        let mut hands = Vec::new();
        let mut running = Vec::new();
        for at in 0..threads {
            let poll = Poll::new()?;
            let waker = Waker::new(poll.registry(), Kind::Handle.token())?;
            let (commands, obeyed) = channel();
            let doors = listeners.iter().map(|(socket, host)| {
                let socket = socket.try_clone()?;
                Door::new(socket, host.clone())
            });
            let doors = doors.collect::<io::Result<Vec<_>>>()?;
            let reactor = Reactor::new(poll, doors, places.clone(), shared.clone(), obeyed)?;
            let thread = std::thread::Builder::new().name(format!("router-{at}"));
            let (shared, tasks) = (shared.clone(), tasks.clone());
            running.push(thread.spawn(move || watched(reactor, &shared, &tasks))?);
            hands.push(Hand {
                commands: Mutex::new(commands),
                waker,
            });
        }
        let hands = hands.into();
        Ok((Self { hands }, running))
    }

    /// Closes idle connections to endpoints that are gone.
    pub(crate) fn forget(&self, serials: &[u64]) {
        if !serials.is_empty() {
            for hand in self.hands.iter() {
                hand.tell(Command::Forget(serials.to_vec()));
            }
        }
    }

    /// Hands a connection over; the same address always goes to the same thread.
    pub(crate) fn join(&self, stream: UnixStream, peer: Peer, place: Option<Place>) {
        let at = match peer.addr {
            SocketAddr::V4(addr) => usize::from(addr.port()),
            SocketAddr::V6(addr) => usize::from(addr.port()),
        };
        self.hands[at % self.hands.len()].tell(Command::Join(stream, peer, place));
    }

    /// Lets open requests finish until then, and takes nothing new.
    pub(crate) fn stop(&self, by: Instant) {
        for hand in self.hands.iter() {
            hand.tell(Command::Stop(by));
        }
    }
}

fn watched(reactor: Reactor, shared: &Shared, tasks: &Tasks) {
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    let outcome = catch_unwind(AssertUnwindSafe(|| reactor.run()));
    let how = match outcome {
        Ok(Ok(())) if shared.draining.load(Ordering::Relaxed) => return,
        Ok(Ok(())) => "ended".into(),
        Ok(Err(error)) => format!("cannot wait for its sockets: {error}"),
        Err(_) => "panicked; its log line says where".into(),
    };
    tasks.fail(format!("the thread \"{name}\" of the data path {how}"));
}
