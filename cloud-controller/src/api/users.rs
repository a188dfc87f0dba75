//! Users as the controller knows them.

use axum::Json;
use axum::extract::Path;
use serde::Deserialize;
use serde_json::{Value, json};
use v2_api::Code;

use super::body::Body;
use super::call::{Call, Created};
use super::jobs::Deleted;
use super::lists::{Present, View, envelope};
use super::routing::{Routes, get};
use crate::authorize::{Action, SEEN_USERS};
use crate::failure::{Outcome, fail_with};
use crate::store::{Table, USERS, UserRow};

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/v2/users", get(list).post(create))
        .route("/v2/users/{guid}", get(show).delete(delete))
}

impl Present for UserRow {
    const COLLECTION: &'static str = "users";
    const SEEN: &'static [&'static str] = SEEN_USERS;

    fn table() -> &'static Table {
        &USERS
    }

    fn flat(&self, _view: &View<'_>) -> Outcome<Value> {
        let entity = json!({"admin": self.admin, "active": true, "default_space_guid": null, "username": self.username});
        Ok(envelope(
            Self::COLLECTION,
            &self.guid,
            (self.created_at, self.updated_at),
            entity,
        ))
    }
}

async fn list(call: Call) -> Outcome<Json<Value>> {
    call.list::<UserRow>(call.seen::<UserRow>()).await
}

async fn show(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    let scope = call.seen::<UserRow>();
    let user: UserRow = call.find_visible(&guid, &scope, Code::UserNotFound).await?;
    call.show(&user).await
}

#[derive(Deserialize)]
struct UserBody {
    guid: String,
}

async fn create(call: Call, Body(sent): Body<UserBody>) -> Created {
    call.need(Action::Administer)?;
    if call.ctl.store.knows_user(&sent.guid, None).await? {
        return Err(fail_with(Code::UaaIdTaken, &sent.guid));
    }
    let name = call.ctl.uaa.name_of(&sent.guid).await.ok().flatten();
    let mut tx = call.ctl.store.begin().await?;
    tx.ensure_user(&sent.guid, name.as_deref(), false).await?;
    let actee = (
        sent.guid.as_str(),
        "user",
        name.as_deref().unwrap_or_default(),
    );
    let event = call.event("audit.user.create", actee, json!({}), (None, None));
    tx.record_event(&event).await?;
    tx.commit().await?;
    call.created_guid::<UserRow>(&sent.guid, Code::UserNotFound)
        .await
}

async fn delete(call: Call, Path(guid): Path<String>) -> Outcome<Deleted> {
    call.need(Action::Administer)?;
    let mut tx = call.ctl.store.begin().await?;
    if !tx.delete_user(&guid).await? {
        return Err(fail_with(Code::UserNotFound, &guid));
    }
    let actee = (guid.as_str(), "user", "");
    let event = call.event("audit.user.delete-request", actee, json!({}), (None, None));
    tx.record_event(&event).await?;
    tx.commit().await?;
    call.deleted().await
}
