//! Configuration of the health manager.

use std::net::SocketAddr;
use std::time::Duration;

use bus::BusConfig;
use bus::times::Profile;
use component::{BasicAuth, DaemonConfig, StatusConfig};
use serde::{Deserialize, Serialize};

use crate::params::Params;

/// Everything the health manager can be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `POST /bulk_app_state`; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Who may ask there. Nobody while the password is empty.
    pub api: BasicAuth,
    /// The message bus.
    pub bus: BusConfig,
    /// `/healthz`, `/varz` and `/metrics`.
    pub status: StatusConfig,
    /// Job index.
    pub index: u32,
    /// Column of the table of times; everything is counted in its heartbeats.
    pub profile: Profile,
    /// The controller, e.g. `http://127.0.0.1:8181`.
    pub controller: String,
    /// Credentials of the controller's bulk API and of its lease.
    pub bulk_api: BasicAuth,
    /// Rows per page of the bulk API.
    pub batch_size: u32,
    /// Seconds a page may take.
    pub page_timeout: f64,
    /// Ask the controller for the lease. Where it knows none, we speak without an epoch, as the originals did.
    pub use_lease: bool,
    /// Starts sent per heartbeat.
    pub sender_message_limit: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 5155)),
            api: BasicAuth::default(),
            bus: BusConfig::default(),
            status: StatusConfig::default(),
            index: 0,
            profile: Profile::default(),
            controller: "http://127.0.0.1:8181".into(),
            bulk_api: BasicAuth::default(),
            batch_size: 500,
            page_timeout: 10.0,
            use_lease: true,
            sender_message_limit: 60,
        }
    }
}

impl Config {
    /// The durations that govern decisions.
    pub fn params(&self) -> Params {
        Params {
            send_limit: self.sender_message_limit,
            ..Params::from(&self.profile.times())
        }
    }

    /// How often desired state is fetched.
    pub fn fetch_interval(&self) -> Duration {
        let times = self.profile.times();
        times.heartbeat * times.hm_fetch_heartbeats
    }

    /// How long a page of desired state may take.
    pub fn page_timeout(&self) -> Duration {
        Duration::from_secs_f64(self.page_timeout)
    }
}

impl DaemonConfig for Config {
    fn validate(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut check = |ok: bool, key: &str, message: &str| {
            if !ok {
                found.push((key.to_owned(), message.to_owned()));
            }
        };
        let web = self.controller.starts_with("http://") || self.controller.starts_with("https://");
        check(
            web,
            "controller",
            "must be an http or https address such as http://127.0.0.1:8181",
        );
        check(
            (1..=10_000).contains(&self.batch_size),
            "batch_size",
            "must be between 1 and 10000",
        );
        check(
            (0.1..=600.0).contains(&self.page_timeout),
            "page_timeout",
            "must be between 0.1 and 600 seconds",
        );
        check(
            self.sender_message_limit > 0,
            "sender_message_limit",
            "must be at least 1",
        );
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_bad_values_are_all_named() {
        assert_eq!(Config::default().validate(), []);
        let bad = Config {
            controller: "cc".into(),
            batch_size: 0,
            page_timeout: 0.0,
            sender_message_limit: 0,
            ..Config::default()
        };
        let keys: Vec<String> = bad.validate().into_iter().map(|(key, _)| key).collect();
        assert_eq!(
            keys,
            [
                "controller",
                "batch_size",
                "page_timeout",
                "sender_message_limit"
            ]
        );
    }
}
