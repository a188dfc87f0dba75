//! The wire protocol without IO: bytes in, operations out, and back.

mod arguments;
mod encode;
mod error;
mod op;
mod parser;
mod usual;

pub use encode::{Head, append_err, append_no_responders};
pub use error::ProtocolError;
pub use op::{ConnectOptions, Op, Publish};
pub use parser::{Parser, Step};
