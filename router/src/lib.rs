//! Host name in, app instance out.
//!
//! Reading order. Pure, no IO and no clock: [`guard`] (which client bytes have
//! exactly one meaning), [`table`] (who serves what), [`rewrite`] (what happens to headers), [`verdict`] (what the edge says when
//! it cannot deliver), [`access_log`]'s line format and [`stats`]. Around them:
//! `registrar` (the bus feeds the table), `upstream` (connections to
//! instances), `proxy` (one request), `tunnel` (upgrades), `server` (the
//! listener), `client` (the guard applied to a socket), `status` (what operators see) and [`daemon`], which starts it all.

pub mod access_log;
mod body;
mod budget;
mod client;
pub mod config;
pub mod daemon;
pub mod guard;
mod progress;
mod proxy;
mod quota;
mod registrar;
pub mod rewrite;
mod server;
pub mod stats;
mod status;
pub mod table;
mod tunnel;
mod upstream;
pub mod verdict;

pub use config::Config;
pub use daemon::{Running, StartError, start};
