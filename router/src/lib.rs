//! Host name in, app instance out.
//!
//! Reading order. Pure, no IO and no clock: [`guard`] (which client bytes have
//! exactly one meaning), `answer` (the same for instances), [`table`] (who serves what), [`rewrite`]
//! (what happens to heads), [`verdict`] (what the edge says when it cannot deliver),
//! [`access_log`]'s line format and [`stats`]. Around them: `engine` (the data path: sockets and
//! what moves between them), [`tls`] (handshakes and HTTP/2 in front of it), `registrar` (the bus feeds the table), `status` (what operators see)
//! and [`daemon`], which starts it all.

pub mod access_log;
mod answer;
mod budget;
pub mod config;
pub mod daemon;
mod decimal;
mod engine;
#[doc(hidden)]
pub mod fuzzed;
pub mod guard;
pub mod limits;
mod names;
mod quota;
mod registrar;
pub mod rewrite;
pub mod stats;
mod status;
pub mod table;
pub mod tls;
pub mod verdict;

pub use config::Config;
pub use daemon::{Running, StartError, start};
