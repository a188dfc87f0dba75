//! Users as the controller knows them.

use axum::extract::{Path, RawQuery, State};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use v2_api::Code;

use super::body::Body;
use super::jobs::{self, Deleted};
use super::lists::{Present, View, envelope, page};
use crate::authorize::{Action, Caller, SEEN_USERS};
use crate::controller::Ctl;
use crate::failure::{Outcome, fail_with};
use crate::store::{Scope, USERS, UserRow};

pub(super) fn routes() -> Router<Ctl> {
    Router::new()
        .route("/v2/users", get(list).post(create))
        .route("/v2/users/{guid}", get(show).delete(delete))
}

impl Present for UserRow {
    fn flat(&self, _view: &View<'_>) -> Outcome<Value> {
        let entity = json!({"admin": self.admin, "active": true, "default_space_guid": null, "username": self.username});
        Ok(envelope(
            "users",
            &self.guid,
            (self.created_at, self.updated_at),
            entity,
        ))
    }
}

async fn list(State(ctl): State<Ctl>, caller: Caller, raw: RawQuery) -> Outcome<Json<Value>> {
    page::<UserRow>(
        &View {
            ctl: &ctl,
            caller: &caller,
        },
        &USERS,
        &caller.visible(SEEN_USERS),
        &raw,
        "/v2/users",
    )
    .await
}

async fn show(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
) -> Outcome<Json<Value>> {
    let found: Option<UserRow> = ctl
        .store
        .find(&USERS, &caller.visible(SEEN_USERS), &guid)
        .await?;
    let user = found.ok_or_else(|| fail_with(Code::UserNotFound, &guid))?;
    Ok(Json(user.flat(&View {
        ctl: &ctl,
        caller: &caller,
    })?))
}

#[derive(Deserialize)]
struct UserBody {
    guid: String,
}

async fn create(
    State(ctl): State<Ctl>,
    caller: Caller,
    Body(sent): Body<UserBody>,
) -> Outcome<(StatusCode, Json<Value>)> {
    caller.need(Action::Administer)?;
    if ctl.store.knows_user(&sent.guid, None).await? {
        return Err(fail_with(Code::UaaIdTaken, &sent.guid));
    }
    let mut tx = ctl.store.begin().await?;
    tx.ensure_user(&sent.guid, None, false).await?;
    tx.commit().await?;
    let found: Option<UserRow> = ctl.store.find(&USERS, &Scope::all(), &sent.guid).await?;
    let user = found.ok_or_else(|| fail_with(Code::UserNotFound, &sent.guid))?;
    Ok((
        StatusCode::CREATED,
        Json(user.flat(&View {
            ctl: &ctl,
            caller: &caller,
        })?),
    ))
}

async fn delete(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
    raw: RawQuery,
) -> Outcome<Deleted> {
    caller.need(Action::Administer)?;
    let mut tx = ctl.store.begin().await?;
    if !tx.delete_user(&guid).await? {
        return Err(fail_with(Code::UserNotFound, &guid));
    }
    tx.commit().await?;
    jobs::deleted(&ctl, &raw).await
}
