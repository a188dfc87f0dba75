//! Opening the database: the file lock, the pools, the migrations.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::Store;
use crate::crypto::Cipher;

/// Reader connections.
const READERS: u32 = 6;

/// How long a write waits for other processes that hold the database.
const BUSY_WAIT: Duration = Duration::from_secs(5);
/// How long a write waits for its turn among ours.
const WRITER_WAIT: Duration = Duration::from_secs(10);

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process owns the file.
    #[error(
        "the database {path} is in use by another controller. A SQLite file serves exactly one; \
         to run several controllers give them one PostgreSQL database"
    )]
    Locked {
        /// The database file.
        path: String,
    },
    /// The lock file could not be opened.
    #[error("cannot lock the database {path}: {source}")]
    Lock {
        /// The database file.
        path: String,
        /// Cause.
        source: std::io::Error,
    },
    /// The database could not be opened.
    #[error("cannot open the database {path}: {source}")]
    Database {
        /// The database file.
        path: String,
        /// Cause.
        source: sqlx::Error,
    },
    /// The tables could not be brought to this version.
    #[error("cannot migrate the database {path}: {source}")]
    Migration {
        /// The database file.
        path: String,
        /// Cause.
        source: sqlx::migrate::MigrateError,
    },
}

impl Store {
    /// Opens (or makes) a SQLite file, takes its lock and migrates it.
    pub(crate) async fn open(path: &Path, cipher: Cipher) -> Result<Store, OpenError> {
        let name = path.display().to_string();
        let lock = lock(path)?;
        let database = |source| OpenError::Database {
            path: name.clone(),
            source,
        };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_WAIT);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(WRITER_WAIT)
            .connect_with(options.clone())
            .await
            .map_err(database)?;
        migrator()
            .run(&writer)
            .await
            .map_err(|source| OpenError::Migration {
                path: name.clone(),
                source,
            })?;
        let readers = SqlitePoolOptions::new().max_connections(READERS);
        let reader = readers
            .connect_with(options.read_only(true))
            .await
            .map_err(database)?;
        Ok(Store {
            writer,
            reader,
            cipher,
            _lock: Arc::new(lock),
        })
    }
}

fn lock(path: &Path) -> Result<std::fs::File, OpenError> {
    let mut lock_path = PathBuf::from(path).into_os_string();
    lock_path.push(".lock");
    let name = path.display().to_string();
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(lock_path)
        .map_err(|source| OpenError::Lock {
            path: name.clone(),
            source,
        })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::Locked { path: name }),
        Err(std::fs::TryLockError::Error(source)) => Err(OpenError::Lock { path: name, source }),
    }
}

fn migrator() -> Migrator {
    let simple = |version, name: &'static str, sql: &'static str| {
        Migration::new(
            version,
            name.into(),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    };
    Migrator::with_migrations(vec![
        simple(
            1,
            "controller",
            include_str!("../../migrations/sqlite/0001_controller.sql"),
        ),
        simple(2, "uaa", uaa::store::MIGRATION),
        simple(
            3,
            "services and quotas",
            include_str!("../../migrations/sqlite/0003_services_and_quotas.sql"),
        ),
    ])
}
