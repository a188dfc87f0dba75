//! Settings of the token server.

use component::Visibility;
use database::{Location, Options};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Settings; mounted in the controller and alone alike.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address of the daemon `uaa`; not used when mounted.
    pub listen: String,
    /// Status pages and announcement of the daemon `uaa`; not used when mounted.
    pub visibility: Visibility,
    /// Database of the daemon `uaa`: a SQLite file, or `postgres://USER@HOST/NAME` (one of its own). Not used when mounted: the
    /// tables then live in the controller's database.
    pub database: Location,
    /// How that database is used; not used when mounted.
    pub database_options: Options,
    /// Seconds an access token is valid. The original's 10 minutes.
    pub access_token_seconds: u32,
    /// Seconds a refresh token is valid. 30 days.
    pub refresh_token_seconds: u32,
    /// Clients besides `cf` (which always exists, with an empty secret).
    pub clients: Vec<ClientConfig>,
    /// First administrator of the daemon `uaa`; the file holds the password.
    pub admin_user: Option<String>,
    /// File (mode 0600) with the first administrator's password.
    pub admin_password_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: "127.0.0.1:8182".into(),
            visibility: Visibility::default(),
            database: "uaa.db".into(),
            database_options: Options::default(),
            access_token_seconds: 600,
            refresh_token_seconds: 30 * 24 * 3600,
            clients: Vec::new(),
            admin_user: None,
            admin_password_file: None,
        }
    }
}

/// A client that gets tokens in its own name (grant `client_credentials`).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientConfig {
    /// Client id.
    pub id: String,
    /// File (mode 0600) with the secret; surrounding blanks are cut off.
    pub secret_file: PathBuf,
    /// Scopes of its tokens, e.g. `cloud_controller.read`.
    pub authorities: Vec<String>,
}
