//! What every daemon does alike: read its configuration, set up tracing, serve
//! HTTP with deadlines, stop politely, announce itself to the collector and
//! answer `/healthz`, `/varz` and `/metrics`.

pub mod config;
pub mod daemon;
pub mod gauges;
pub mod logging;
pub mod serve;
pub mod status;
pub mod tasks;
pub mod visibility;

mod basic_auth;
mod redact;

pub use basic_auth::{BasicAuth, authorized};
pub use config::{ConfigError, DaemonConfig, Problem};
pub use daemon::{Daemon, Threads, main};
pub use gauges::Gauges;
pub use prometheus_client;
pub use serve::serve;
pub use status::{Identity, Pages, Status, StatusConfig};
pub use tasks::Tasks;
pub use visibility::{Visibility, VisibilityError};
