//! The wire protocol without IO: bytes in, operations out, and back.

mod encode;
mod error;
mod op;
mod parser;

pub use encode::{Delivery, append_err, append_message, append_no_responders};
pub use error::ProtocolError;
pub use op::{ConnectOptions, Op, Publish};
pub use parser::{Parser, Step};
