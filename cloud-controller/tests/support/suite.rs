//! Which database a test's controller is on: a SQLite file of its own, or one of the PostgreSQL server that `BLOOMERY_TEST_POSTGRES`
//! lends (the directory of its socket).

use std::path::{Path, PathBuf};

use database::Location;
use sqlx::{ConnectOptions as _, Connection as _, Row as _};

use super::postgres;

/// The variable that lends a server.
pub const LENT: &str = "BLOOMERY_TEST_POSTGRES";

/// A database of a server that somebody else started.
pub struct Lent {
    dir: PathBuf,
    name: String,
}

/// A new database, when a server is lent.
pub fn lent() -> Option<Lent> {
    let dir = PathBuf::from(std::env::var_os(LENT)?);
    let name = format!("t{}", bus::ids::hex32());
    postgres::sql(&dir, "postgres", &format!("CREATE DATABASE {name}"));
    Some(Lent { dir, name })
}

impl Lent {
    pub fn location(&self) -> Location {
        postgres::location(&self.dir, &self.name)
    }

    pub fn sql(&self, statement: &str) -> String {
        postgres::sql(&self.dir, &self.name, statement)
    }

    pub fn dump(&self) -> Vec<u8> {
        postgres::dump(&self.dir, &self.name)
    }
}

/// As [`Lent::sql`], of a SQLite file.
pub async fn sqlite(file: &Path, statement: &'static str) -> Option<String> {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let mut connection = options.connect().await.unwrap();
    let row = sqlx::query(statement).fetch_optional(&mut connection).await;
    let text = row.unwrap().map(|row| row.get(0));
    connection.close().await.unwrap();
    text
}
