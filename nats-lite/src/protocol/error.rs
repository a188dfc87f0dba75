//! What a client can do wrong on the wire.

use thiserror::Error;

/// A violation that ends the connection. The text is what `-ERR` carries, worded as `nats-server` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// The bytes are no operation.
    #[error("Unknown Protocol Operation")]
    UnknownOperation,
    /// A known operation with arguments that make no sense; the original closes without a word.
    #[error("bad arguments")]
    BadArguments,
    /// The client reported an error of its own and will not go on.
    #[error("the client sent -ERR")]
    ClientGaveUp,
    /// A line is longer than `max_control_line`.
    #[error("maximum control line exceeded")]
    ControlLine,
    /// The announced payload is larger than `max_payload`.
    #[error("Maximum Payload Violation")]
    MaxPayload,
}
