//! A row of either database.

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Decode, Postgres, Row as _, Sqlite, Type};

use crate::error::{Error, Kind};

/// A row.
#[derive(Debug)]
pub enum Row {
    /// Of SQLite.
    Sqlite(SqliteRow),
    /// Of PostgreSQL.
    Postgres(PgRow),
}

/// What a column can be read as on both: `i64`, `bool`, `String`, and options of them.
pub trait Column:
    Type<Sqlite> + Type<Postgres> + for<'r> Decode<'r, Sqlite> + for<'r> Decode<'r, Postgres>
{
}

impl<T> Column for T where
    T: Type<Sqlite> + Type<Postgres> + for<'r> Decode<'r, Sqlite> + for<'r> Decode<'r, Postgres>
{
}

/// A column by name or place.
pub trait Index: ColumnIndex<SqliteRow> + ColumnIndex<PgRow> {}

impl<I> Index for I where I: ColumnIndex<SqliteRow> + ColumnIndex<PgRow> {}

impl Row {
    /// The value of a column.
    ///
    /// # Errors
    /// When there is no such column or it holds something else.
    pub fn try_get<T: Column, I: Index>(&self, column: I) -> Result<T, Error> {
        let value = match self {
            Row::Sqlite(row) => row.try_get(column),
            Row::Postgres(row) => row.try_get(column),
        };
        value.map_err(|error| Error::new(Kind::Other, error.to_string()))
    }
}
