//! The shared secrets file: one 0600 file that every controller of a platform reads.

use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// Why the secrets could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// Reading or making the file failed.
    #[error("secrets file {path}: {source}")]
    Io {
        /// File.
        path: String,
        /// Cause.
        source: std::io::Error,
    },
    /// Others may read it.
    #[error("secrets file {path} has mode {mode:o}: others may read it; run chmod 600 {path}")]
    Mode {
        /// File.
        path: String,
        /// Permission bits found.
        mode: u32,
    },
    /// Not the JSON we wrote.
    #[error("secrets file {path}: {reason}")]
    Form {
        /// File.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

/// Content of the file.
#[derive(Serialize, Deserialize)]
pub struct Secrets {
    /// Hex of the 32-byte key that encrypts env values.
    pub encryption_key: String,
}

impl Secrets {
    /// Reads the file; makes it with fresh secrets when it is missing.
    ///
    /// # Errors
    /// [`SecretsError`].
    pub fn load_or_create(path: &Path) -> Result<Secrets, SecretsError> {
        let io = |source| SecretsError::Io {
            path: path.display().to_string(),
            source,
        };
        match std::fs::metadata(path) {
            Ok(meta) if meta.permissions().mode() & 0o077 != 0 => Err(SecretsError::Mode {
                path: path.display().to_string(),
                mode: meta.permissions().mode() & 0o777,
            }),
            Ok(_) => {
                let text = std::fs::read_to_string(path).map_err(io)?;
                serde_json::from_str(&text).map_err(|error| SecretsError::Form {
                    path: path.display().to_string(),
                    reason: error.to_string(),
                })
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => create(path).map_err(io),
            Err(error) => Err(io(error)),
        }
    }

    /// The encryption key's bytes; empty when the hex is damaged, which the cipher then refuses.
    pub fn key_bytes(&self) -> Vec<u8> {
        hex::decode(self.encryption_key.trim()).unwrap_or_default()
    }
}

fn create(path: &Path) -> std::io::Result<Secrets> {
    let key: [u8; 32] = rand::random();
    let secrets = Secrets {
        encryption_key: hex::encode(key),
    };
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(serde_json::to_string_pretty(&secrets)?.as_bytes())?;
    file.sync_all()?;
    Ok(secrets)
}
