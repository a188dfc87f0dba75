//! Rows as structs, by column names.

use database::{Error, Row};

/// A struct read from a row by column names.
pub(crate) trait Record: Sized + Send + Unpin {
    /// Reads one row.
    fn read(row: &Row) -> Result<Self, Error>;
}

/// Declares a struct whose fields are columns.
macro_rules! record {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $kind:ty),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) struct $name { $($(#[$field_meta])* pub(crate) $field: $kind),* }

        impl $crate::store::Record for $name {
            fn read(row: &database::Row) -> Result<Self, database::Error> {
                Ok($name { $($field: row.try_get(stringify!($field))?),* })
            }
        }
    };
}

pub(super) use record;

/// Reads an optional row.
pub(super) fn optional<R: Record>(row: Option<Row>) -> Result<Option<R>, super::StoreError> {
    Ok(row.as_ref().map(R::read).transpose()?)
}

/// Reads many rows.
pub(super) fn many<R: Record>(rows: Vec<Row>) -> Result<Vec<R>, super::StoreError> {
    Ok(rows.iter().map(R::read).collect::<Result<_, _>>()?)
}
