//! One connected client as the others see it: an out-buffer, its socket, its subscriptions.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::auth::{Identity, Replies};
use crate::buffers::Buffers;
use crate::close::Close;
use crate::config::Responses;
use crate::limits::{NO_PROGRESS, THROTTLE_MARK};
use crate::outbox::Outbox;
use crate::protocol::append_err;
use crate::subscription::BySid;
use crate::transport::Transport;

/// Message and byte counters in the client's direction names.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) in_msgs: Cell<u64>,
    pub(crate) in_bytes: Cell<u64>,
    pub(crate) out_msgs: Cell<u64>,
    pub(crate) out_bytes: Cell<u64>,
}

/// Adds one message of `bytes` to a pair of counters.
pub(crate) fn count(messages: &Cell<u64>, total: &Cell<u64>, bytes: usize) {
    messages.set(messages.get() + 1);
    total.set(total.get() + bytes as u64);
}

pub(crate) struct Peer {
    pub(crate) id: u64,
    pub(crate) addr: SocketAddr,
    pub(crate) stream: Transport,
    pub(crate) since: Instant,
    pub(crate) last_activity: Cell<Instant>,
    pub(crate) subscriptions: RefCell<HashSet<BySid>>,
    pub(crate) counters: Counters,
    /// What the client said about itself.
    pub(crate) client: RefCell<ClientFacts>,
    /// Who the client is; absent until it has authenticated.
    identity: RefCell<Option<Rc<Identity>>>,
    /// Where the client may answer; only used with `allow_responses`.
    replies: RefCell<Option<Box<Replies>>>,
    /// The client understands `HMSG`.
    pub(crate) headers: Cell<bool>,
    /// The client wants its own messages.
    pub(crate) echo: Cell<bool>,
    /// Already on the hub's list of peers to flush.
    pub(crate) dirty: Cell<bool>,
    /// Wakes the connection's task: it is blocked now, or closing.
    waker: RefCell<Option<Waker>>,
    /// Wakes publishers that wait for this peer to drain.
    pub(crate) drained: Notify,
    /// When the ping was sent whose answer is awaited.
    pub(crate) pinged: Cell<Option<Instant>>,
    /// How long the answer to the last ping took.
    pub(crate) rtt: Cell<Option<Duration>>,
    buffers: Rc<Buffers>,
    out: RefCell<Outbox>,
    /// Bytes of an operation that is not all there.
    unfinished: Cell<usize>,
    blocked: Cell<Option<Blocked>>,
    closing: Cell<Option<Close>>,
}

/// What a client says about itself in `CONNECT`, for the monitoring pages.
#[derive(Default)]
pub(crate) struct ClientFacts {
    pub(crate) name: Box<str>,
    pub(crate) lang: Box<str>,
    pub(crate) version: Box<str>,
    /// The client takes `INFO` at any time.
    pub(crate) takes_info: bool,
}

/// Since when the socket takes nothing more, and when it last took something.
#[derive(Clone, Copy)]
struct Blocked {
    last_progress: Instant,
}

impl Peer {
    pub(crate) fn new(
        id: u64,
        addr: SocketAddr,
        stream: Transport,
        buffers: Rc<Buffers>,
        now: Instant,
    ) -> Self {
        Self {
            id,
            addr,
            stream,
            since: now,
            last_activity: Cell::new(now),
            subscriptions: RefCell::default(),
            counters: Counters::default(),
            client: RefCell::default(),
            identity: RefCell::default(),
            replies: RefCell::default(),
            headers: Cell::new(false),
            echo: Cell::new(true),
            dirty: Cell::new(false),
            waker: RefCell::default(),
            drained: Notify::new(),
            pinged: Cell::new(None),
            rtt: Cell::new(None),
            buffers,
            out: RefCell::default(),
            unfinished: Cell::new(0),
            blocked: Cell::new(None),
            closing: Cell::new(None),
        }
    }

    /// Appends whole frames; returns the bytes now pending.
    pub(crate) fn append(&self, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        let mut out = self.out.borrow_mut();
        if self.closing.get().is_none() {
            out.append(&self.buffers, write);
        }
        out.pending()
    }

    /// Notes how many bytes of an unfinished operation the connection keeps.
    pub(crate) fn keep_unfinished(&self, bytes: usize) {
        // Whoever is being closed has been written off.
        let bytes = if self.closing.get().is_none() {
            bytes
        } else {
            0
        };
        self.buffers.note(self.unfinished.replace(bytes), bytes);
    }

    /// Bytes this connection holds in buffers: unfinished input and unsent output.
    pub(crate) fn held(&self) -> usize {
        self.unfinished.get() + self.pending()
    }

    /// Cuts off the connection that holds most while all of them hold too much.
    pub(crate) fn give_up_memory(&self) {
        let reason = match self.pending() >= self.unfinished.get() {
            true => Close::SlowConsumer,
            false => Close::Memory,
        };
        self.close(reason);
        self.keep_unfinished(0);
    }

    pub(crate) fn pending(&self) -> usize {
        self.out.borrow().pending()
    }

    /// The client in the words of the original's log: address, id, and what it said of itself.
    pub(crate) fn described(&self) -> String {
        let client = self.client.borrow();
        let parts: Vec<&str> = [&*client.lang, &*client.name]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        let mut text = format!("{} - cid:{}", self.addr, self.id);
        if !client.version.is_empty() || !parts.is_empty() {
            let said = std::iter::once(format!("v{}", client.version))
                .chain(parts.iter().map(ToString::to_string));
            let said: Vec<String> = said.collect();
            text.push_str(&format!(" - {:?}", said.join(":")));
        }
        text
    }

    pub(crate) fn closing(&self) -> Option<Close> {
        self.closing.get()
    }

    /// Marks the connection for closing, with an `-ERR` line where the client can still read one.
    pub(crate) fn close(&self, reason: Close) {
        if self.closing.get().is_some() {
            return;
        }
        let mut out = self.out.borrow_mut();
        let gives_up = matches!(reason, Close::SlowConsumer | Close::Memory);
        if gives_up {
            out.discard(&self.buffers);
        }
        if let Some(text) = reason.said() {
            out.append(&self.buffers, |out| append_err(out, &text));
        }
        self.closing.set(Some(reason));
        self.wake();
    }

    /// The connection's task waits: this wakes it.
    pub(crate) fn wake_with(&self, waker: &Waker) {
        let mut kept = self.waker.borrow_mut();
        if !kept.as_ref().is_some_and(|kept| kept.will_wake(waker)) {
            *kept = Some(waker.clone());
        }
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    pub(crate) fn identity(&self) -> Option<Rc<Identity>> {
        self.identity.borrow().clone()
    }

    /// The client is now known as this user.
    pub(crate) fn identify(&self, identity: Option<Rc<Identity>>) {
        *self.identity.borrow_mut() = identity;
    }

    /// False for a message that a wildcard of this client matches but its user must not hear.
    pub(crate) fn may_hear(&self, subject: &[u8], queue: Option<&[u8]>) -> bool {
        let identity = self.identity.borrow();
        identity
            .as_ref()
            .is_some_and(|identity| identity.permissions.may_hear(subject, queue))
    }

    /// Notes that a request was delivered which the client may answer.
    pub(crate) fn invite(&self, reply: &[u8]) {
        let identity = self.identity.borrow();
        let rule = identity
            .as_ref()
            .and_then(|user| user.permissions.responses());
        if let Some(rule) = rule {
            let mut replies = self.replies.borrow_mut();
            let replies = replies.get_or_insert_default();
            replies.invite(reply, rule, Instant::now());
        }
    }

    /// True when the client may answer on this subject once more.
    pub(crate) fn may_answer(&self, subject: &[u8], rule: &Responses) -> bool {
        let mut replies = self.replies.borrow_mut();
        let known = replies.as_deref_mut();
        known.is_some_and(|replies| replies.may_answer(subject, rule, Instant::now()))
    }

    /// True while anything at all waits for the socket.
    pub(crate) fn wants_write(&self) -> bool {
        self.pending() > 0 || self.stream.wants_write()
    }

    /// Sends what the socket takes without waiting.
    pub(crate) fn flush(&self) {
        let mut out = self.out.borrow_mut();
        if out.pending() == 0 && self.stream.push_pending().is_err() {
            return drop_pending(&mut out, self);
        }
        while out.pending() > 0 {
            match self.stream.try_write(out.unsent()) {
                Ok(0) => return drop_pending(&mut out, self),
                Ok(taken) => {
                    out.advance(&self.buffers, taken);
                    self.blocked.set(None);
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    return self.note_blocked();
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => return drop_pending(&mut out, self),
            }
            if out.pending() < THROTTLE_MARK / 2 {
                self.drained.notify_waiters();
            }
        }
    }

    fn note_blocked(&self) {
        if self.blocked.get().is_none() {
            self.blocked.set(Some(Blocked {
                last_progress: Instant::now(),
            }));
            self.wake();
        }
    }

    /// True while the socket takes nothing more.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.get().is_some()
    }

    /// When the write deadline strikes, while the socket refuses bytes.
    pub(crate) fn write_deadline(&self, allowed: Duration) -> Option<Instant> {
        self.blocked
            .get()
            .map(|blocked| blocked.last_progress + allowed)
    }

    /// True when publishers should pause for this peer: far behind, yet still making progress.
    pub(crate) fn worth_waiting_for(&self) -> bool {
        let recent = |blocked: Blocked| blocked.last_progress.elapsed() < NO_PROGRESS;
        self.closing.get().is_none()
            && self.pending() > THROTTLE_MARK
            && self.blocked.get().is_some_and(recent)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.buffers.note(self.held(), 0);
    }
}

fn drop_pending(out: &mut Outbox, peer: &Peer) {
    out.discard(&peer.buffers);
    if peer.closing.get().is_none() {
        peer.closing.set(Some(Close::Gone));
    }
    peer.wake();
    peer.drained.notify_waiters();
}
