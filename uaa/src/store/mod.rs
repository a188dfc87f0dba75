//! The only SQL of this crate: portable text with `$N`, for SQLite and PostgreSQL alike (crate [`database`] says what that means).

mod attempts;
mod codes;
mod groups;
mod keys;
mod open;
mod refresh;
mod revocations;
mod users;

use std::sync::Arc;

use database::{Db, Migration, OpenError};

pub(crate) use attempts::Attempted;
pub(crate) use codes::CodeRow;
pub(crate) use refresh::RefreshRow;
pub(crate) use revocations::Whose;
pub(crate) use users::UserRow;

/// The tables of this crate as a step of whoever owns the database they live in.
pub const fn migration(version: i64) -> Migration {
    Migration {
        version,
        name: "uaa",
        sqlite: include_str!("../../migrations/sqlite/0001_uaa.sql"),
        postgres: include_str!("../../migrations/postgres/0001_uaa.sql"),
    }
}

/// The second step: codes, groups, revocations.
pub const fn second_migration(version: i64) -> Migration {
    Migration {
        version,
        name: "uaa: codes, groups, revocations",
        sqlite: include_str!("../../migrations/sqlite/0002_codes_groups_revocations.sql"),
        postgres: include_str!("../../migrations/postgres/0002_codes_groups_revocations.sql"),
    }
}

/// The third step: attempts at passwords.
pub const fn third_migration(version: i64) -> Migration {
    Migration {
        version,
        name: "uaa: attempts",
        sqlite: include_str!("../../migrations/sqlite/0003_attempts.sql"),
        postgres: include_str!("../../migrations/postgres/0003_attempts.sql"),
    }
}

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or is away.
    #[error("database: {0}")]
    Database(#[from] database::Error),
    /// A secret could not be sealed or opened.
    #[error("signing key: {0}")]
    Seal(String),
    /// The database could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl StoreError {
    /// Whether a unique column already held the value.
    pub(crate) fn is_duplicate(&self) -> bool {
        matches!(self, StoreError::Database(error) if error.is_duplicate())
    }
}

/// Encrypts what must not lie in a database in clear. The owner of the database has the key.
pub trait Seal: Send + Sync {
    /// Encrypts a text.
    ///
    /// # Errors
    /// Why not.
    fn seal(&self, clear: &str) -> Result<String, String>;

    /// Decrypts what [`Seal::seal`] made.
    ///
    /// # Errors
    /// Why not: damaged, or made with another key.
    fn open(&self, sealed: &str) -> Result<String, String>;
}

impl Seal for component::Cipher {
    fn seal(&self, clear: &str) -> Result<String, String> {
        component::Cipher::seal(self, clear).map_err(|error| error.to_string())
    }

    fn open(&self, sealed: &str) -> Result<String, String> {
        component::Cipher::open(self, sealed).map_err(|error| error.to_string())
    }
}

/// Users, keys and refresh tokens.
#[derive(Clone)]
pub struct Store {
    db: Db,
    seal: Arc<dyn Seal>,
}

impl Store {
    /// A store in a database whose owner already took [`migration`]; signing keys are sealed with the owner's key.
    pub fn mounted(db: Db, seal: Arc<dyn Seal>) -> Store {
        Store { db, seal }
    }
}
