//! Typed messages as they arrive.

use std::marker::PhantomData;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::parser::Message;
use super::state::Inbound;
use super::{Connection, INBOX};

/// How much of a reader's complaint is logged: it may quote what was sent.
const COMPLAINT_BYTES: usize = 200;

/// One received message.
#[derive(Debug)]
pub struct Delivery<M> {
    /// Subject it came on.
    pub subject: String,
    /// Inbox for an answer. A reply subject that is not an inbox is dropped: whoever answers there would publish, with its own
    /// permissions, wherever a stranger wants.
    pub reply: Option<String>,
    /// Body.
    pub body: M,
}

/// A stream of typed messages that ends only with its owner; unreadable ones are counted, logged and skipped.
pub struct Subscription<M> {
    inbound: Inbound,
    connection: Arc<Connection>,
    _body: PhantomData<fn() -> M>,
}

/// A body for subjects whose payload may be empty or is ignored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Anything;

impl<'de> Deserialize<'de> for Anything {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(d).map(|_| Anything)
    }
}

/// What came to an inbox.
#[derive(Debug)]
pub enum Answer<M> {
    /// An answer.
    Message(Delivery<M>),
    /// The server says that nobody listens on the subject of the request.
    Nobody,
}

impl<M> Subscription<M> {
    pub(super) fn new(inbound: Inbound, connection: Arc<Connection>) -> Self {
        Self {
            inbound,
            connection,
            _body: PhantomData,
        }
    }
}

impl<M> Drop for Subscription<M> {
    fn drop(&mut self) {
        self.connection.shared.unsubscribe(self.inbound.sid);
    }
}

impl<M: DeserializeOwned> Subscription<M> {
    /// The next readable message, however long it takes and however often the connection is made again meanwhile.
    pub async fn next(&mut self) -> Delivery<M> {
        loop {
            let raw = self.inbound.next().await;
            if let Some(delivery) = self.readable(raw) {
                return delivery;
            }
        }
    }

    /// The next readable answer to a request, or the server's word that there will be none. Only for inboxes: elsewhere anybody
    /// could say so.
    pub async fn next_answer(&mut self) -> Answer<M> {
        loop {
            let raw = self.inbound.next().await;
            if raw.status == Some(503) && raw.payload.is_empty() {
                return Answer::Nobody;
            }
            if let Some(delivery) = self.readable(raw) {
                return Answer::Message(delivery);
            }
        }
    }

    fn readable(&self, raw: Message) -> Option<Delivery<M>> {
        match decode(&raw.payload) {
            Ok(body) => Some(Delivery {
                reply: raw.reply.and_then(|reply| self.inbox(&raw.subject, reply)),
                subject: raw.subject,
                body,
            }),
            Err(error) => {
                self.dropped(&raw.subject, &shortened(error.to_string()));
                None
            }
        }
    }

    fn inbox(&self, subject: &str, reply: String) -> Option<String> {
        if is_inbox(&reply) {
            return Some(reply);
        }
        self.dropped(
            subject,
            "its reply subject is not an inbox; it gets no answer",
        );
        None
    }

    fn dropped(&self, subject: &str, why: &str) {
        if let Some(so_far) = self.connection.shared.passed_over.add() {
            tracing::warn!(subject, so_far, "unreadable bus message: {why}");
        }
    }
}

/// `_INBOX.` and literal tokens, as every client library makes them.
fn is_inbox(subject: &str) -> bool {
    let Some(rest) = subject
        .strip_prefix(INBOX)
        .and_then(|r| r.strip_prefix('.'))
    else {
        return false;
    };
    super::is_subject(subject)
        && rest
            .split('.')
            .all(|token| !matches!(token, "" | "*" | ">"))
}

/// Reads a body; zero bytes are `null` or `{}`, because Ruby clients send nothing where others send an empty object.
fn decode<M: DeserializeOwned>(payload: &[u8]) -> serde_json::Result<M> {
    match payload {
        b"" | b"null" => serde_json::from_slice(b"null").or_else(|_| serde_json::from_slice(b"{}")),
        body => serde_json::from_slice(body),
    }
}

fn shortened(mut text: String) -> String {
    let end = (0..=COMPLAINT_BYTES.min(text.len()))
        .rev()
        .find(|&at| text.is_char_boundary(at));
    text.truncate(end.unwrap_or(0));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_inboxes_are_answered() {
        for good in ["_INBOX.a", "_INBOX.user.x1", "_INBOX.2c4f"] {
            assert!(is_inbox(good), "{good}");
        }
        for bad in [
            "dea.stop",
            "_INBOX",
            "_INBOX.",
            "_INBOX..a",
            "_INBOX.>",
            "_INBOX.*.a",
            "_INBOXES.a",
            "_INBOX.a b",
            "",
        ] {
            assert!(!is_inbox(bad), "{bad}");
        }
    }

    #[test]
    fn complaints_are_short() {
        let long = shortened("é".repeat(10_000));
        assert!(long.len() <= COMPLAINT_BYTES && !long.is_empty());
    }

    #[test]
    fn json_nested_too_deep_is_an_error_and_no_more() {
        let deep = "[".repeat(1 << 20);
        assert!(decode::<serde_json::Value>(deep.as_bytes()).is_err());
        assert!(decode::<Anything>(deep.as_bytes()).is_err());
        assert!(decode::<Anything>(b"").is_ok() && decode::<Anything>(b"{}").is_ok());
    }
}
