//! Which database: a file, or the address of a server.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use url::Url;

/// Where a database is: the path of a SQLite file, or `postgres://USER@HOST[:PORT]/NAME[?sslmode=…]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Location {
    /// A SQLite file, made when missing. Exactly one process may have it open.
    Sqlite(PathBuf),
    /// A PostgreSQL database. The address holds no password.
    Postgres(Url),
}

/// Why a text is no [`Location`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLocation {
    /// Empty.
    #[error("is empty; give the path of a SQLite file or postgres://USER@HOST/NAME")]
    Empty,
    /// Not a URL.
    #[error("is not an address of PostgreSQL ({0}); write postgres://USER@HOST[:PORT]/NAME")]
    Url(url::ParseError),
    /// The URL lacks the named part.
    #[error("names no {0}; write postgres://USER@HOST[:PORT]/NAME")]
    Missing(&'static str),
    /// Passwords lie in files, so that configurations can be shown.
    #[error(
        "holds a password; put it into a file (mode 0600) and name that in database_options.password_file, or set PGPASSWORD"
    )]
    Password,
}

impl Location {
    /// Reads a location.
    ///
    /// # Errors
    /// [`BadLocation`].
    pub fn parse(text: &str) -> Result<Location, BadLocation> {
        if text.is_empty() {
            return Err(BadLocation::Empty);
        }
        if !(text.starts_with("postgres://") || text.starts_with("postgresql://")) {
            return Ok(Location::Sqlite(text.into()));
        }
        let url = Url::parse(text).map_err(BadLocation::Url)?;
        if url.password().is_some() || url.query_pairs().any(|(key, _)| key == "password") {
            return Err(BadLocation::Password);
        }
        let has = |key: &str| url.query_pairs().any(|(name, _)| name == key);
        if url.username().is_empty() && !has("user") {
            return Err(BadLocation::Missing("user"));
        }
        if url.host_str().is_none_or(str::is_empty) && !has("host") {
            return Err(BadLocation::Missing("host"));
        }
        if url.path().trim_matches('/').is_empty() && !has("dbname") {
            return Err(BadLocation::Missing("database"));
        }
        Ok(Location::Postgres(url))
    }
}

impl TryFrom<String> for Location {
    type Error = BadLocation;

    fn try_from(text: String) -> Result<Location, BadLocation> {
        Location::parse(&text)
    }
}

impl From<Location> for String {
    fn from(location: Location) -> String {
        location.to_string()
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Location {
        Location::Sqlite(path)
    }
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Location {
        Location::Sqlite(path.to_owned())
    }
}

impl From<&str> for Location {
    fn from(path: &str) -> Location {
        Location::Sqlite(path.into())
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Location::Sqlite(path) => write!(out, "{}", path.display()),
            Location::Postgres(url) => write!(out, "{url}"),
        }
    }
}

/// How a database is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// File (mode 0600) with PostgreSQL's password; absent: `PGPASSWORD`, `PGPASSFILE` or none.
    pub password_file: Option<PathBuf>,
    /// Connections for reading; one more is for writing.
    pub readers: u32,
    /// Seconds a request waits for a connection, for its turn to write, or for the server to answer.
    pub wait_seconds: u32,
    /// Whether writes of many clients share one flush of the disk. Off, each has its own: slower, never safer.
    pub group_commit: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            password_file: None,
            readers: 6,
            wait_seconds: 10,
            group_commit: true,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_text_is_a_path_or_a_server_and_never_holds_a_password() {
        assert_eq!(
            Location::parse("data/cc.db").unwrap(),
            Location::from("data/cc.db")
        );
        let server = Location::parse("postgres://cc@db.example:5433/cc?sslmode=require").unwrap();
        assert!(matches!(server, Location::Postgres(_)));
        assert!(
            Location::parse("postgres:///cc?host=/run/postgresql&user=cc").is_ok(),
            "a Unix socket"
        );
        let bad = [
            ("", BadLocation::Empty),
            ("postgres://cc:secret@db/cc", BadLocation::Password),
            ("postgres://cc@db/cc?password=x", BadLocation::Password),
            ("postgres://db/cc", BadLocation::Missing("user")),
            ("postgres://cc@/cc", BadLocation::Missing("host")),
            ("postgres://cc@db/", BadLocation::Missing("database")),
        ];
        for (text, why) in bad {
            let got = Location::parse(text).unwrap_err();
            // The parser of URLs itself refuses a user without a host.
            assert!(
                got == why || matches!(got, BadLocation::Url(_)),
                "{text}: {got}"
            );
        }
    }

    #[test]
    fn a_location_is_one_text_in_a_configuration() {
        let text = "\"postgres://cc@db.example/cc\"";
        let location: Location = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&location).unwrap(), text);
        let refused = serde_json::from_str::<Location>("\"postgres://u:secret@h/d\"");
        let told = refused.unwrap_err().to_string();
        assert!(
            told.contains("password_file") && !told.contains("secret"),
            "{told}"
        );
    }
}
