//! A database of our own, for the daemon `uaa`.

use database::{Db, Location, Options};

use super::{Store, StoreError, migration, second_migration};

impl Store {
    /// Opens (or makes) a database with this crate's tables.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be opened or migrated.
    pub async fn open(location: &Location, options: &Options) -> Result<Store, StoreError> {
        Ok(Store {
            db: Db::open(location, options, &[migration(1), second_migration(2)]).await?,
            seal: None,
        })
    }
}
