//! Settings of the token server.

use component::{Forwarders, Visibility};
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
    /// File (mode 0600, made when missing) with the key that seals the signing keys in the database of the daemon `uaa`; default: the
    /// database's file with `.secrets` behind it. To be named when the database is a PostgreSQL server. Not used when mounted: the
    /// controller's own then serves.
    pub secrets_file: Option<PathBuf>,
    /// Failed logins an address may have in a minute before it is told to wait (429); 0: no limit.
    pub failed_logins_per_minute: u32,
    /// Routers and proxies on other hosts whose X-Forwarded-For is believed, as addresses or networks (`10.0.0.0/24`). Limits per address
    /// then hold for the clients behind them. This host is always believed; nobody else is.
    pub trusted_forwarders: Forwarders,
    /// Seconds until a key or revocation of another server on the same database is seen here.
    pub rules_max_age_seconds: u32,
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
            secrets_file: None,
            failed_logins_per_minute: 60,
            trusted_forwarders: Forwarders::default(),
            rules_max_age_seconds: 5,
            clients: Vec::new(),
            admin_user: None,
            admin_password_file: None,
        }
    }
}

/// A client: one that gets tokens in its own name (grant `client_credentials`), one that users log in to (grant `authorization_code`), or both.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientConfig {
    /// Client id.
    pub id: String,
    /// File (mode 0600) with the secret; surrounding blanks are cut off.
    pub secret_file: PathBuf,
    /// Scopes of tokens in its own name, e.g. `cloud_controller.read`.
    #[serde(default)]
    pub authorities: Vec<String>,
    /// Where users are sent back to after they logged in; compared letter by letter. None: users cannot log in to it.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    /// Scopes its users' tokens may carry.
    #[serde(default)]
    pub scopes: Vec<String>,
}
