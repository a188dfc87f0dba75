//! The file with the key that encrypts at rest: mode 0600, made when missing. Every controller of a platform reads the same one; a
//! token server that runs alone has its own.

use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
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
    /// Secrets that addresses for DEAs and stagers are signed with, at least 32 characters each: the first signs, every one is
    /// accepted. Without any, the encryption key serves (another key is derived from it).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub address_secrets: Vec<String>,
}

/// Shortest secret that addresses are signed with, characters.
const SHORTEST_SECRET: usize = 32;

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
        if !path.exists() {
            create(path).map_err(io)?;
        }
        let mode = std::fs::metadata(path).map_err(io)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(SecretsError::Mode {
                path: path.display().to_string(),
                mode,
            });
        }
        let text = std::fs::read_to_string(path).map_err(io)?;
        read(&text).map_err(|reason| SecretsError::Form {
            path: path.display().to_string(),
            reason,
        })
    }

    /// The encryption key's bytes; empty when the hex is damaged, which the cipher then refuses.
    pub fn key_bytes(&self) -> Vec<u8> {
        hex::decode(self.encryption_key.trim()).unwrap_or_default()
    }
}

fn read(text: &str) -> Result<Secrets, String> {
    let secrets: Secrets = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let short = |secret: &String| secret.chars().count() < SHORTEST_SECRET;
    match secrets.address_secrets.iter().position(short) {
        Some(at) => Err(format!(
            "address_secrets[{at}] has less than {SHORTEST_SECRET} characters; use the output of: openssl rand -hex 32"
        )),
        None => Ok(secrets),
    }
}

/// Makes the file at once with its content: a controller that begins at the same time finds all of it or nothing.
/// Of several that make it, one wins and the others read what it wrote.
fn create(path: &Path) -> std::io::Result<()> {
    let key: [u8; 32] = rand::random();
    let secrets = Secrets {
        encryption_key: hex::encode(key),
        address_secrets: Vec::new(),
    };
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let mut file = tempfile::Builder::new()
        .prefix(".secrets-")
        .permissions(std::fs::Permissions::from_mode(0o600))
        .tempfile_in(dir.unwrap_or(Path::new(".")))?;
    file.write_all(serde_json::to_string_pretty(&secrets)?.as_bytes())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != std::io::ErrorKind::AlreadyExists => Err(error.error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn of_controllers_that_begin_at_once_all_have_the_same_secrets() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secrets.json");
        let begin = || Secrets::load_or_create(&path).unwrap().encryption_key;
        let keys: Vec<String> = std::thread::scope(|scope| {
            let begun: Vec<_> = (0..16).map(|_| scope.spawn(begin)).collect();
            begun.into_iter().map(|one| one.join().unwrap()).collect()
        });
        assert!(keys.iter().all(|key| *key == keys[0] && key.len() == 64));
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().count(),
            1,
            "nothing else is left"
        );
    }

    #[test]
    fn a_secret_that_can_be_guessed_is_refused_by_its_place() {
        let text = |second: &str| {
            let long = "a".repeat(SHORTEST_SECRET);
            format!(r#"{{"encryption_key": "00", "address_secrets": ["{long}", "{second}"]}}"#)
        };
        assert!(read(&text(&"b".repeat(SHORTEST_SECRET))).is_ok());
        let refused = read(&text("short")).err();
        assert!(
            refused
                .as_ref()
                .is_some_and(|why| why.contains("address_secrets[1]")),
            "{refused:?}"
        );
        assert!(read(r#"{"encryption_key": "00"}"#).is_ok(), "older files");
    }
}
