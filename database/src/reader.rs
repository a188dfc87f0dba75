//! Reading: a pool of connections that cannot write.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::{PgPool, Postgres, Sqlite, SqlitePool};

use crate::connection::driver_query;
use crate::error::{Error, Kind, Place};
use crate::row::Row;
use crate::sql::{Done, Executor, Query};

/// Committed rows. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader {
    pub(crate) pool: Pool,
    pub(crate) place: Arc<Place>,
    pub(crate) statements: Arc<AtomicU64>,
}

impl Reader {
    /// How many statements were run so far, by all clones of it.
    pub fn statements(&self) -> u64 {
        self.statements.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Pool {
    /// Of a file.
    Sqlite(SqlitePool),
    /// Of a server.
    Postgres(PgPool),
}

impl Executor for &Reader {
    async fn rows(self, query: Query) -> Result<Vec<Row>, Error> {
        self.statements.fetch_add(1, Ordering::Relaxed);
        let rows = match &self.pool {
            Pool::Sqlite(pool) => {
                let rows = driver_query!(Sqlite, query).fetch_all(pool).await;
                rows.map(|rows| rows.into_iter().map(Row::Sqlite).collect())
            }
            Pool::Postgres(pool) => {
                let rows = driver_query!(Postgres, query).fetch_all(pool).await;
                rows.map(|rows| rows.into_iter().map(Row::Postgres).collect())
            }
        };
        rows.map_err(|error| self.place.error(&error))
    }

    async fn change(self, _: Query) -> Result<Done, Error> {
        let text = "a write was sent to the reading side; it belongs into a transaction";
        Err(Error::new(Kind::Other, text))
    }
}
