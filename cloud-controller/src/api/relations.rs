//! Rows embedded in each other (`inline-relations-depth`), read level by level: how often the database is asked follows from the depth
//! and from the relations there are, never from the number of rows.

use std::collections::HashMap;

use futures_util::future::BoxFuture;
use serde_json::{Value, json};

use super::lists::{Present, View};
use crate::failure::Outcome;
use crate::store::{Link, MOST_AMONG, Scope};

/// A to-many relation with more members than this is not embedded; clients follow its URL.
const MAX_EMBEDDED: i64 = 50;

/// A relation of rows `R`.
pub(crate) struct Relation<R> {
    /// What it is embedded under.
    name: &'static str,
    /// The guid related rows are found by; none: nothing is embedded.
    key: fn(&R) -> Option<&str>,
    kind: Kind,
    read: Read,
}

#[derive(Clone, Copy)]
enum Kind {
    /// The row with that guid.
    One,
    /// All rows that belong to it.
    Many(&'static Link),
}

/// What is embedded, by key. A key without a value has nothing embedded.
type Found = HashMap<String, Value>;

/// Reads what belongs to keys, which differ.
type Read = for<'a> fn(&'a Level<'a>, Kind, Vec<&'a str>) -> BoxFuture<'a, Outcome<Found>>;

impl<R: Present> Relation<R> {
    /// The row whose guid is `key`.
    pub(crate) const fn one<T: Present>(
        name: &'static str,
        key: fn(&R) -> Option<&str>,
    ) -> Relation<R> {
        Relation {
            name,
            key,
            kind: Kind::One,
            read: related::<T>,
        }
    }

    /// The rows that `link` finds by `key`, of which the caller sees what lists would show, unless there are too many.
    pub(crate) const fn many<T: Present>(
        name: &'static str,
        link: &'static Link,
        key: fn(&R) -> Option<&str>,
    ) -> Relation<R> {
        Relation {
            name,
            key,
            kind: Kind::Many(link),
            read: related::<T>,
        }
    }

    /// Rows of a kind there are none of.
    pub(crate) const fn nobody(name: &'static str, key: fn(&R) -> Option<&str>) -> Relation<R> {
        Relation {
            name,
            key,
            kind: Kind::One,
            read: nobody,
        }
    }

    /// Puts what is related to the rows into their resources.
    async fn embed(&self, rows: &[R], shown: &mut [Value], level: &Level<'_>) -> Outcome<()> {
        let mut keys: Vec<&str> = rows.iter().filter_map(self.key).collect();
        keys.sort_unstable();
        keys.dedup();
        let found = (self.read)(level, self.kind, keys).await?;
        for (row, resource) in rows.iter().zip(shown) {
            if let Some(related) = (self.key)(row).and_then(|key| found.get(key)) {
                resource["entity"][self.name] = related.clone();
            }
        }
        Ok(())
    }
}

/// One level of embedding: how much deeper it goes, and which collections lie above.
struct Level<'a> {
    view: View<'a>,
    depth: u32,
    above: Vec<&'static str>,
}

/// Resources of these rows with relations embedded `depth` levels deep.
pub(super) fn embedded<'a, R: Present>(
    rows: &'a [R],
    shown: Vec<Value>,
    view: View<'a>,
    depth: u32,
) -> BoxFuture<'a, Outcome<Vec<Value>>> {
    expand(rows, shown, view, depth, &[])
}

/// Boxed: rows embed each other.
fn expand<'a, R: Present>(
    rows: &'a [R],
    mut shown: Vec<Value>,
    view: View<'a>,
    depth: u32,
    above: &[&'static str],
) -> BoxFuture<'a, Outcome<Vec<Value>>> {
    let mut above = above.to_vec();
    Box::pin(async move {
        let Some(depth) = depth.checked_sub(1) else {
            return Ok(shown);
        };
        above.push(R::COLLECTION);
        let level = Level { view, depth, above };
        for relation in R::RELATIONS {
            relation.embed(rows, &mut shown, &level).await?;
        }
        Ok(shown)
    })
}

fn related<'a, T: Present>(
    level: &'a Level<'a>,
    kind: Kind,
    keys: Vec<&'a str>,
) -> BoxFuture<'a, Outcome<Found>> {
    Box::pin(async move {
        let mut found = Found::new();
        if level.above.contains(&T::COLLECTION) {
            return Ok(found);
        }
        for keys in keys.chunks(MOST_AMONG) {
            match kind {
                Kind::One => level.one_each::<T>(keys, &mut found).await?,
                Kind::Many(link) => level.many_each::<T>(link, keys, &mut found).await?,
            }
        }
        Ok(found)
    })
}

fn nobody<'a>(
    _level: &'a Level<'a>,
    _kind: Kind,
    keys: Vec<&'a str>,
) -> BoxFuture<'a, Outcome<Found>> {
    Box::pin(async move { Ok(empty_lists(&keys).collect()) })
}

fn empty_lists(keys: &[&str]) -> impl Iterator<Item = (String, Value)> {
    keys.iter().map(|key| ((*key).to_owned(), json!([])))
}

impl Level<'_> {
    async fn one_each<T: Present>(&self, keys: &[&str], found: &mut Found) -> Outcome<()> {
        let link = Link::itself(T::table());
        found.extend(self.members::<T>(&link, &link.of_each(keys)).await?);
        Ok(())
    }

    /// Counted first: a parent may have any number of members.
    async fn many_each<T: Present>(
        &self,
        link: &Link,
        keys: &[&str],
        found: &mut Found,
    ) -> Outcome<()> {
        let seen = |keys: &[&str]| self.view.seen_of::<T>(link.of_each(keys));
        let counts = self.view.ctl.store.tally(link, &seen(keys)).await?;
        let count = |key: &str| counts.get(key).copied().unwrap_or(0);
        let mut few: Vec<&str> = keys.to_vec();
        few.retain(|key| count(key) <= MAX_EMBEDDED);
        found.extend(empty_lists(&few));
        few.retain(|key| count(key) > 0);
        if few.is_empty() {
            return Ok(());
        }
        for (parent, member) in self.members::<T>(link, &seen(&few)).await? {
            if let Some(Value::Array(members)) = found.get_mut(&parent) {
                members.push(member);
            }
        }
        Ok(())
    }

    /// Members behind their parents' guids, as they are embedded.
    async fn members<T: Present>(
        &self,
        link: &Link,
        scope: &Scope,
    ) -> Outcome<Vec<(String, Value)>> {
        let members = self.view.ctl.store.members::<T>(link, scope).await?;
        let (parents, rows): (Vec<String>, Vec<T>) = members.into_iter().unzip();
        let leaves: Outcome<Vec<Value>> = rows.iter().map(|row| row.leaf(&self.view)).collect();
        let shown = expand(&rows, leaves?, self.view, self.depth, &self.above).await?;
        Ok(parents.into_iter().zip(shown).collect())
    }
}
