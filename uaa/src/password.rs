//! Password hashing: argon2id, off the async threads, a few at a time because each takes 19 MiB.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use std::sync::Arc;
use tokio::sync::Semaphore;

use crate::error::OpenError;

/// Hashes at the same time.
const PARALLEL: usize = 2;

/// Hashes and verifies.
#[derive(Clone)]
pub(crate) struct Passwords {
    gate: Arc<Semaphore>,
    /// Verified against when the user is unknown, so that both answers take the same time.
    decoy: Arc<str>,
}

impl Passwords {
    pub(crate) fn new() -> Result<Passwords, OpenError> {
        let decoy = hash_now("a password nobody has")?;
        Ok(Passwords {
            gate: Arc::new(Semaphore::new(PARALLEL)),
            decoy: decoy.into(),
        })
    }

    pub(crate) async fn hash(&self, password: &str) -> Result<String, OpenError> {
        let password = password.to_owned();
        self.run(move || hash_now(&password)).await?
    }

    /// Whether the password fits; `None` (unknown user) takes as long and is false.
    pub(crate) async fn verify(
        &self,
        password: &str,
        hash: Option<&str>,
    ) -> Result<bool, OpenError> {
        let known = hash.is_some();
        let hash = hash.unwrap_or(&self.decoy).to_owned();
        let password = password.to_owned();
        let fits = self.run(move || verify_now(&password, &hash)).await?;
        Ok(known && fits)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, OpenError> {
        let _permit = self
            .gate
            .acquire()
            .await
            .map_err(|error| OpenError::Password(error.to_string()))?;
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| OpenError::Password(error.to_string()))
    }
}

fn hash_now(password: &str) -> Result<String, OpenError> {
    Argon2::default()
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| OpenError::Password(error.to_string()))
}

fn verify_now(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash)
        .map(|parsed| {
            Argon2::default()
                .verify_password(password.as_bytes(), &parsed)
                .is_ok()
        })
        .unwrap_or(false)
}
