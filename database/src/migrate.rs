//! Bringing the tables to this version: forward only.

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{MigrateError, MigrationType, Migrator};

use crate::connection::Connection;

/// One step, in both dialects. A step that was released is never changed: databases remember its checksum.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Its number.
    pub version: i64,
    /// What it brings.
    pub name: &'static str,
    /// SQLite's text.
    pub sqlite: &'static str,
    /// PostgreSQL's text.
    pub postgres: &'static str,
}

/// Runs the steps a database lacks. On PostgreSQL one controller at a time does: the others wait for its advisory lock.
pub(crate) async fn run(
    connection: &mut Connection,
    steps: &[Migration],
) -> Result<(), MigrateError> {
    let is_postgres = matches!(connection, Connection::Postgres(_));
    let step = |step: &Migration| {
        let text = if is_postgres {
            step.postgres
        } else {
            step.sqlite
        };
        sqlx::migrate::Migration::new(
            step.version,
            step.name.into(),
            MigrationType::Simple,
            text.into_sql_str(),
            false,
        )
    };
    let migrator = Migrator::with_migrations(steps.iter().map(step).collect());
    match connection {
        Connection::Sqlite(connection) => migrator.run_direct(None, connection, false).await,
        Connection::Postgres(connection) => migrator.run_direct(None, connection, false).await,
    }
}
