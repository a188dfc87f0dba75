//! Opening a database: the lock of a file, connections, migrations.

use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
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
    let failed = |source| OpenError::Lock {
        path: name.clone(),
        source,
    };
    let file = private_file(Path::new(&lock_path), true).map_err(failed)?;
    // The driver gives the files beside the database the mode that this one has; those of an older version are still there.
    for (suffix, make) in [("", true), ("-wal", false), ("-shm", false)] {
        let mut beside = PathBuf::from(path).into_os_string();
        beside.push(suffix);
        match private_file(Path::new(&beside), make) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(failed(error));
            }
            _ => {}
        }
    }
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::Locked { path: name }),
        Err(std::fs::TryLockError::Error(source)) => Err(OpenError::Lock { path: name, source }),
    }
}

/// Opens a file (or makes it) that only its owner reads and writes: password hashes lie in it.
fn private_file(path: &Path, make: bool) -> std::io::Result<std::fs::File> {
    let file = std::fs::OpenOptions::new()
        .create(make)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)?;
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::query;

    #[tokio::test]
    async fn the_files_of_a_database_are_their_owners_also_those_of_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.db");
        let everybody = || std::fs::Permissions::from_mode(0o644);
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, everybody()).unwrap();
        let step = Migration {
            version: 1,
            name: "one",
            sqlite: "CREATE TABLE t (a BIGINT)",
            postgres: "",
        };
        let location = Location::Sqlite(path);
        let db = Db::open(&location, &Options::default(), &[step])
            .await
            .unwrap();
        db.write(query("INSERT INTO t (a) VALUES (1)"))
            .await
            .unwrap();
        let files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().flatten().collect();
        assert!(files.len() >= 3, "{files:?}");
        for file in files {
            let mode = file.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{:?}", file.file_name());
        }
    }
}
