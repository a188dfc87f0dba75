//! What all handles of one client share: its subscriptions, what waits to be written, and how the connection is doing.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::parser::Message;
use crate::limits::{BACKLOG_BYTES, OUTBOX_BYTES};

/// What a message that waits for its reader costs beyond its payload.
const MESSAGE_OVERHEAD_BYTES: usize = 128;

/// Between two log lines of one kind, so that a flood on the bus is not a flood in the log.
const LOG_PAUSE: Duration = Duration::from_secs(1);

/// Shared by all handles, and by the task that keeps the connection.
pub(super) struct Shared {
    state: Mutex<State>,
    /// There is something to write.
    pub(super) written: Notify,
    /// There is space to write into.
    pub(super) drained: Notify,
    /// Odd while connected; changes with every coming and going.
    pub(super) generation: watch::Sender<u64>,
    pub(super) passed_over: Counter,
    pub(super) servers: String,
}

/// Everything behind the one lock, which is never held across an await.
pub(super) struct State {
    subscriptions: HashMap<u64, Entry>,
    last_sid: u64,
    /// `None` while there is no session.
    outbox: Option<BytesMut>,
    /// One for each PING that was sent and not answered.
    pings: VecDeque<(Instant, Option<oneshot::Sender<()>>)>,
    max_payload: usize,
    /// Subjects that the server did not let us subscribe to, with its words.
    refused: Vec<String>,
    /// Why there is no connection.
    reason: String,
}

struct Entry {
    subject: String,
    queue: Option<String>,
    sender: mpsc::UnboundedSender<Message>,
    waiting: Arc<AtomicUsize>,
}

/// Counts what was dropped, and says when it should be logged again.
#[derive(Default)]
pub(super) struct Counter {
    count: AtomicU64,
    logged: Mutex<Option<Instant>>,
}

impl Counter {
    /// Counts one; the number so far when it is time to log it.
    pub(super) fn add(&self) -> Option<u64> {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let due = logged.is_none_or(|at| at.elapsed() >= LOG_PAUSE);
        due.then(|| {
            *logged = Some(Instant::now());
            count
        })
    }

    pub(super) fn total(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

/// The receiving end of a subscription.
pub(super) struct Inbound {
    pub(super) sid: u64,
    pub(super) receiver: mpsc::UnboundedReceiver<Message>,
    waiting: Arc<AtomicUsize>,
}

impl Inbound {
    /// The next message, however long it takes: the sending end lives in [`Shared`] until [`Shared::unsubscribe`].
    pub(super) async fn next(&mut self) -> Message {
        match self.receiver.recv().await {
            Some(message) => {
                self.waiting.fetch_sub(cost(&message), Ordering::Relaxed);
                message
            }
            None => std::future::pending().await,
        }
    }
}

fn cost(message: &Message) -> usize {
    message.payload.len() + message.subject.len() + MESSAGE_OVERHEAD_BYTES
}

impl Shared {
    pub(super) fn new(servers: String) -> Self {
        Self {
            state: Mutex::new(State {
                subscriptions: HashMap::new(),
                last_sid: 0,
                outbox: None,
                pings: VecDeque::new(),
                max_payload: 0,
                refused: Vec::new(),
                reason: "no connection was tried yet".into(),
            }),
            written: Notify::new(),
            drained: Notify::new(),
            generation: watch::channel(0).0,
            passed_over: Counter::default(),
            servers,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change under the lock is complete before anything in it can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_connected(&self) -> bool {
        !self.generation.borrow().is_multiple_of(2)
    }

    /// Begins a session: what is written from now on goes to the server, beginning with all subscriptions and one PING, whose
    /// answer says that they are in force.
    pub(super) fn open(&self, max_payload: usize) -> oneshot::Receiver<()> {
        let (answered, ready) = oneshot::channel();
        let mut state = self.state();
        let mut outbox = BytesMut::new();
        for (sid, entry) in &state.subscriptions {
            put_subscription(&mut outbox, *sid, entry);
        }
        outbox.put_slice(b"PING\r\n");
        state.outbox = Some(outbox);
        state.max_payload = max_payload;
        state.pings = VecDeque::from([(Instant::now(), Some(answered))]);
        state.refused.clear();
        self.written.notify_one();
        ready
    }

    /// The session is in force: every subscription has reached the server.
    pub(super) fn connected(&self) {
        self.state().reason.clear();
        self.generation.send_modify(|n| *n = (*n + 1) | 1);
    }

    /// Ends a session, and forgets what was not written.
    pub(super) fn close(&self, reason: &str) {
        let mut state = self.state();
        state.outbox = None;
        state.pings.clear();
        reason.clone_into(&mut state.reason);
        drop(state);
        self.drained.notify_waiters();
        if self.is_connected() {
            self.generation.send_modify(|n| *n = (*n | 1) + 1);
        }
    }

    pub(super) fn reason(&self) -> String {
        self.state().reason.clone()
    }

    pub(super) fn max_payload(&self) -> usize {
        self.state().max_payload
    }

    /// Adds a subscription to this and all later sessions.
    pub(super) fn subscribe(&self, subject: &str, queue: Option<&str>) -> Inbound {
        let (sender, receiver) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let entry = Entry {
            subject: subject.to_owned(),
            queue: queue.map(str::to_owned),
            sender,
            waiting: Arc::clone(&waiting),
        };
        let mut state = self.state();
        state.last_sid += 1;
        let sid = state.last_sid;
        if let Some(outbox) = &mut state.outbox {
            put_subscription(outbox, sid, &entry);
        }
        state.subscriptions.insert(sid, entry);
        drop(state);
        self.written.notify_one();
        Inbound {
            sid,
            receiver,
            waiting,
        }
    }

    pub(super) fn unsubscribe(&self, sid: u64) {
        let mut state = self.state();
        state.subscriptions.remove(&sid);
        if let Some(outbox) = &mut state.outbox {
            outbox.put_slice(format!("UNSUB {sid}\r\n").as_bytes());
        }
        drop(state);
        self.written.notify_one();
    }

    /// Takes a line and its payload for writing; false while there is no session.
    pub(super) fn write(&self, line: &[u8], payload: &[u8]) -> bool {
        let mut state = self.state();
        let Some(outbox) = &mut state.outbox else {
            return false;
        };
        outbox.put_slice(line);
        outbox.put_slice(payload);
        outbox.put_slice(b"\r\n");
        drop(state);
        self.written.notify_one();
        true
    }

    pub(super) fn has_space(&self) -> bool {
        let state = self.state();
        state.outbox.as_ref().is_none_or(|o| o.len() < OUTBOX_BYTES)
    }

    /// What is to be written now.
    pub(super) fn take_outbox(&self) -> BytesMut {
        let taken = self.state().outbox.as_mut().map(BytesMut::split);
        self.drained.notify_waiters();
        taken.unwrap_or_default()
    }

    /// Sends a PING and notifies at its answer; `None` while there is no session.
    pub(super) fn ping(&self) -> Option<oneshot::Receiver<()>> {
        let (answered, wait) = oneshot::channel();
        self.send_ping(Some(answered)).then_some(wait)
    }

    /// Sends a PING unless one is under way.
    pub(super) fn ping_when_idle(&self) {
        if self.state().pings.is_empty() {
            self.send_ping(None);
        }
    }

    fn send_ping(&self, answered: Option<oneshot::Sender<()>>) -> bool {
        let mut state = self.state();
        let Some(outbox) = &mut state.outbox else {
            return false;
        };
        outbox.put_slice(b"PING\r\n");
        state.pings.push_back((Instant::now(), answered));
        drop(state);
        self.written.notify_one();
        true
    }

    pub(super) fn pong(&self) {
        let answered = self.state().pings.pop_front();
        if let Some((_, Some(answered))) = answered {
            // Whoever asked may have gone away.
            let _ = answered.send(());
        }
    }

    /// For how long the server has owed an answer.
    pub(super) fn unanswered_for(&self) -> Duration {
        let state = self.state();
        state
            .pings
            .front()
            .map_or(Duration::ZERO, |(sent, _)| sent.elapsed())
    }

    pub(super) fn refuse_subscription(&self, words: String) {
        let mut state = self.state();
        if !state.refused.contains(&words) {
            state.refused.push(words);
        }
    }

    /// The server's words on a subscription that it refused.
    pub(super) fn refused(&self) -> Option<String> {
        self.state().refused.first().cloned()
    }

    /// The same for one subject; it is quoted in them.
    pub(super) fn refused_for(&self, subject: &str) -> Option<String> {
        let quoted = format!("\"{subject}\"");
        let state = self.state();
        state.refused.iter().find(|w| w.contains(&quoted)).cloned()
    }

    /// Hands a message to its reader; why not, when it is dropped.
    pub(super) fn deliver(&self, message: Message) -> Result<(), &'static str> {
        let state = self.state();
        // One that was just unsubscribed is nobody's loss.
        let Some(entry) = state.subscriptions.get(&message.sid) else {
            return Ok(());
        };
        let cost = cost(&message);
        if entry.waiting.load(Ordering::Relaxed) + cost > BACKLOG_BYTES {
            return Err("its reader is too slow");
        }
        entry.waiting.fetch_add(cost, Ordering::Relaxed);
        entry.sender.send(message).map_err(|_| "its reader is gone")
    }
}

fn put_subscription(outbox: &mut BytesMut, sid: u64, entry: &Entry) {
    let line = match &entry.queue {
        Some(queue) => format!("SUB {} {queue} {sid}\r\n", entry.subject),
        None => format!("SUB {} {sid}\r\n", entry.subject),
    };
    outbox.put_slice(line.as_bytes());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bytes::Bytes;

    use super::*;

    fn message(sid: u64, payload: usize) -> Message {
        Message {
            sid,
            subject: "s".into(),
            reply: None,
            status: None,
            payload: Bytes::from(vec![b'x'; payload]),
        }
    }

    #[tokio::test]
    async fn a_reader_that_sleeps_loses_what_exceeds_its_backlog() {
        let shared = Shared::new("bus".into());
        let mut slow = shared.subscribe("s", None);
        let mut other = shared.subscribe("s", None);
        let piece = BACKLOG_BYTES / 4 - MESSAGE_OVERHEAD_BYTES - 1;
        for _ in 0..4 {
            shared.deliver(message(slow.sid, piece)).unwrap();
        }
        assert!(shared.deliver(message(slow.sid, 0)).is_err());
        shared.deliver(message(other.sid, piece)).unwrap();
        assert_eq!(other.next().await.payload.len(), piece);
        slow.next().await;
        shared.deliver(message(slow.sid, piece)).unwrap();
    }

    #[test]
    fn a_session_begins_with_all_subscriptions_and_a_ping() {
        let shared = Shared::new("bus".into());
        let kept = shared.subscribe("a.*", None);
        let dropped = shared.subscribe("b", Some("crew"));
        shared.unsubscribe(dropped.sid);
        assert!(!shared.write(b"PUB a 0\r\n", b""));
        let mut ready = shared.open(1);
        let begun = format!("SUB a.* {}\r\nPING\r\n", kept.sid);
        assert_eq!(shared.take_outbox(), begun.as_bytes());
        assert!(ready.try_recv().is_err() && !shared.is_connected());
        shared.pong();
        assert!(ready.try_recv().is_ok());
        shared.connected();
        assert!(shared.is_connected());
        shared.close("gone");
        assert!(!shared.is_connected());
        assert_eq!(shared.reason(), "gone");
        assert_eq!(*shared.generation.borrow(), 2);
        shared.close("still gone");
        assert_eq!(*shared.generation.borrow(), 2);
    }

    #[test]
    fn a_counter_logs_the_first_and_then_rarely() {
        let counter = Counter::default();
        assert_eq!(counter.add(), Some(1));
        assert!((0..100).all(|_| counter.add().is_none()));
        assert_eq!(counter.total(), 101);
    }
}
