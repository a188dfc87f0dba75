//! Compares what should run with what does run.
//!
//! Reading order. Pure, no IO and no clock: [`desired`] and [`actual`] (the two
//! pictures and their freshness), [`backoff`] (crashes), [`analyzer`] (what is
//! wrong), [`pending`] (what was decided and when it is due), [`sender`] (what
//! may go out now, looked at once more) and [`brain`], which holds them
//! together: events in, messages out. Around it: `fetch` (pages of desired
//! state), `lease` (who may speak), `api` (what others ask), `engine` (one task
//! that owns the brain) and [`daemon`].
//!
//! Everything is level-triggered: an event only makes the brain look again, and
//! losing every event costs time, never correctness.

pub mod actual;
pub mod analyzer;
mod api;
pub mod backoff;
pub mod brain;
pub mod config;
pub mod daemon;
pub mod desired;
mod engine;
mod fetch;
mod lease;
mod metrics;
pub mod params;
pub mod pending;
pub mod sender;

pub use config::Config;
pub use daemon::{Running, StartError, start};
