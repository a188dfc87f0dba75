//! Opening a database: the lock of a file, connections, migrations.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::connection::Connector;
use crate::error::{Error, Place};
use crate::location::{Location, Options};
use crate::migrate::{self, Migration};
use crate::reader::{Pool, Reader};
use crate::sql::{Done, Query};
use crate::writer::{Tx, Writer};

/// How long a write waits for other processes that hold a SQLite file.
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// Why a database could not be opened.
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
    /// The file with the password could not be read.
    #[error("cannot read the database's password_file {path}: {source}")]
    PasswordFile {
        /// The file.
        path: String,
        /// Cause.
        source: std::io::Error,
    },
    /// The address means nothing to the driver.
    #[error("database {place}: {cause}")]
    Address {
        /// The address.
        place: String,
        /// Cause.
        cause: String,
    },
    /// The database could not be opened.
    #[error("cannot open the database {place}: {source}")]
    Database {
        /// The file or address.
        place: String,
        /// Cause.
        source: Error,
    },
    /// The tables could not be brought to this version.
    #[error("cannot migrate the database {place}: {cause}")]
    Migration {
        /// The file or address.
        place: String,
        /// Cause.
        cause: String,
    },
}

/// A database. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Db {
    reader: Reader,
    writer: Writer,
    /// Held open: its lock says that this process owns the SQLite file.
    _lock: Option<Arc<std::fs::File>>,
}

impl Db {
    /// Opens a database (a missing SQLite file is made) and brings its tables to this version.
    ///
    /// # Errors
    /// [`OpenError`] naming the step; a server that is away is named with what to type.
    pub async fn open(
        location: &Location,
        options: &Options,
        migrations: &[Migration],
    ) -> Result<Db, OpenError> {
        let failed = |source| OpenError::Database {
            place: location.to_string(),
            source,
        };
        let lock = match location {
            Location::Sqlite(path) => Some(Arc::new(lock(path)?)),
            Location::Postgres(_) => None,
        };
        let wait = Duration::from_secs(options.wait_seconds.max(1).into());
        let plan = plan(location, options, wait)?;
        let place = Arc::new(plan.place);
        let writer = Writer::new(plan.writer, place.clone(), wait, options.group_commit);
        let mut connection = writer.connect().await.map_err(failed)?;
        migrate::run(&mut connection, migrations)
            .await
            .map_err(|error| OpenError::Migration {
                place: location.to_string(),
                cause: error.to_string(),
            })?;
        writer.keep(connection).await;
        let pool = match plan.reader {
            Connector::Sqlite(file) => {
                let pool = SqlitePoolOptions::new()
                    .max_connections(options.readers.max(1))
                    .acquire_timeout(wait);
                Pool::Sqlite(pool.connect_lazy_with(*file))
            }
            Connector::Postgres(server) => {
                let pool = PgPoolOptions::new()
                    .max_connections(options.readers.max(1))
                    .acquire_timeout(wait);
                Pool::Postgres(pool.connect_lazy_with(*server))
            }
        };
        Ok(Db {
            reader: Reader {
                pool,
                place,
                statements: Arc::default(),
            },
            writer,
            _lock: lock,
        })
    }

    /// The reading side.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Begins a write; it is the only one, here and in other controllers, until it ends.
    ///
    /// # Errors
    /// [`Error`]: busy after the configured wait, or away.
    pub async fn begin(&self) -> Result<Tx, Error> {
        self.writer.begin().await
    }

    /// A write of one statement.
    ///
    /// # Errors
    /// [`Error`]; then nothing was changed.
    pub async fn write(&self, query: Query) -> Result<Done, Error> {
        let mut tx = self.begin().await?;
        let done = query.execute(&mut tx).await?;
        tx.commit().await?;
        Ok(done)
    }
}

/// How both sides connect.
struct Plan {
    place: Place,
    writer: Connector,
    reader: Connector,
}

fn plan(location: &Location, options: &Options, wait: Duration) -> Result<Plan, OpenError> {
    match location {
        Location::Sqlite(path) => {
            let file = SqliteConnectOptions::new()
                .filename(path)
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(BUSY_WAIT);
            Ok(Plan {
                place: Place::Sqlite,
                reader: Connector::Sqlite(Box::new(file.clone().read_only(true))),
                writer: Connector::Sqlite(Box::new(file)),
            })
        }
        Location::Postgres(url) => {
            let address = url.as_str().parse::<PgConnectOptions>();
            let mut server = address.map_err(|error| OpenError::Address {
                place: location.to_string(),
                cause: error.to_string(),
            })?;
            if let Some(path) = &options.password_file {
                server = server.password(&password(path)?);
            }
            let seconds = format!("{}s", wait.as_secs());
            // Who hangs in the middle of a write must not hold up the other controllers for ever.
            let server = server.application_name("bloomery").options([
                ("lock_timeout", seconds.as_str()),
                ("statement_timeout", "60s"),
                ("idle_in_transaction_session_timeout", "30s"),
            ]);
            let place = Place::Postgres {
                host: match server.get_socket() {
                    Some(path) => path.display().to_string(),
                    None => server.get_host().to_owned(),
                },
                port: server.get_port(),
                name: server.get_database().unwrap_or_default().to_owned(),
            };
            let reading = server
                .clone()
                .options([("default_transaction_read_only", "on")]);
            Ok(Plan {
                place,
                reader: Connector::Postgres(Box::new(reading)),
                writer: Connector::Postgres(Box::new(server)),
            })
        }
    }
}

fn password(path: &Path) -> Result<String, OpenError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(source) => Err(OpenError::PasswordFile {
            path: path.display().to_string(),
            source,
        }),
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
