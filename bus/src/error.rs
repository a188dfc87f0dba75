//! What can go wrong on the bus.

use std::time::Duration;

/// A failed bus operation.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// No server of the list can be reached now; the client keeps trying.
    #[error("the message bus is away (servers: {servers}): {reason}; reconnecting")]
    Away {
        /// The configured servers without credentials.
        servers: String,
        /// Why the last attempt or connection ended.
        reason: String,
    },
    /// A server is connected and does not answer.
    #[error("the message bus has not answered for {silent_for:.1?} (servers: {servers})")]
    Silent {
        /// The configured servers without credentials.
        servers: String,
        /// How long.
        silent_for: Duration,
    },
    /// The server does not let this user hear what the daemon has to hear.
    #[error(
        "the message bus refused a subscription: {reason}; check what its user may subscribe to"
    )]
    Refused {
        /// The server's words.
        reason: String,
    },
    /// The configured URL is unusable.
    #[error("bad bus address {url}: {reason}")]
    BadAddress {
        /// The URL without credentials.
        url: String,
        /// Why.
        reason: String,
    },
    /// The subject or payload was refused before sending.
    #[error("publish on {subject}: {reason}")]
    Publish {
        /// Subject.
        subject: String,
        /// Why.
        reason: String,
    },
    /// A subscription could not be made.
    #[error("subscribe to {subject}: {reason}")]
    Subscribe {
        /// Subject.
        subject: String,
        /// Why.
        reason: String,
    },
    /// Nobody answered in time.
    #[error("no answer on {subject} within {waited:?}")]
    NoAnswer {
        /// Subject.
        subject: String,
        /// Time waited.
        waited: Duration,
    },
    /// An answer that is not what the subject promises.
    #[error("unreadable answer on {subject}: {reason}")]
    BadAnswer {
        /// Subject.
        subject: String,
        /// Why.
        reason: String,
    },
}
