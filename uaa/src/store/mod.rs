//! The only SQL of this crate. Portable text with `$N`; one writer connection and a pool of readers.

mod keys;
mod open;
mod refresh;
mod users;

use std::sync::Arc;

use sqlx::SqlitePool;

pub(crate) use refresh::RefreshRow;
pub(crate) use users::UserRow;

/// The tables of this crate, for whoever owns the database they live in.
pub const MIGRATION: &str = include_str!("../../migrations/0001_uaa.sql");

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or is away.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// A secret could not be sealed or opened.
    #[error("signing key: {0}")]
    Seal(String),
    /// The tables could not be made.
    #[error("migration: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
}

impl StoreError {
    /// Whether a unique column already held the value.
    pub(crate) fn is_duplicate(&self) -> bool {
        match self {
            StoreError::Database(error) => error
                .as_database_error()
                .is_some_and(|e| e.is_unique_violation()),
            StoreError::Migration(_) | StoreError::Seal(_) => false,
        }
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

/// Users, keys and refresh tokens.
#[derive(Clone)]
pub struct Store {
    writer: SqlitePool,
    reader: SqlitePool,
    /// Without one (the daemon `uaa` alone), signing keys are kept as they are.
    seal: Option<Arc<dyn Seal>>,
}

impl Store {
    /// A store in a database whose owner already ran [`MIGRATION`]; signing keys are sealed with the owner's key.
    pub fn mounted(writer: SqlitePool, reader: SqlitePool, seal: Arc<dyn Seal>) -> Store {
        Store {
            writer,
            reader,
            seal: Some(seal),
        }
    }
}
