//! One connection of either kind: the only place where statements meet a driver.

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Postgres, Sqlite};

use crate::row::Row;
use crate::sql::{Done, Query};

/// How to connect.
#[derive(Debug, Clone)]
pub(crate) enum Connector {
    /// To a file.
    Sqlite(Box<SqliteConnectOptions>),
    /// To a server.
    Postgres(Box<PgConnectOptions>),
}

/// The writer's connection.
#[derive(Debug)]
pub(crate) enum Connection {
    /// To a file.
    Sqlite(SqliteConnection),
    /// To a server.
    Postgres(PgConnection),
}

/// A driver's statement from ours. The text is made of constants only (see `sql.rs`).
macro_rules! driver_query {
    ($database:ty, $query:expr) => {{
        let Query { text, values } = $query;
        let mut driver = sqlx::query::<$database>(sqlx::AssertSqlSafe(text.into_owned()));
        for value in values {
            driver = match value {
                $crate::sql::Value::Int(value) => driver.bind(value),
                $crate::sql::Value::Bool(value) => driver.bind(value),
                $crate::sql::Value::Text(value) => driver.bind(value),
            };
        }
        driver
    }};
}

pub(crate) use driver_query;

impl Connector {
    pub(crate) async fn connect(&self) -> Result<Connection, sqlx::Error> {
        Ok(match self {
            Connector::Sqlite(options) => Connection::Sqlite(options.connect().await?),
            Connector::Postgres(options) => Connection::Postgres(options.connect().await?),
        })
    }
}

impl Connection {
    /// Statements of ours without parameters, e.g. `BEGIN`.
    pub(crate) async fn raw(&mut self, text: &'static str) -> Result<(), sqlx::Error> {
        match self {
            Connection::Sqlite(connection) => {
                sqlx::raw_sql(text).execute(connection).await?;
            }
            Connection::Postgres(connection) => {
                sqlx::raw_sql(text).execute(connection).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn rows(&mut self, query: Query) -> Result<Vec<Row>, sqlx::Error> {
        Ok(match self {
            Connection::Sqlite(connection) => {
                let rows = driver_query!(Sqlite, query).fetch_all(connection).await?;
                rows.into_iter().map(Row::Sqlite).collect()
            }
            Connection::Postgres(connection) => {
                let rows = driver_query!(Postgres, query).fetch_all(connection).await?;
                rows.into_iter().map(Row::Postgres).collect()
            }
        })
    }

    pub(crate) async fn change(&mut self, query: Query) -> Result<Done, sqlx::Error> {
        Ok(Done(match self {
            Connection::Sqlite(connection) => {
                let done = driver_query!(Sqlite, query).execute(connection).await?;
                done.rows_affected()
            }
            Connection::Postgres(connection) => {
                let done = driver_query!(Postgres, query).execute(connection).await?;
                done.rows_affected()
            }
        }))
    }

    /// What begins a write that no other write runs beside.
    pub(crate) fn begin(&self) -> &'static str {
        match self {
            Connection::Sqlite(_) => "BEGIN IMMEDIATE; SAVEPOINT one",
            // The number is "bloomery" in ASCII. The lock ends with the transaction, and with the connection of whoever died.
            Connection::Postgres(_) => {
                "BEGIN; SELECT pg_advisory_xact_lock(7092166037569106553); SAVEPOINT one"
            }
        }
    }
}
