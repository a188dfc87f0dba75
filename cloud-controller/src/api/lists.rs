//! How resources and lists become JSON.

use axum::Json;
use axum::extract::RawQuery;
use serde_json::{Value, json};
use v2_api::ListQuery;

use super::times::rfc3339;
use crate::authorize::Caller;
use crate::controller::Ctl;
use crate::failure::Outcome;
use crate::store::{Record, Scope, Table};

/// Who looks, and through which controller.
pub(crate) struct View<'a> {
    pub(crate) ctl: &'a Ctl,
    pub(crate) caller: &'a Caller,
}

/// A row that has a place in the API.
pub(crate) trait Present: Record + Sync {
    /// The resource without embedded relations.
    fn flat(&self, view: &View<'_>) -> Outcome<Value>;

    /// The resource with relations embedded `depth` levels deep. (We embed one level, and the domain of an app's routes; deeper is the same.)
    fn present(&self, view: &View<'_>, _depth: u32) -> impl Future<Output = Outcome<Value>> + Send {
        let flat = self.flat(view);
        async move { flat }
    }
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

/// Reads a list request.
pub(crate) fn query(raw: &RawQuery) -> Outcome<ListQuery> {
    Ok(ListQuery::parse(raw.0.as_deref().unwrap_or_default())?)
}

/// One page of a collection.
pub(crate) async fn page<R: Present>(
    view: &View<'_>,
    table: &Table,
    scope: &Scope,
    raw: &RawQuery,
    path: &str,
) -> Outcome<Json<Value>> {
    let query = query(raw)?;
    let (total, rows) = view.ctl.store.list::<R>(table, scope, &query).await?;
    let mut resources = Vec::with_capacity(rows.len());
    for row in &rows {
        resources.push(row.present(view, query.depth).await?);
    }
    Ok(Json(json!(query.page_of(path, total, resources))))
}

/// All members in scope, flat; for embedding.
pub(crate) async fn embedded<R: Present>(
    view: &View<'_>,
    table: &Table,
    scope: &Scope,
) -> Outcome<Value> {
    let rows = view.ctl.store.all::<R>(table, scope).await?;
    let flat: Outcome<Vec<Value>> = rows.iter().map(|row| row.flat(view)).collect();
    Ok(Value::Array(flat?))
}

/// A list without members.
pub(crate) fn empty() -> Json<Value> {
    Json(json!(v2_api::List::<Value>::single(Vec::new())))
}
