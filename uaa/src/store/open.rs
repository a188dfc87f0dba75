//! A database of our own, for the daemon `uaa`.

use std::path::PathBuf;
use std::sync::Arc;

use component::{Cipher, Secrets};
use database::{Db, Location};

use super::{Store, migration, second_migration, third_migration};
use crate::config::Config;
use crate::error::OpenError;

impl Store {
    /// Opens (or makes) a database with this crate's tables, and the file with the key that seals what is secret in it.
    ///
    /// # Errors
    /// [`OpenError`] when one of them cannot be opened, made or migrated.
    pub async fn open(config: &Config) -> Result<Store, OpenError> {
        let secrets = Secrets::load_or_create(&secrets_file(config)?)?;
        let cipher = Cipher::new(&secrets.key_bytes())?;
        let steps = [migration(1), second_migration(2), third_migration(3)];
        let db = Db::open(&config.database, &config.database_options, &steps).await;
        let db = db.map_err(|error| OpenError::Store(error.into()))?;
        Ok(Store {
            db,
            seal: Arc::new(cipher),
        })
    }
}

/// Where the key is: beside the database file unless a place is named.
fn secrets_file(config: &Config) -> Result<PathBuf, OpenError> {
    match (&config.secrets_file, &config.database) {
        (Some(path), _) => Ok(path.clone()),
        (None, Location::Sqlite(path)) => {
            let mut name = path.clone().into_os_string();
            name.push(".secrets");
            Ok(name.into())
        }
        (None, Location::Postgres(_)) => Err(OpenError::NoSecretsFile),
    }
}
