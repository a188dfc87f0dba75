//! The typed client of the bus. The protocol below it is our own, because a client library that gives up its connection, or
//! its task, over what another client put into a header or a subject leaves the daemon deaf ([decision 11]).
//!
//! [decision 11]: ../../../docs/decisions/0011-the-bus-client-is-our-own.md

mod address;
mod config;
mod handshake;
mod keeper;
mod parser;
mod session;
mod state;
mod subscription;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use config::BusConfig;
pub use subscription::{Answer, Anything, Delivery, Subscription};

use crate::limits::SUBJECT_BYTES;
use crate::permissions::inbox_prefix;
use crate::{BusError, Message};
use address::{Credentials, Pool};
use keeper::Target;
use state::Shared;

/// What the parser makes of a server's bytes in pieces of `step`, for [`crate::fuzzed`].
pub(crate) fn read_stream(bytes: &[u8], step: usize) -> Result<Vec<String>, ()> {
    let mut parser = parser::Parser::default();
    let mut read = Vec::new();
    for piece in bytes.chunks(step) {
        parser.buffer().extend_from_slice(piece);
        while let Some(op) = parser.next().map_err(drop)? {
            read.push(format!("{op:?}"));
        }
    }
    Ok(read)
}

/// What all inboxes begin with, for every client library.
const INBOX: &str = "_INBOX";
/// A server that is asked for an answer gives it within this time, or counts as away.
const FLUSH_LIMIT: Duration = Duration::from_secs(5);
/// A server that owes an answer for this long is said to be silent.
const SILENCE: Duration = Duration::from_millis(1_500);

/// A connection that never gives up. Cheap to clone; it is closed with its last clone and subscription.
#[derive(Clone)]
pub struct Bus {
    connection: Arc<Connection>,
    inboxes: Arc<str>,
}

/// What keeps a connection alive.
struct Connection {
    shared: Arc<Shared>,
    _stop: DropGuard,
}

impl Bus {
    /// Starts connecting and returns at once: components start in any order.
    /// `name` is what the server shows of this client. Errors only on an unusable address.
    pub async fn connect(config: &BusConfig, name: &str) -> Result<Self, BusError> {
        let pool = Pool::new(&config.servers)?;
        let user = match config.user.as_str() {
            "" => pool.user().map(str::to_owned),
            user => Some(user.to_owned()),
        };
        let inboxes = user.map_or_else(|| INBOX.to_owned(), |user| inbox_prefix(&user));
        let credentials = match config.user.as_str() {
            "" => Credentials::None,
            user => Credentials::User {
                user: user.to_owned(),
                password: config.password.clone(),
            },
        };
        let shared = Arc::new(Shared::new(pool.display()));
        let target = Target {
            pool,
            credentials,
            name: name.to_owned(),
        };
        let stop = CancellationToken::new();
        tokio::spawn(keeper::keep(target, Arc::clone(&shared), stop.clone()));
        let connection = Connection {
            shared,
            _stop: stop.drop_guard(),
        };
        Ok(Self {
            connection: Arc::new(connection),
            inboxes: inboxes.into(),
        })
    }

    fn shared(&self) -> &Shared {
        &self.connection.shared
    }

    /// Whether a server is connected now, with every subscription in force.
    pub fn is_connected(&self) -> bool {
        self.shared().is_connected()
    }

    /// Changes whenever the connection comes up (odd) or goes down (even); start value 0.
    pub fn connection_changes(&self) -> watch::Receiver<u64> {
        self.shared().generation.subscribe()
    }

    /// Waits until a server is connected, however long it takes.
    pub async fn wait_connected(&self) {
        let mut changes = self.connection_changes();
        // The sender lives as long as `self`.
        let _ = changes.wait_for(|n| !n.is_multiple_of(2)).await;
    }

    /// Whether messages can be sent and heard.
    ///
    /// # Errors
    /// What stands in the way: no connection and why, a server that does not answer, a subscription that it refused.
    pub fn health(&self) -> Result<(), BusError> {
        if !self.is_connected() {
            return Err(self.away());
        }
        if let Some(reason) = self.shared().refused() {
            return Err(BusError::Refused { reason });
        }
        let silent_for = self.shared().unanswered_for();
        if silent_for > SILENCE {
            return Err(BusError::Silent {
                servers: self.shared().servers.clone(),
                silent_for,
            });
        }
        Ok(())
    }

    /// The error that says the bus is away, and why.
    pub fn away(&self) -> BusError {
        BusError::Away {
            servers: self.shared().servers.clone(),
            reason: self.shared().reason(),
        }
    }

    /// Messages that were dropped since the start: unreadable ones, and what a slow reader left behind.
    pub fn dropped(&self) -> u64 {
        self.shared().passed_over.total()
    }

    /// Publishes on the message's own subject.
    pub async fn publish<M: Message>(&self, message: &M) -> Result<(), BusError> {
        self.publish_to(M::SUBJECT, message).await
    }

    /// Publishes any body on a given subject. Refused at once while the bus is
    /// away: nothing that must survive travels only on the bus.
    pub async fn publish_to<T: Serialize + ?Sized>(
        &self,
        subject: &str,
        body: &T,
    ) -> Result<(), BusError> {
        self.send(subject, None, &encode(subject, body)?).await
    }

    /// Publishes an empty payload with an optional reply inbox.
    pub async fn publish_empty(&self, subject: &str, reply: Option<&str>) -> Result<(), BusError> {
        self.send(subject, reply, b"").await
    }

    /// Publishes a body and names an inbox for answers.
    pub async fn publish_with_reply<T: Serialize>(
        &self,
        subject: &str,
        inbox: &str,
        body: &T,
    ) -> Result<(), BusError> {
        let payload = encode(subject, body)?;
        self.send(subject, Some(inbox), &payload).await
    }

    async fn send(
        &self,
        subject: &str,
        reply: Option<&str>,
        payload: &[u8],
    ) -> Result<(), BusError> {
        if !is_subject(subject) || !reply.is_none_or(is_subject) {
            return Err(publish_error(
                subject,
                "not a subject: empty, too long, or with blanks",
            ));
        }
        self.wait_for_space().await;
        if !self.is_connected() {
            return Err(self.away());
        }
        let most = self.shared().max_payload();
        if most != 0 && payload.len() > most {
            let reason = format!("{} bytes, and the server takes {most}", payload.len());
            return Err(publish_error(subject, &reason));
        }
        let size = payload.len();
        let line = match reply {
            Some(reply) => format!("PUB {subject} {reply} {size}\r\n"),
            None => format!("PUB {subject} {size}\r\n"),
        };
        if self.shared().write(line.as_bytes(), payload) {
            Ok(())
        } else {
            Err(self.away())
        }
    }

    async fn wait_for_space(&self) {
        loop {
            let drained = self.shared().drained.notified();
            if self.shared().has_space() {
                return;
            }
            drained.await;
        }
    }

    /// Subscribes to the message's own subject.
    pub async fn subscribe<M: Message>(&self) -> Result<Subscription<M>, BusError> {
        self.subscribe_to(M::SUBJECT).await
    }

    /// Subscribes to a given subject (wildcards allowed) with any body type. While connected, it is in force on return; while
    /// not, with the next connection.
    ///
    /// # Errors
    /// When the subject is none, or the server refuses it.
    pub async fn subscribe_to<M: DeserializeOwned>(
        &self,
        subject: &str,
    ) -> Result<Subscription<M>, BusError> {
        let subscription = self.begin_subscription(subject, None)?;
        self.confirm(subject).await?;
        Ok(subscription)
    }

    /// Subscribes as a member of a queue group.
    ///
    /// # Errors
    /// As for [`Bus::subscribe_to`].
    pub async fn queue_subscribe<M: Message>(
        &self,
        queue: &str,
    ) -> Result<Subscription<M>, BusError> {
        let subscription = self.begin_subscription(M::SUBJECT, Some(queue))?;
        self.confirm(M::SUBJECT).await?;
        Ok(subscription)
    }

    fn begin_subscription<M>(
        &self,
        subject: &str,
        queue: Option<&str>,
    ) -> Result<Subscription<M>, BusError> {
        if !is_subject(subject) || !queue.is_none_or(is_subject) {
            return Err(BusError::Subscribe {
                subject: subject.into(),
                reason: "not a subject: empty, too long, or with blanks".into(),
            });
        }
        let inbound = self.shared().subscribe(subject, queue);
        Ok(Subscription::new(inbound, Arc::clone(&self.connection)))
    }

    /// Waits until the server has seen a subscription, when one is connected.
    async fn confirm(&self, subject: &str) -> Result<(), BusError> {
        if !self.is_connected() || self.flush().await.is_err() {
            return Ok(());
        }
        match self.shared().refused_for(subject) {
            Some(reason) => Err(BusError::Subscribe {
                subject: subject.into(),
                reason,
            }),
            None => Ok(()),
        }
    }

    /// A fresh inbox subject.
    pub fn new_inbox(&self) -> String {
        format!("{}.{}", self.inboxes, crate::ids::hex32())
    }

    /// Sends a request and collects up to `count` answers within `timeout`,
    /// returning as soon as they are there, or nobody listens (the controller's synchronous
    /// request). Unreadable answers are skipped. `count` 0 sends nothing.
    pub async fn gather<Q: Serialize, A: DeserializeOwned>(
        &self,
        subject: &str,
        question: &Q,
        count: usize,
        timeout: Duration,
    ) -> Result<Vec<A>, BusError> {
        let mut answers = Vec::with_capacity(count.min(64));
        if count == 0 {
            return Ok(answers);
        }
        let inbox = self.new_inbox();
        let mut replies = self.begin_subscription::<A>(&inbox, None)?;
        self.publish_with_reply(subject, &inbox, question).await?;
        let deadline = tokio::time::Instant::now() + timeout;
        while answers.len() < count {
            match tokio::time::timeout_at(deadline, replies.next_answer()).await {
                Ok(Answer::Message(answer)) => answers.push(answer.body),
                Ok(Answer::Nobody) | Err(_) => break,
            }
        }
        Ok(answers)
    }

    /// Waits until everything published so far has reached the server.
    ///
    /// # Errors
    /// [`BusError::Away`] without a connection, or when the server does not answer within five seconds.
    pub async fn flush(&self) -> Result<(), BusError> {
        let answered = self.shared().ping().ok_or_else(|| self.away())?;
        match tokio::time::timeout(FLUSH_LIMIT, answered).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(self.away()),
        }
    }
}

/// Whether a subject can be put into a line of the protocol.
fn is_subject(subject: &str) -> bool {
    let broken = |b: u8| b <= b' ' || b == 0x7f;
    !subject.is_empty() && subject.len() <= SUBJECT_BYTES && !subject.bytes().any(broken)
}

fn encode<T: Serialize + ?Sized>(subject: &str, body: &T) -> Result<Vec<u8>, BusError> {
    serde_json::to_vec(body).map_err(|e| publish_error(subject, &e.to_string()))
}

fn publish_error(subject: &str, reason: &str) -> BusError {
    BusError::Publish {
        subject: subject.escape_debug().take(200).collect(),
        reason: reason.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_that_would_break_the_protocol_are_refused() {
        for good in [
            "a",
            "dea.0-abc.start",
            "_INBOX.x.>",
            &"x".repeat(SUBJECT_BYTES),
        ] {
            assert!(is_subject(good));
        }
        let long = "x".repeat(SUBJECT_BYTES + 1);
        for bad in ["", "a b", "a\r\nPUB dea.stop 2\r\n{}", "a\t", "a\0", &long] {
            assert!(!is_subject(bad), "{bad:?}");
        }
    }
}
