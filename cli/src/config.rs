//! `$CF_HOME/.cf/config.json`, mode 0600, with the original's key names.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::CfError;

/// The session.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Config {
    /// API URL.
    pub target: String,
    /// API version.
    pub api_version: String,
    /// Token server.
    pub authorization_endpoint: String,
    /// Users and their passwords.
    pub uaa_endpoint: String,
    /// Log server, ws://.
    pub doppler_end_point: String,
    /// `bearer …`.
    pub access_token: String,
    /// Refresh token.
    pub refresh_token: String,
    /// Chosen org.
    pub organization_fields: Named,
    /// Chosen space.
    pub space_fields: Named,
    /// Port that app URLs are served on, when the platform says so.
    pub app_port: Option<u16>,
    /// Minutes to wait for jobs of the controller; 0 is without end.
    pub async_timeout: u64,
    /// `true`, `false` or empty: colours on a terminal.
    pub color_enabled: String,
    /// `true` shows requests.
    pub trace: String,
    /// Kept for the original; there is one language.
    pub locale: String,
}

/// A guid and a name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Named {
    /// Guid.
    #[serde(rename = "GUID")]
    pub guid: String,
    /// Name.
    #[serde(rename = "Name")]
    pub name: String,
}

/// Where the file is.
pub fn path() -> PathBuf {
    let home = std::env::var_os("CF_HOME")
        .map(PathBuf::from)
        .or_else(std::env::home_dir)
        .unwrap_or_default();
    home.join(".cf/config.json")
}

impl Config {
    /// Where users are kept: the token server when the platform names nothing else.
    pub fn users_url(&self) -> &str {
        match self.uaa_endpoint.is_empty() {
            true => &self.authorization_endpoint,
            false => &self.uaa_endpoint,
        }
    }

    /// Reads the session; a missing file is an empty session.
    pub fn load() -> Result<Self, CfError> {
        let path = path();
        match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).map_err(|e| {
                CfError::Other(format!(
                    "{}: {e}\nTIP: remove the file and log in again.",
                    path.display()
                ))
            }),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(CfError::file(path)(e)),
        }
    }

    /// Writes it: temporary file, rename, so that two commands at once cannot tear it.
    pub fn save(&self) -> Result<(), CfError> {
        let path = path();
        let dir = path.parent().map(PathBuf::from).unwrap_or_default();
        std::fs::create_dir_all(&dir).map_err(CfError::file(&dir))?;
        let partial = dir.join(format!(".config.{}", std::process::id()));
        let text = serde_json::to_vec_pretty(self).map_err(|e| CfError::Other(e.to_string()))?;
        let mut options = std::fs::OpenOptions::new();
        let file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial);
        file.and_then(|mut f| f.write_all(&text))
            .map_err(CfError::file(&partial))?;
        std::fs::rename(&partial, &path).map_err(CfError::file(path))
    }

    /// The user named in the access token, for "as NAME".
    pub fn user(&self) -> Option<String> {
        self.claim("user_name").or_else(|| self.claim("client_id"))
    }

    /// The user's guid.
    pub fn user_guid(&self) -> Option<String> {
        self.claim("user_id")
    }

    fn claim(&self, key: &str) -> Option<String> {
        use base64::Engine;
        let payload = self.access_token.split('.').nth(1)?;
        let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(payload.trim_end_matches('='))
            .ok()?;
        let claims: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
        claims[key].as_str().map(str::to_owned)
    }
}
