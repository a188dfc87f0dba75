//! Settings of the log server.

use component::{BasicAuth, DaemonConfig, Visibility};
use serde::{Deserialize, Serialize};

/// Settings; mounted in the controller and alone alike.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address of the daemon `loggregator`; not used when mounted.
    pub listen: String,
    /// Status pages and announcement of the daemon `loggregator`; not used when mounted.
    pub visibility: Visibility,
    /// Base URL of the controller, asked whether a token may read an app's logs; not used when mounted.
    pub controller: String,
    /// User of the intake; not used when mounted (the controller's internal credentials apply).
    pub intake_user: String,
    /// Password of the intake; empty refuses every batch.
    pub intake_password: String,
    /// Bytes of recent lines kept per app.
    pub recent_bytes_per_app: usize,
    /// Bytes of recent lines kept in all; the app silent for longest is forgotten first.
    pub recent_bytes_total: usize,
    /// Lines a stream reader may lag behind before it loses some (and is told how many).
    pub stream_backlog_lines: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: "127.0.0.1:8183".into(),
            visibility: Visibility::default(),
            controller: "http://127.0.0.1:8181".into(),
            intake_user: "internal".into(),
            intake_password: String::new(),
            recent_bytes_per_app: 256 * 1024,
            recent_bytes_total: 64 * 1024 * 1024,
            stream_backlog_lines: 2_000,
        }
    }
}

impl Config {
    /// The intake's credentials.
    pub fn intake_auth(&self) -> BasicAuth {
        BasicAuth {
            user: self.intake_user.clone(),
            password: self.intake_password.clone(),
        }
    }
}

impl DaemonConfig for Config {
    fn validate(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        if self.intake_password.is_empty() {
            problems.push((
                "intake_password".into(),
                "must be set: senders prove themselves with it".into(),
            ));
        }
        if self.stream_backlog_lines == 0 {
            problems.push(("stream_backlog_lines".into(), "must be at least 1".into()));
        }
        problems
    }
}
