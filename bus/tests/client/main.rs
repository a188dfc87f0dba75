//! The client on both servers: what others publish cannot cost it its connection or another message, and what does cost it the
//! connection shows and is mended.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod connection;
mod hostile;
mod servers;
