//! How rows become JSON: alone, in lists, and embedded in each other.

use axum::Json;
use axum::extract::RawQuery;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use v2_api::ListQuery;

use super::times::rfc3339;
use crate::authorize::Caller;
use crate::controller::Ctl;
use crate::failure::Outcome;
use crate::store::{Record, Scope, Table};

/// A to-many relation with more members than this is not embedded; clients follow its URL.
const MAX_EMBEDDED: i64 = 50;

/// Who looks, and through which controller.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) ctl: &'a Ctl,
    pub(crate) caller: &'a Caller,
}

/// Relations by name; a name without a value is left out.
pub(crate) type Relations = Vec<(&'static str, Option<Value>)>;

/// A row that has a place in the API.
pub(crate) trait Present: Record + Sync {
    /// Its collection, which also names its type on the path of embedded relations.
    const COLLECTION: &'static str;
    /// The condition under which others than administrators see a member (see [`Caller::visible`]); none: everybody does.
    const SEEN: &'static [&'static str] = &[];

    /// Where it is stored.
    fn table() -> &'static Table;

    /// The resource without embedded relations.
    fn flat(&self, view: &View<'_>) -> Outcome<Value>;

    /// The resource as it is embedded at the deepest level.
    fn leaf(&self, view: &View<'_>) -> Outcome<Value> {
        self.flat(view)
    }

    /// The relations to embed.
    fn relations<'a>(&'a self, _embed: &'a Embed<'a>) -> BoxFuture<'a, Outcome<Relations>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// The resource with relations embedded `depth` levels deep.
    fn present<'a>(&'a self, view: &'a View<'a>, depth: u32) -> BoxFuture<'a, Outcome<Value>> {
        Box::pin(async move {
            let resource = self.flat(view)?;
            expand(self, resource, *view, depth, &[]).await
        })
    }
}

/// What of a collection the caller may see.
pub(crate) fn seen<R: Present>(caller: &Caller) -> Scope {
    if R::SEEN.is_empty() {
        Scope::all()
    } else {
        caller.visible(R::SEEN)
    }
}

/// One level of embedding: how much deeper it goes, and which types lie above.
pub(crate) struct Embed<'a> {
    pub(crate) view: View<'a>,
    depth: u32,
    above: Vec<&'static str>,
}

impl Embed<'_> {
    /// A to-one relation.
    pub(crate) async fn one<R: Present>(&self, guid: &str) -> Outcome<Option<Value>> {
        if self.above.contains(&R::COLLECTION) {
            return Ok(None);
        }
        let store = &self.view.ctl.store;
        match store.find::<R>(R::table(), &Scope::all(), guid).await? {
            Some(row) => Ok(Some(self.member(&row).await?)),
            None => Ok(None),
        }
    }

    /// A to-many relation: what the caller may see of it, unless there is too much of it.
    pub(crate) async fn many<R: Present>(&self, mut scope: Scope) -> Outcome<Option<Value>> {
        if self.above.contains(&R::COLLECTION) {
            return Ok(None);
        }
        if !R::SEEN.is_empty() {
            scope = self.view.caller.narrow(scope, R::SEEN);
        }
        let store = &self.view.ctl.store;
        if store.count(R::table(), &scope).await? > MAX_EMBEDDED {
            return Ok(None);
        }
        let rows = store.all::<R>(R::table(), &scope).await?;
        let mut members = Vec::with_capacity(rows.len());
        for row in &rows {
            members.push(self.member(row).await?);
        }
        Ok(Some(Value::Array(members)))
    }

    async fn member<R: Present>(&self, row: &R) -> Outcome<Value> {
        let leaf = row.leaf(&self.view)?;
        expand(row, leaf, self.view, self.depth, &self.above).await
    }
}

/// Adds relations to a resource, `depth` levels deep. Boxed: rows embed each other.
fn expand<'a, R: Present>(
    row: &'a R,
    mut resource: Value,
    view: View<'a>,
    depth: u32,
    above: &[&'static str],
) -> BoxFuture<'a, Outcome<Value>> {
    let mut above = above.to_vec();
    Box::pin(async move {
        let Some(depth) = depth.checked_sub(1) else {
            return Ok(resource);
        };
        above.push(R::COLLECTION);
        let embed = Embed { view, depth, above };
        for (name, value) in row.relations(&embed).await? {
            if let Some(value) = value {
                resource["entity"][name] = value;
            }
        }
        Ok(resource)
    })
}

/// `metadata` and `entity`.
pub(crate) fn envelope(
    collection: &str,
    guid: &str,
    times: (i64, Option<i64>),
    entity: Value,
) -> Value {
    json!({
        "metadata": {
            "guid": guid,
            "url": format!("/v2/{collection}/{guid}"),
            "created_at": rfc3339(times.0),
            "updated_at": times.1.map(rfc3339),
        },
        "entity": entity,
    })
}

/// Adds the URLs of relations that lie below a resource's own.
pub(crate) fn link(entity: &mut Value, url: &str, relations: &[&str]) {
    for relation in relations {
        entity[format!("{relation}_url")] = json!(format!("{url}/{relation}"));
    }
}

/// Reads a list request.
pub(crate) fn query(raw: &RawQuery) -> Outcome<ListQuery> {
    Ok(ListQuery::parse(raw.0.as_deref().unwrap_or_default())?)
}

/// One page of a collection.
pub(crate) async fn page<R: Present>(
    view: &View<'_>,
    scope: &Scope,
    raw: &RawQuery,
    path: &str,
) -> Outcome<Json<Value>> {
    let query = query(raw)?;
    let (total, rows) = view.ctl.store.list::<R>(R::table(), scope, &query).await?;
    let mut resources = Vec::with_capacity(rows.len());
    for row in &rows {
        resources.push(row.present(view, query.depth).await?);
    }
    Ok(Json(json!(query.page_of(path, total, resources))))
}

/// A list without members.
pub(crate) fn empty() -> Json<Value> {
    Json(json!(v2_api::List::<Value>::single(Vec::new())))
}
