//! What can go wrong on the bus.

use std::time::Duration;

/// A failed bus operation.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// No server of the list can be reached now; the client keeps trying.
    #[error("the message bus is away (servers: {servers}); reconnecting")]
    Away {
        /// The configured servers without credentials.
        servers: String,
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
