//! What went wrong, in terms callers can act on, the same for both databases.

use sqlx::error::DatabaseError;

/// What callers can do something about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A unique column already holds the value.
    Duplicate,
    /// Something still refers to the row, or it refers to nothing.
    Referenced,
    /// Somebody else held the database longer than we wait; nothing was changed.
    Busy,
    /// The disk had no room.
    Full,
    /// The server does not answer.
    Away,
    /// A text the database cannot hold (PostgreSQL refuses the character NUL).
    Text,
    /// Anything else.
    Other,
}

/// A failure of the database.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{text}")]
pub struct Error {
    kind: Kind,
    text: String,
}

/// Which database an error came from, for its text.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// A SQLite file.
    Sqlite,
    /// A server: how `pg_isready` is asked about it.
    Postgres {
        /// Host or directory of the socket.
        host: String,
        /// Port.
        port: u16,
        /// Database.
        name: String,
    },
}

/// SQLite's result code (without its extension) and extended one, of which we know what they mean for a caller.
fn sqlite_kind(code: u32) -> Kind {
    const SHM_SIZE: u32 = 4874;
    match (code, code & 0xff) {
        (SHM_SIZE, _) | (_, 13) => Kind::Full,
        (_, 5 | 6) => Kind::Busy,
        _ => Kind::Other,
    }
}

/// PostgreSQL's SQLSTATE.
fn postgres_kind(code: &str) -> Kind {
    match code {
        // Serialization failure, deadlock, lock not available, query cancelled by its timeout.
        "40001" | "40P01" | "55P03" | "57014" => Kind::Busy,
        "53100" => Kind::Full,
        // Too many connections; shut down, crashed, starting; idle too long in a transaction.
        "53300" | "57P01" | "57P02" | "57P03" | "25P03" => Kind::Away,
        "22021" => Kind::Text,
        code if code.starts_with("08") => Kind::Away,
        _ => Kind::Other,
    }
}

impl Place {
    fn kind_of(&self, error: &dyn DatabaseError) -> Kind {
        if error.is_unique_violation() {
            return Kind::Duplicate;
        }
        if error.is_foreign_key_violation() {
            return Kind::Referenced;
        }
        let code = error.code().unwrap_or_default();
        match self {
            Place::Sqlite => code.parse().map_or(Kind::Other, sqlite_kind),
            Place::Postgres { .. } => postgres_kind(&code),
        }
    }

    /// Whether this error of the driver means that the connection, not the statement, is at fault.
    fn kind(&self, error: &sqlx::Error) -> Kind {
        use sqlx::Error as E;
        match (error, self) {
            (E::Database(error), _) => self.kind_of(error.as_ref()),
            (E::PoolTimedOut, Place::Sqlite) => Kind::Busy,
            (
                E::PoolTimedOut
                | E::Io(_)
                | E::Tls(_)
                | E::Protocol(_)
                | E::PoolClosed
                | E::WorkerCrashed,
                Place::Postgres { .. },
            ) => Kind::Away,
            _ => Kind::Other,
        }
    }

    pub(crate) fn error(&self, error: &sqlx::Error) -> Error {
        self.of_kind(self.kind(error), error)
    }

    pub(crate) fn of_kind(&self, kind: Kind, cause: impl std::fmt::Display) -> Error {
        let text = match (self, kind) {
            (Place::Postgres { host, port, name }, Kind::Away) => format!(
                "PostgreSQL at {host}:{port} (database {name}) cannot be used: {cause}. See that it runs and can be reached from \
                 here: pg_isready -h {host} -p {port} -d {name}"
            ),
            _ => cause.to_string(),
        };
        Error { kind, text }
    }
}

impl Error {
    /// An error of ours.
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Error {
        Error {
            kind,
            text: text.into(),
        }
    }

    /// What kind of failure.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether a unique column already held the value.
    pub fn is_duplicate(&self) -> bool {
        self.kind == Kind::Duplicate
    }

    /// Whether something still refers to the row.
    pub fn is_referenced(&self) -> bool {
        self.kind == Kind::Referenced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_codes_become_what_callers_can_act_on() {
        let sqlite = [
            (5, Kind::Busy),
            (262, Kind::Busy),
            (517, Kind::Busy),
            (13, Kind::Full),
            (4874, Kind::Full),
            (1, Kind::Other),
        ];
        for (code, kind) in sqlite {
            assert_eq!(sqlite_kind(code), kind, "{code}");
        }
        let postgres = [
            ("40001", Kind::Busy),
            ("40P01", Kind::Busy),
            ("53100", Kind::Full),
            ("57P01", Kind::Away),
            ("08006", Kind::Away),
            ("22021", Kind::Text),
            ("42601", Kind::Other),
        ];
        for (code, kind) in postgres {
            assert_eq!(postgres_kind(code), kind, "{code}");
        }
    }

    #[test]
    fn a_server_that_is_away_is_named_with_what_to_type() {
        let place = Place::Postgres {
            host: "db.example".into(),
            port: 5433,
            name: "cc".into(),
        };
        let error = place.error(&sqlx::Error::PoolTimedOut);
        assert_eq!(error.kind(), Kind::Away);
        assert!(
            error
                .to_string()
                .contains("pg_isready -h db.example -p 5433"),
            "{error}"
        );
    }
}
