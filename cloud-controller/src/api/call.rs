//! One authenticated request, and the answers every collection gives alike.

use axum::Json;
use axum::extract::{FromRequestParts, RawQuery};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use serde_json::Value;
use v2_api::{ApiError, Code};

use super::jobs::{self, Deleted};
use super::lists::{Present, View, page, query};
use super::settings;
use super::{audit, body};
use crate::authorize::{Action, Caller};
use crate::controller::Ctl;
use crate::failure::{Failure, Outcome, fail, fail_with};
use crate::store::{NewEvent, Scope};

/// What creations and updates answer: 201 and the resource.
pub(super) type Created = Outcome<Resource>;

/// 201 and a resource.
pub(super) struct Resource(pub(super) Json<Value>);

/// Where the resource of an answer is; becomes `Location` when it was just made.
#[derive(Clone)]
pub(super) struct Place(pub(super) HeaderValue);

impl IntoResponse for Resource {
    fn into_response(self) -> Response {
        let url = self.0.pointer("/metadata/url").and_then(Value::as_str);
        let place = url.and_then(|url| HeaderValue::from_str(url).ok());
        let mut response = (StatusCode::CREATED, self.0).into_response();
        if let Some(url) = place {
            response.extensions_mut().insert(Place(url));
        }
        response
    }
}

/// One request of a known caller.
pub(super) struct Call {
    pub(super) ctl: Ctl,
    pub(super) caller: Caller,
    raw: RawQuery,
    path: String,
}

impl FromRequestParts<Ctl> for Call {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, ctl: &Ctl) -> Result<Call, Failure> {
        Ok(Call {
            caller: Caller::from_request_parts(parts, ctl).await?,
            raw: RawQuery(parts.uri.query().map(str::to_owned)),
            path: parts.uri.path().to_owned(),
            ctl: ctl.clone(),
        })
    }
}

impl Call {
    /// Through whose eyes rows are shown.
    pub(super) fn view(&self) -> View<'_> {
        View {
            ctl: &self.ctl,
            caller: &self.caller,
        }
    }

    /// Refuses what the caller may not do.
    pub(super) fn need(&self, action: Action<'_>) -> Outcome<()> {
        self.caller.need(action)
    }

    /// Refuses what a feature flag forbids; administrators are exempt.
    pub(super) async fn need_feature(&self, flag: &'static str) -> Outcome<()> {
        settings::need(&self.ctl, &self.caller, flag).await
    }

    /// Whether a query flag is set to true.
    pub(super) fn flag(&self, name: &str) -> bool {
        body::flag(&self.raw, name)
    }

    /// A query parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        body::parameter(&self.raw, name)
    }

    /// What of a collection the caller may see.
    pub(super) fn seen<R: Present>(&self) -> Scope {
        self.seen_of::<R>(Scope::all())
    }

    /// What of some members of a collection the caller may see.
    pub(super) fn seen_of<R: Present>(&self, scope: Scope) -> Scope {
        self.view().seen_of::<R>(scope)
    }

    /// A member by guid, whoever may see it; `missing` is the error when there is none.
    pub(super) async fn find<R: Present>(&self, guid: &str, missing: Code) -> Outcome<R> {
        let found = self.ctl.store.find(R::table(), &Scope::all(), guid).await?;
        found.ok_or_else(|| fail_with(missing, guid))
    }

    /// A member by guid that the caller may see. One that exists and is not visible is 403, as everywhere.
    pub(super) async fn find_visible<R: Present>(
        &self,
        guid: &str,
        scope: &Scope,
        missing: Code,
    ) -> Outcome<R> {
        if let Some(row) = self.ctl.store.find(R::table(), scope, guid).await? {
            return Ok(row);
        }
        self.find::<R>(guid, missing).await?;
        Err(fail(Code::NotAuthorized))
    }

    /// All members in scope.
    pub(super) async fn all<R: Present>(&self, scope: &Scope) -> Outcome<Vec<R>> {
        Ok(self.ctl.store.all(R::table(), scope).await?)
    }

    /// How many members are in scope.
    pub(super) async fn count<R: Present>(&self, scope: &Scope) -> Outcome<i64> {
        Ok(self.ctl.store.count(R::table(), scope).await?)
    }

    /// 200: one page of what is in scope, at the request's own path.
    pub(super) async fn list<R: Present>(&self, scope: Scope) -> Outcome<Json<Value>> {
        page::<R>(&self.view(), &scope, &self.raw, &self.path).await
    }

    /// 200: one resource, with relations as deep as asked.
    pub(super) async fn show<R: Present>(&self, row: &R) -> Outcome<Json<Value>> {
        let depth = query(&self.raw)?.depth;
        Ok(Json(row.present(&self.view(), depth).await?))
    }

    /// 201: the same as the answer to a creation or an update.
    pub(super) async fn created<R: Present>(&self, row: &R) -> Created {
        Ok(Resource(self.show(row).await?))
    }

    /// As [`Call::created`], for a member whose row was just written.
    pub(super) async fn created_guid<R: Present>(&self, guid: &str, missing: Code) -> Created {
        self.created(&self.find::<R>(guid, missing).await?).await
    }

    /// 204, or 202 with a job when the client asked for `async`.
    pub(super) async fn deleted(&self) -> Outcome<Deleted> {
        jobs::deleted(&self.ctl, &self.raw).await
    }

    /// Refuses a deletion without `recursive=true` while something hangs on it: 10006 naming what.
    pub(super) fn need_empty(&self, counts: &[(&str, i64)], what: &str) -> Outcome<()> {
        let left: Vec<&str> = counts
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(name, _)| *name)
            .collect();
        if left.is_empty() || self.flag("recursive") {
            return Ok(());
        }
        Err(ApiError::with_details(Code::AssociationNotEmpty, &[&left.join(", "), what]).into())
    }

    /// An event of this caller; where it happened is (space, organization).
    pub(super) fn event(
        &self,
        kind: &'static str,
        actee: (&str, &'static str, &str),
        metadata: Value,
        place: (Option<&str>, Option<&str>),
    ) -> NewEvent {
        audit::event(&self.caller, kind, actee, metadata, place)
    }
}

/// A field the request must have: 400/1001 naming it.
pub(super) fn required<T>(value: Option<T>, field: &str) -> Outcome<T> {
    value.ok_or_else(|| {
        fail_with(
            Code::MessageParseError,
            format!("the field {field:?} is missing; send it"),
        )
    })
}
