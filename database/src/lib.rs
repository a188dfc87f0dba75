//! One SQL text, two databases: a SQLite file or a PostgreSQL server, chosen by configuration.
//!
//! Statements are portable text with `$N`. [`query`] makes one, `bind` adds parameters, and it is run on a [`Reader`] (committed
//! rows, many at once) or a [`Tx`] (one write at a time). What portable means: `BIGINT`, `BOOLEAN` and `TEXT` columns only,
//! `CAST(COALESCE(SUM(x), 0) AS BIGINT)`, existence by [`Query::exists`], and no statement after a failed one in the same write.
//!
//! **Writes are serial**, on one machine and across controllers: a read-modify-write in a [`Tx`] never loses to another, so quotas,
//! versions and leases need no retry. On SQLite `BEGIN IMMEDIATE` sees to it, on PostgreSQL an advisory lock. What one disk flush
//! costs is shared: see [`writer`].

mod connection;
mod error;
mod location;
mod migrate;
mod open;
mod reader;
mod row;
mod sql;
pub mod writer;

pub use error::{Error, Kind};
pub use location::{BadLocation, Location, Options};
pub use migrate::Migration;
pub use open::{Db, OpenError};
pub use reader::Reader;
pub use row::{Column, Index, Row};
pub use sql::{Builder, Done, Executor, Query, Scalar, Value, query, query_scalar};
pub use writer::Tx;
