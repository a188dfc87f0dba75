//! Statements: text and parameters, without a database yet.

use std::borrow::Cow;
use std::marker::PhantomData;

use crate::error::{Error, Kind};
use crate::row::{Column, Row};

/// A parameter. NULL has a type too: PostgreSQL wants to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `BIGINT`.
    Int(Option<i64>),
    /// `BOOLEAN`.
    Bool(Option<bool>),
    /// `TEXT`.
    Text(Option<String>),
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::Int(Some(value))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Value {
        Value::Int(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(Some(value))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Value {
        Value::Text(Some(value.to_owned()))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Value {
        Value::Text(Some(value))
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Value {
        Value::Text(Some(value.clone()))
    }
}

impl From<Option<String>> for Value {
    fn from(value: Option<String>) -> Value {
        Value::Text(value)
    }
}

impl From<&Option<String>> for Value {
    fn from(value: &Option<String>) -> Value {
        Value::Text(value.clone())
    }
}

impl From<Option<&str>> for Value {
    fn from(value: Option<&str>) -> Value {
        Value::Text(value.map(str::to_owned))
    }
}

/// A statement with its parameters.
#[derive(Debug, Clone)]
pub struct Query {
    pub(crate) text: Cow<'static, str>,
    pub(crate) values: Vec<Value>,
}

/// A statement whose first column is wanted.
#[derive(Debug, Clone)]
pub struct Scalar<T> {
    query: Query,
    wanted: PhantomData<fn() -> T>,
}

/// What a statement changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done(pub(crate) u64);

impl Done {
    /// Rows inserted, updated or deleted.
    pub fn rows_affected(self) -> u64 {
        self.0
    }
}

/// What statements are run on: a [`crate::Reader`] or a [`crate::Tx`].
pub trait Executor: Send {
    /// All rows.
    fn rows(self, query: Query) -> impl Future<Output = Result<Vec<Row>, Error>> + Send;

    /// What it changed.
    fn change(self, query: Query) -> impl Future<Output = Result<Done, Error>> + Send;
}

/// A statement without parameters yet. Its text is a constant: nothing from outside ever gets into it.
pub fn query(text: &'static str) -> Query {
    Query {
        text: Cow::Borrowed(text),
        values: Vec::new(),
    }
}

/// As [`query`], for the first column of its rows.
pub fn query_scalar<T: Column>(text: &'static str) -> Scalar<T> {
    query(text).scalar()
}

fn no_row() -> Error {
    Error::new(Kind::Other, "there is no such row")
}

impl Query {
    /// Adds the next parameter.
    #[must_use]
    pub fn bind(mut self, value: impl Into<Value>) -> Query {
        self.values.push(value.into());
        self
    }

    /// Only the first column.
    pub fn scalar<T: Column>(self) -> Scalar<T> {
        Scalar {
            query: self,
            wanted: PhantomData,
        }
    }

    /// Runs it for what it changes.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn execute(self, on: impl Executor) -> Result<Done, Error> {
        on.change(self).await
    }

    /// All rows.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn fetch_all(self, on: impl Executor) -> Result<Vec<Row>, Error> {
        on.rows(self).await
    }

    /// The first row, if any. The statement should give no more than one.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn fetch_optional(self, on: impl Executor) -> Result<Option<Row>, Error> {
        Ok(on.rows(self).await?.into_iter().next())
    }

    /// The first row.
    ///
    /// # Errors
    /// [`Error`], also when there is none.
    pub async fn fetch_one(self, on: impl Executor) -> Result<Row, Error> {
        self.fetch_optional(on).await?.ok_or_else(no_row)
    }

    /// Whether there is any row. (A `1` selected for this has different types in the two databases.)
    ///
    /// # Errors
    /// [`Error`].
    pub async fn exists(self, on: impl Executor) -> Result<bool, Error> {
        Ok(self.fetch_optional(on).await?.is_some())
    }
}

impl<T: Column> Scalar<T> {
    /// Adds the next parameter.
    #[must_use]
    pub fn bind(mut self, value: impl Into<Value>) -> Scalar<T> {
        self.query = self.query.bind(value);
        self
    }

    /// The first column of all rows.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn fetch_all(self, on: impl Executor) -> Result<Vec<T>, Error> {
        let rows = self.query.fetch_all(on).await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }

    /// The first column of the first row, if any.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn fetch_optional(self, on: impl Executor) -> Result<Option<T>, Error> {
        let row = self.query.fetch_optional(on).await?;
        row.map(|row| row.try_get(0)).transpose()
    }

    /// The first column of the first row.
    ///
    /// # Errors
    /// [`Error`], also when there is none.
    pub async fn fetch_one(self, on: impl Executor) -> Result<T, Error> {
        self.fetch_optional(on).await?.ok_or_else(no_row)
    }
}

/// A statement made of pieces, for filters. Pieces are constants; what comes from outside is bound.
#[derive(Debug, Clone)]
pub struct Builder {
    text: String,
    values: Vec<Value>,
}

impl Builder {
    /// Begins with a piece.
    pub fn new(piece: &'static str) -> Builder {
        Builder {
            text: piece.to_owned(),
            values: Vec::new(),
        }
    }

    /// Adds a piece.
    pub fn push(&mut self, piece: &'static str) -> &mut Builder {
        self.text.push_str(piece);
        self
    }

    /// Adds a parameter and its `$N`.
    pub fn push_bind(&mut self, value: impl Into<Value>) -> &mut Builder {
        self.values.push(value.into());
        self.text.push('$');
        self.text.push_str(&self.values.len().to_string());
        self
    }

    /// The statement.
    pub fn build(self) -> Query {
        Query {
            text: Cow::Owned(self.text),
            values: self.values,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_is_bound_never_text() {
        let mut sql = Builder::new("SELECT * FROM t WHERE a = ");
        sql.push_bind("'; DROP TABLE t")
            .push(" AND b = ")
            .push_bind(7);
        let query = sql.build();
        assert_eq!(query.text, "SELECT * FROM t WHERE a = $1 AND b = $2");
        assert_eq!(query.values, ["'; DROP TABLE t".into(), Value::from(7)]);
    }
}
