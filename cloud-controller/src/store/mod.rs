//! The only SQL of the controller. Portable text with `$N`; one writer connection and a pool of readers.
//!
//! Reads take the reader pool; writes go through [`Tx`], which begins IMMEDIATE so that a
//! read-modify-write never loses to another.

mod apps;
mod buildpacks;
mod domains;
mod events;
mod jobs;
mod listing;
mod open;
mod orgs;
mod processes;
mod quotas;
mod record;
mod references;
mod routes;
mod security;
mod services;
mod settings;
mod space_quotas;
mod spaces;
mod stacks;
mod staging;
mod users;

use serde_json::{Map, Value};
use sqlx::{Sqlite, SqlitePool};
use std::sync::Arc;

use crate::crypto::{Cipher, CipherError};

pub(crate) use apps::{APPS, AppRow};
pub(crate) use buildpacks::{BUILDPACKS, BuildpackRow};
pub(crate) use domains::{DOMAINS, DomainRow};
pub(crate) use events::{EVENTS, EventRow, NewEvent};
pub(crate) use listing::{Scope, Table};
pub use open::OpenError;
pub(crate) use orgs::{ORGS, OrgRow};
pub(crate) use quotas::{QUOTAS, QuotaRow};
pub(crate) use record::Record;
pub(crate) use routes::{ROUTES, RouteRow};
pub(crate) use security::{SECURITY_GROUPS, SecurityGroupRow};
pub(crate) use services::{BINDINGS, BindingRow, SERVICES, ServiceRow, USER_PROVIDED};
pub(crate) use settings::LeaseRow;
pub(crate) use space_quotas::{SPACE_QUOTAS, SpaceQuotaRow};
pub(crate) use spaces::{SPACES, SpaceRow};
pub(crate) use stacks::{STACKS, StackRow};
pub(crate) use staging::{StagingFailure, StagingTask};
pub(crate) use users::{Role, RoleRow, USERS, UserRow};

/// Begins a write: the lock is taken at once, so that a read-modify-write never loses to another.
const BEGIN: &str = "BEGIN IMMEDIATE";

/// SQLite's result codes that callers can do something about.
const SQLITE_BUSY: u32 = 5;
const SQLITE_LOCKED: u32 = 6;
const SQLITE_FULL: u32 = 13;
const SQLITE_IOERR_SHMSIZE: u32 = 4874;

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The database refused or is away.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// A sealed value could not be read or written.
    #[error(transparent)]
    Cipher(#[from] CipherError),
    /// A filter names an unknown key or a value of the wrong kind.
    #[error("{0}")]
    Filter(String),
}

impl StoreError {
    /// Whether a unique column already held the value.
    pub(crate) fn is_duplicate(&self) -> bool {
        self.database().is_some_and(|e| e.is_unique_violation())
    }

    /// Whether something still refers to the row.
    pub(crate) fn is_referenced(&self) -> bool {
        self.database()
            .is_some_and(|e| e.is_foreign_key_violation())
    }

    /// Whether somebody else held the database longer than we wait.
    pub(crate) fn is_busy(&self) -> bool {
        matches!(self, StoreError::Database(sqlx::Error::PoolTimedOut))
            || matches!(self.primary_code(), Some(SQLITE_BUSY | SQLITE_LOCKED))
    }

    /// Whether the disk had no room.
    pub(crate) fn is_full(&self) -> bool {
        self.primary_code() == Some(SQLITE_FULL) || self.code() == Some(SQLITE_IOERR_SHMSIZE)
    }

    /// SQLite's result code without its extension.
    fn primary_code(&self) -> Option<u32> {
        self.code().map(|code| code & 0xff)
    }

    /// SQLite's extended result code.
    fn code(&self) -> Option<u32> {
        self.database()?.code()?.parse().ok()
    }

    fn database(&self) -> Option<&dyn sqlx::error::DatabaseError> {
        match self {
            StoreError::Database(error) => error.as_database_error(),
            _ => None,
        }
    }
}

/// The database of the desired state.
#[derive(Clone)]
pub(crate) struct Store {
    writer: SqlitePool,
    reader: SqlitePool,
    cipher: Cipher,
    /// Held open: its lock says that this process owns the SQLite file.
    _lock: Arc<std::fs::File>,
}

/// One write transaction; dropped without [`Tx::commit`], nothing happened.
pub(crate) struct Tx {
    inner: sqlx::Transaction<'static, Sqlite>,
    now: i64,
}

impl Store {
    /// Begins a write.
    pub(crate) async fn begin(&self) -> Result<Tx, StoreError> {
        let inner = match self.writer.begin_with(BEGIN).await {
            // A full disk makes SQLite end the transaction by itself, while the driver still counts it as open: this connection
            // would never begin another one.
            Err(sqlx::Error::InvalidSavePointStatement) => {
                self.writer.acquire().await?.close().await?;
                self.writer.begin_with(BEGIN).await?
            }
            other => other?,
        };
        Ok(Tx {
            inner,
            now: now_micros(),
        })
    }

    /// Encrypts a JSON object for a `*_sealed` column.
    pub(crate) fn seal(&self, vars: &Map<String, Value>) -> Result<String, StoreError> {
        Ok(self.cipher.seal(&Value::Object(vars.clone()).to_string())?)
    }

    /// Opens a `*_sealed` column.
    pub(crate) fn unseal(&self, sealed: &str) -> Result<Map<String, Value>, StoreError> {
        let clear = self.cipher.open(sealed)?;
        serde_json::from_str(&clear).map_err(|_| StoreError::Cipher(CipherError::Open))
    }

    /// Encrypts a text for a `*_sealed` column.
    pub(crate) fn seal_text(&self, text: &str) -> Result<String, StoreError> {
        Ok(self.cipher.seal(text)?)
    }

    /// Opens what [`Store::seal_text`] made.
    pub(crate) fn unseal_text(&self, sealed: &str) -> Result<String, StoreError> {
        Ok(self.cipher.open(sealed)?)
    }

    /// The pools, for `uaa`, whose tables live in the same database.
    pub(crate) fn uaa(&self) -> uaa::store::Store {
        let seal = Arc::new(self.cipher.clone());
        uaa::store::Store::mounted(self.writer.clone(), self.reader.clone(), seal)
    }
}

impl Tx {
    /// Makes the write durable.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        Ok(self.inner.commit().await?)
    }

    /// The time this transaction began, unix microseconds; every row it writes carries it.
    pub(crate) fn now(&self) -> i64 {
        self.now
    }

    /// Runs statements whose one parameter is the same, in order.
    async fn run_each(
        &mut self,
        statements: &[&'static str],
        value: &str,
    ) -> Result<(), StoreError> {
        for sql in statements {
            sqlx::query(*sql)
                .bind(value)
                .execute(&mut *self.inner)
                .await?;
        }
        Ok(())
    }

    /// Runs one statement with two parameters.
    async fn run_pair(
        &mut self,
        sql: &'static str,
        first: &str,
        second: &str,
    ) -> Result<(), StoreError> {
        sqlx::query(sql)
            .bind(first)
            .bind(second)
            .execute(&mut *self.inner)
            .await?;
        Ok(())
    }

    /// The next place in the default order.
    async fn next_id(&mut self) -> Result<i64, StoreError> {
        let id = sqlx::query_scalar("UPDATE row_counter SET last = last + 1 RETURNING last")
            .fetch_one(&mut *self.inner)
            .await?;
        Ok(id)
    }
}

/// Wall clock, unix microseconds.
pub(crate) fn now_micros() -> i64 {
    chrono::Utc::now().timestamp_micros()
}
