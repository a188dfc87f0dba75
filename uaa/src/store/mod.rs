//! The only SQL of this crate. Portable text with `$N`; one writer connection and a pool of readers.

mod keys;
mod open;
mod refresh;
mod users;

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
            StoreError::Migration(_) => false,
        }
    }
}

/// Users, keys and refresh tokens.
#[derive(Clone)]
pub struct Store {
    writer: SqlitePool,
    reader: SqlitePool,
}

impl Store {
    /// A store in a database whose owner already ran [`MIGRATION`].
    pub fn mounted(writer: SqlitePool, reader: SqlitePool) -> Store {
        Store { writer, reader }
    }
}
