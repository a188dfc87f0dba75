//! How rows become JSON, alone and in lists.

use axum::Json;
use axum::extract::RawQuery;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use v2_api::ListQuery;

use super::relations::{Relation, embedded};
use super::times::rfc3339;
use crate::authorize::Caller;
use crate::controller::Ctl;
use crate::failure::Outcome;
use crate::store::{Record, Scope, Table};

/// Who looks, and through which controller.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) ctl: &'a Ctl,
    pub(crate) caller: &'a Caller,
}

impl View<'_> {
    /// What the looker may see of some members of a collection.
    pub(super) fn seen_of<R: Present>(&self, scope: Scope) -> Scope {
        if R::SEEN.is_empty() {
            scope
        } else {
            self.caller.narrow(scope, R::SEEN)
        }
    }
}

/// A row that has a place in the API.
pub(crate) trait Present: Record + Sync + 'static {
    /// Its collection, which also names its type on the path of embedded relations.
    const COLLECTION: &'static str;
    /// The condition under which others than administrators see a member (see [`Caller::narrow`]); none: everybody does.
    const SEEN: &'static [&'static str] = &[];
    /// What is embedded in it, in this order.
    const RELATIONS: &'static [Relation<Self>] = &[];

    /// Where it is stored.
    fn table() -> &'static Table;

    /// The resource without embedded relations.
    fn flat(&self, view: &View<'_>) -> Outcome<Value>;

    /// The resource as it is embedded at the deepest level.
    fn leaf(&self, view: &View<'_>) -> Outcome<Value> {
        self.flat(view)
    }

    /// The resource with relations embedded `depth` levels deep.
    fn present<'a>(&'a self, view: &'a View<'a>, depth: u32) -> BoxFuture<'a, Outcome<Value>> {
        Box::pin(async move {
            let mut shown = present(std::slice::from_ref(self), view, depth).await?;
            Ok(shown.pop().unwrap_or_default())
        })
    }
}

/// Resources of rows, in their order, with relations embedded `depth` levels deep.
async fn present<R: Present>(rows: &[R], view: &View<'_>, depth: u32) -> Outcome<Vec<Value>> {
    let flat: Outcome<Vec<Value>> = rows.iter().map(|row| row.flat(view)).collect();
    embedded(rows, flat?, *view, depth).await
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
    let resources = present(&rows, view, query.depth).await?;
    Ok(Json(json!(query.page_of(path, total, resources))))
}

/// A list without members.
pub(crate) fn empty() -> Json<Value> {
    Json(json!(v2_api::List::<Value>::single(Vec::new())))
}
