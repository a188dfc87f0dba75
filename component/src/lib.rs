//! What every daemon does alike: read its configuration, set up tracing, serve
//! HTTP with deadlines, stop politely, announce itself to the collector and
//! answer `/healthz`, `/varz` and `/metrics`.

pub mod cipher;
pub mod config;
pub mod daemon;
pub mod forwarders;
pub mod gauges;
pub mod limits;
pub mod logging;
pub mod private;
pub mod process;
pub mod secrets;
pub mod serve;
pub mod status;
pub mod tasks;
pub mod visibility;

mod basic_auth;
mod redact;

pub use basic_auth::{BasicAuth, authorized};
pub use cipher::{Cipher, CipherError};
pub use config::{ConfigError, DaemonConfig, Problem};
pub use daemon::{Daemon, Threads, main};
pub use forwarders::Forwarders;
pub use gauges::Gauges;
pub use process::NewFiles;
pub use prometheus_client;
pub use secrets::{Secrets, SecretsError};
pub use serve::{serve, serve_within};
pub use status::{Identity, Pages, Status, StatusConfig};
pub use tasks::Tasks;
pub use visibility::{Visibility, VisibilityError};
