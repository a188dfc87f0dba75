//! Where the bus is, and who connects.

use serde::{Deserialize, Serialize};

/// Where the bus is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BusConfig {
    /// `nats://host:port` or `tls://host:port`, several for a cluster. Credentials may stand in the URL.
    pub servers: Vec<String>,
    /// User; empty = none.
    pub user: String,
    /// Password; empty = none.
    pub password: String,
}

impl Default for BusConfig {
    fn default() -> Self {
        Self {
            servers: vec!["nats://127.0.0.1:4222".into()],
            user: String::new(),
            password: String::new(),
        }
    }
}

impl BusConfig {
    /// A single server without credentials.
    pub fn url(url: impl Into<String>) -> Self {
        Self {
            servers: vec![url.into()],
            ..Self::default()
        }
    }
}
