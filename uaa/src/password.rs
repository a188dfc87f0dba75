//! Password hashing: argon2id, off the async threads, a few at a time because each takes 19 MiB.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use std::sync::Arc;

use crate::error::OpenError;
use crate::turns::{Turn, Turns};

/// Hashes and verifies.
#[derive(Clone)]
pub(crate) struct Passwords {
    turns: Turns,
    /// Verified against when the user is unknown, so that both answers take the same time.
    decoy: Arc<str>,
}

impl Passwords {
    pub(crate) fn new() -> Result<Passwords, OpenError> {
        let decoy = hash_now("a password nobody has")?;
        Ok(Passwords {
            turns: Turns::default(),
            decoy: decoy.into(),
        })
    }

    /// Waits until this address may have a password hashed.
    pub(crate) async fn turn(&self, address: &str) -> Result<Turn, OpenError> {
        let turn = self.turns.turn(address).await;
        turn.map_err(|_| OpenError::Crowded)
    }

    pub(crate) async fn hash(&self, turn: Turn, password: &str) -> Result<String, OpenError> {
        let password = password.to_owned();
        run(turn, move || hash_now(&password)).await?
    }

    /// Whether the password fits; `None` (unknown user) takes as long and is false.
    pub(crate) async fn verify(
        &self,
        turn: Turn,
        password: &str,
        hash: Option<&str>,
    ) -> Result<bool, OpenError> {
        let known = hash.is_some();
        let hash = hash.unwrap_or(&self.decoy).to_owned();
        let password = password.to_owned();
        let fits = run(turn, move || verify_now(&password, &hash)).await?;
        Ok(known && fits)
    }
}

/// The turn is over when the work is, not when whoever asked for it goes away.
async fn run<T: Send + 'static>(
    turn: Turn,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, OpenError> {
    let work = move || {
        let done = work();
        drop(turn);
        done
    };
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| OpenError::Password(error.to_string()))
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
