//! A small server that speaks the NATS protocol.
//!
//! The whole core protocol, with users, permissions, nkeys and TLS; no
//! clustering and no persistence. It exists so that the platform runs from one
//! command; beyond one machine a real `nats-server` takes its place and nothing
//! else changes: flags, configuration syntax, signals and log lines are the same.
//!
//! Reading order: [`protocol`] (bytes to operations), [`subjects`] (who hears
//! what), [`auth`] (who may), then the private modules `session` (one
//! client's conversation), `hub` (delivery), `connection` and `transport`
//! (sockets, TLS), [`server`], and [`program`] (flags, signals, log). Everything runs on **one thread** with one task per
//! connection, so there is not a single lock: a message is appended straight
//! to its destination's buffer and flushed once per batch of input.

pub mod auth;
mod buffers;
mod certificate;
mod close;
pub mod config;
mod connection;
#[doc(hidden)]
pub mod fuzzed;
mod housekeeping;
mod hub;
mod info;
mod lame_duck;
pub mod limits;
mod liveness;
mod monitor;
mod outbox;
mod peer;
mod ports_file;
pub mod program;
pub mod protocol;
mod route;
pub mod server;
mod session;
pub mod subjects;
mod subscription;
pub mod tls;
mod transport;
mod violations;

pub use config::Config;
pub use server::{ReloadError, Running, Server, StartError, start};
