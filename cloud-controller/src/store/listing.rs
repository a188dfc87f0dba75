//! Filtered, ordered, paged lists, the same for every collection.

use database::{Builder, Executor};
use v2_api::{Filter, ListQuery, Op, Order};

use super::links::Link;
use super::record::{Record, many, optional};
use super::{Store, StoreError};

/// How a filter key reaches the data.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Column {
    /// Compared as it is.
    Text(&'static str),
    /// A lower-cased column; the client's value is lower-cased too.
    Name(&'static str),
    /// `t`/`true`.
    Bool(&'static str),
    /// RFC 3339 against unix microseconds.
    Time(&'static str),
    /// `<prefix> <comparison>)`: a subquery left open at its condition.
    Within(&'static str),
}

/// A collection.
pub(crate) struct Table {
    /// `SELECT … FROM …`; the collection's own table is `t`.
    pub(super) select: &'static str,
    /// `FROM …`, with every table that conditions name.
    pub(super) from: &'static str,
    /// ` JOIN …` that finds exactly one row for each member, with columns for `select` only: nobody counts or searches through it.
    pub(super) also: &'static str,
    /// Default order.
    pub(super) order: &'static str,
    /// The name column, when `order-by=name` makes sense.
    pub(super) name: Option<&'static str>,
    /// Allowed filter keys.
    pub(super) filters: &'static [(&'static str, Column)],
}

/// Most guids of one [`Scope::among`].
pub(crate) const MOST_AMONG: usize = 100;
/// How long lists of values are in statements: the last value is repeated up to the next length. So there are few different statements,
/// and they stay prepared.
pub(super) const LENGTHS: [usize; 4] = [1, 4, 20, MOST_AMONG];

/// Conditions the server adds: which relation is listed, and what the caller may see.
#[derive(Default, Clone)]
pub(crate) struct Scope {
    join: &'static str,
    conditions: Vec<Condition>,
}

#[derive(Clone)]
enum Condition {
    /// The value stands between the pieces.
    Pieces(&'static [&'static str], String),
    /// The column has one of the values.
    Among(&'static str, Vec<String>),
}

impl Scope {
    /// Everything.
    pub(crate) fn all() -> Scope {
        Scope::default()
    }

    /// What lies in a space.
    pub(crate) fn in_space(guid: &str) -> Scope {
        Scope::all().and(&["t.space_guid = ", ""], guid)
    }

    /// Adds a condition; the value stands between the pieces (each `pieces` gap is the same value).
    pub(crate) fn and(
        mut self,
        pieces: &'static [&'static str],
        value: impl Into<String>,
    ) -> Scope {
        self.conditions
            .push(Condition::Pieces(pieces, value.into()));
        self
    }

    /// Adds that a column has one of these values, at most [`MOST_AMONG`].
    pub(super) fn among(mut self, column: &'static str, values: &[&str]) -> Scope {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        self.conditions.push(Condition::Among(column, values));
        self
    }

    /// Reaches parents through this link.
    pub(super) fn linked(mut self, link: &Link) -> Scope {
        self.join = link.join;
        self
    }

    /// Adds a condition that needs no value.
    pub(crate) fn holding(self, condition: &'static [&'static str; 1]) -> Scope {
        self.and(condition, "")
    }
}

impl Store {
    /// One page of a collection and its total.
    pub(crate) async fn list<R: Record>(
        &self,
        table: &Table,
        scope: &Scope,
        query: &ListQuery,
    ) -> Result<(u64, Vec<R>), StoreError> {
        let mut count = Builder::new("SELECT COUNT(*) ");
        count.push(table.from);
        conditions(&mut count, table, scope, &query.filters)?;
        let total: i64 = count.build().scalar().fetch_one(self.db.reader()).await?;

        // Who is on the page is found first: what is sorted and skipped are guids, not rows.
        let mut page = rows(table);
        page.push(" WHERE t.guid IN (SELECT t.guid ")
            .push(table.from);
        conditions(&mut page, table, scope, &query.filters)?;
        ordered(&mut page, table, query);
        page.push(" LIMIT ").push_bind(i64::from(query.per_page));
        page.push(" OFFSET ").push_bind(query.offset());
        page.push(")");
        ordered(&mut page, table, query);
        let rows = page.build().fetch_all(self.db.reader()).await?;
        Ok((u64::try_from(total).unwrap_or(0), many(rows)?))
    }

    /// How many members are in scope.
    pub(crate) async fn count(&self, table: &Table, scope: &Scope) -> Result<i64, StoreError> {
        count(self.db.reader(), table, scope).await
    }

    /// All members in scope, in default order.
    pub(crate) async fn all<R: Record>(
        &self,
        table: &Table,
        scope: &Scope,
    ) -> Result<Vec<R>, StoreError> {
        all(self.db.reader(), table, scope).await
    }

    /// The member with this guid, if it is in scope.
    pub(crate) async fn find<R: Record>(
        &self,
        table: &Table,
        scope: &Scope,
        guid: &str,
    ) -> Result<Option<R>, StoreError> {
        find(self.db.reader(), table, scope, guid).await
    }
}

/// All members, before conditions.
fn rows(table: &Table) -> Builder {
    let mut sql = Builder::new(table.select);
    sql.push(" ").push(table.from).push(table.also);
    sql
}

fn ordered(sql: &mut Builder, table: &Table, query: &ListQuery) {
    let order = table.name.filter(|_| query.by_name).unwrap_or(table.order);
    let direction = if query.order == Order::Asc {
        " ASC"
    } else {
        " DESC"
    };
    sql.push(" ORDER BY ")
        .push(order)
        .push(direction)
        .push(", t.guid")
        .push(direction);
}

pub(super) async fn all<R: Record>(
    on: impl Executor,
    table: &Table,
    scope: &Scope,
) -> Result<Vec<R>, StoreError> {
    let mut sql = rows(table);
    conditions(&mut sql, table, scope, &[])?;
    sql.push(" ORDER BY ").push(table.order).push(", t.guid");
    many(sql.build().fetch_all(on).await?)
}

pub(super) async fn count(
    on: impl Executor,
    table: &Table,
    scope: &Scope,
) -> Result<i64, StoreError> {
    let mut count = Builder::new("SELECT COUNT(*) ");
    count.push(table.from);
    conditions(&mut count, table, scope, &[])?;
    Ok(count.build().scalar().fetch_one(on).await?)
}

pub(super) async fn find<R: Record>(
    on: impl Executor,
    table: &Table,
    scope: &Scope,
    guid: &str,
) -> Result<Option<R>, StoreError> {
    let scope = scope.clone().and(&["t.guid = ", ""], guid);
    let mut sql = rows(table);
    conditions(&mut sql, table, &scope, &[])?;
    optional(sql.build().fetch_optional(on).await?)
}

/// Everything from the joined table to the last condition.
pub(super) fn conditions(
    sql: &mut Builder,
    table: &Table,
    scope: &Scope,
    filters: &[Filter],
) -> Result<(), StoreError> {
    sql.push(scope.join).push(" WHERE 1 = 1");
    for condition in &scope.conditions {
        sql.push(" AND (");
        match condition {
            Condition::Pieces(pieces, value) => between(sql, pieces, value),
            Condition::Among(column, values) => among(sql, column, values),
        }
        sql.push(")");
    }
    for filter in filters {
        let column = table
            .filters
            .iter()
            .find(|(key, _)| *key == filter.key)
            .map(|(_, column)| *column);
        let column = column.ok_or_else(|| StoreError::Filter(filter.key.clone()))?;
        sql.push(" AND ");
        condition(sql, column, filter)?;
    }
    Ok(())
}

fn between(sql: &mut Builder, pieces: &'static [&'static str], value: &str) {
    for (at, piece) in pieces.iter().enumerate() {
        if at > 0 {
            sql.push_bind(value);
        }
        sql.push(piece);
    }
}

pub(super) fn among(sql: &mut Builder, column: &'static str, values: &[String]) {
    let length = LENGTHS.into_iter().find(|length| *length >= values.len());
    let missing = length.map_or(0, |length| length - values.len());
    let repeated = values.last().into_iter().cycle().take(missing);
    sql.push(column).push(" IN (");
    for (at, value) in values.iter().chain(repeated).enumerate() {
        sql.push(if at > 0 { "," } else { "" }).push_bind(value);
    }
    sql.push(")");
}

fn condition(sql: &mut Builder, column: Column, filter: &Filter) -> Result<(), StoreError> {
    match column {
        Column::Text(name) => text(sql, name, filter, str::to_owned),
        Column::Name(name) => text(sql, name, filter, str::to_lowercase),
        Column::Within(prefix) => {
            text(sql, prefix, filter, str::to_owned);
            sql.push(")");
        }
        Column::Bool(name) => {
            let wanted = matches!(filter.values[0].as_str(), "t" | "true");
            sql.push(name).push(" = ").push_bind(wanted);
        }
        Column::Time(name) => {
            let at = chrono::DateTime::parse_from_rfc3339(&filter.values[0])
                .map_err(|error| StoreError::Filter(format!("{}: {error}", filter.key)))?;
            sql.push(name)
                .push(sign(filter.op))
                .push_bind(at.timestamp_micros());
        }
    }
    Ok(())
}

fn text(sql: &mut Builder, name: &'static str, filter: &Filter, map: fn(&str) -> String) {
    if filter.op == Op::In {
        let values: Vec<String> = filter.values.iter().map(|value| map(value)).collect();
        return among(sql, name, &values);
    }
    sql.push(name)
        .push(sign(filter.op))
        .push_bind(map(&filter.values[0]));
}

fn sign(op: Op) -> &'static str {
    match op {
        Op::Eq | Op::In => " = ",
        Op::Ge => " >= ",
        Op::Le => " <= ",
        Op::Lt => " < ",
        Op::Gt => " > ",
    }
}
