//! Security groups: where containers may connect to. Defaults for all running or staging containers, and groups of single spaces.
//!
//! A change reaches an app with its next start or staging, as in the original.

use axum::Json;
use axum::extract::Path;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use v2_api::Code;

use super::body::{self, Body};
use super::call::{Call, Created, required};
use super::egress;
use super::jobs::Deleted;
use super::lists::{Present, View, envelope};
use super::relations::Relation;
use super::routing::{Routes, get, put};
use super::{spaces, taken};
use crate::authorize::{Action, SEEN_GROUPS};
use crate::failure::{Outcome, fail_with};
use crate::store::{
    GroupDefault, NewEvent, SECURITY_GROUPS, SPACES_OF_GROUP, Scope, SecurityGroupRow, SpaceRow,
    Table,
};

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/v2/security_groups", get(list).post(create))
        .route(
            "/v2/security_groups/{guid}",
            get(show).put(update).delete(delete),
        )
        .route("/v2/security_groups/{guid}/spaces", get(of_spaces))
        .route(
            "/v2/security_groups/{guid}/spaces/{space}",
            put(bind).delete(unbind),
        )
        .route(
            "/v2/config/running_security_groups",
            get(|call| defaults(call, GroupDefault::Running)),
        )
        .route(
            "/v2/config/running_security_groups/{guid}",
            put(|call, guid| set_default(call, guid, GroupDefault::Running))
                .delete(|call, guid| end_default(call, guid, GroupDefault::Running)),
        )
        .route(
            "/v2/config/staging_security_groups",
            get(|call| defaults(call, GroupDefault::Staging)),
        )
        .route(
            "/v2/config/staging_security_groups/{guid}",
            put(|call, guid| set_default(call, guid, GroupDefault::Staging))
                .delete(|call, guid| end_default(call, guid, GroupDefault::Staging)),
        )
}

impl Present for SecurityGroupRow {
    const COLLECTION: &'static str = "security_groups";
    const SEEN: &'static [&'static str] = SEEN_GROUPS;
    const RELATIONS: &'static [Relation<SecurityGroupRow>] = &[Relation::many::<SpaceRow>(
        "spaces",
        &SPACES_OF_GROUP,
        |group| Some(&group.guid),
    )];

    fn table() -> &'static Table {
        &SECURITY_GROUPS
    }

    fn flat(&self, _view: &View<'_>) -> Outcome<Value> {
        let rules: Value = serde_json::from_str(&self.rules).unwrap_or_else(|_| json!([]));
        let entity = json!({
            "name": self.name, "rules": rules, "running_default": self.running_default, "staging_default": self.staging_default,
            "spaces_url": format!("/v2/security_groups/{}/spaces", self.guid),
        });
        let times = (self.created_at, self.updated_at);
        Ok(envelope(Self::COLLECTION, &self.guid, times, entity))
    }
}

/// The defaults of one kind.
pub(super) fn default_for(kind: GroupDefault) -> Scope {
    Scope::all().holding(match kind {
        GroupDefault::Running => &["t.running_default = TRUE"],
        GroupDefault::Staging => &["t.staging_default = TRUE"],
    })
}

/// The group, if the caller may see it.
async fn visible(call: &Call, guid: &str) -> Outcome<SecurityGroupRow> {
    let scope = call.seen::<SecurityGroupRow>();
    call.find_visible(guid, &scope, Code::SecurityGroupNotFound)
        .await
}

/// The group, for those who may change it: administrators.
async fn to_change(call: &Call, guid: &str) -> Outcome<SecurityGroupRow> {
    call.need(Action::Administer)?;
    call.find(guid, Code::SecurityGroupNotFound).await
}

async fn list(call: Call) -> Outcome<Json<Value>> {
    call.list::<SecurityGroupRow>(call.seen::<SecurityGroupRow>())
        .await
}

async fn show(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    let group = visible(&call, &guid).await?;
    call.show(&group).await
}

async fn of_spaces(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    let group = visible(&call, &guid).await?;
    let scope = call.seen_of::<SpaceRow>(SPACES_OF_GROUP.of(&group.guid));
    call.list::<SpaceRow>(scope).await
}

#[derive(Deserialize)]
struct GroupBody {
    name: Option<String>,
    rules: Option<Vec<Value>>,
    space_guids: Option<Vec<String>>,
}

impl GroupBody {
    /// Writes the keys present into the row.
    fn apply(&self, row: &mut SecurityGroupRow) -> Outcome<()> {
        let invalid = |text: String| fail_with(Code::SecurityGroupInvalid, text);
        if let Some(name) = &self.name {
            row.name = body::name(name).ok_or_else(|| invalid("name must not be empty".into()))?;
        }
        if let Some(rules) = &self.rules {
            egress::check(rules).map_err(invalid)?;
            row.rules = Value::Array(rules.clone()).to_string();
        }
        Ok(())
    }
}

async fn create(call: Call, Body(sent): Body<GroupBody>) -> Created {
    call.need(Action::Administer)?;
    required(sent.name.as_ref(), "name")?;
    let mut row = SecurityGroupRow {
        guid: bus::ids::guid(),
        name: String::new(),
        rules: "[]".into(),
        running_default: false,
        staging_default: false,
        created_at: 0,
        updated_at: None,
    };
    sent.apply(&mut row)?;
    write(&call, &row, &sent, "audit.security_group.create").await
}

async fn update(call: Call, Path(guid): Path<String>, Body(sent): Body<GroupBody>) -> Created {
    let mut row = to_change(&call, &guid).await?;
    sent.apply(&mut row)?;
    write(&call, &row, &sent, "audit.security_group.update").await
}

fn event(
    call: &Call,
    kind: &'static str,
    group: &SecurityGroupRow,
    metadata: Value,
    space: Option<&SpaceRow>,
) -> NewEvent {
    let place = (
        space.map(|space| space.guid.as_str()),
        space.map(|space| space.organization_guid.as_str()),
    );
    let actee = (group.guid.as_str(), "security_group", group.name.as_str());
    call.event(kind, actee, metadata, place)
}

async fn write(
    call: &Call,
    row: &SecurityGroupRow,
    sent: &GroupBody,
    kind: &'static str,
) -> Created {
    let named = sent.space_guids.as_deref().unwrap_or_default();
    for space in named {
        spaces::visible(call, space).await?;
    }
    let request = json!({"request": {"name": row.name, "rules": sent.rules, "space_guids": sent.space_guids}});
    let event = event(call, kind, row, request, None);
    let mut tx = call.ctl.store.begin().await?;
    tx.save_security_group(row)
        .await
        .map_err(|error| taken(error, Code::SecurityGroupNameTaken, &row.name))?;
    for space in named {
        tx.bind_group(&row.guid, space).await?;
    }
    tx.record_event(&event).await?;
    tx.commit().await?;
    call.created_guid::<SecurityGroupRow>(&row.guid, Code::SecurityGroupNotFound)
        .await
}

async fn delete(call: Call, Path(guid): Path<String>) -> Outcome<Deleted> {
    let group = to_change(&call, &guid).await?;
    let event = event(
        &call,
        "audit.security_group.delete-request",
        &group,
        json!({}),
        None,
    );
    let mut tx = call.ctl.store.begin().await?;
    tx.delete_security_group(&guid).await?;
    tx.record_event(&event).await?;
    tx.commit().await?;
    call.deleted().await
}

async fn bind(call: Call, Path((guid, space)): Path<(String, String)>) -> Created {
    let group = to_change(&call, &guid).await?;
    let space = spaces::visible(&call, &space).await?;
    let metadata = json!({"space_guid": space.guid});
    let event = event(&call, APPLY, &group, metadata, Some(&space));
    let mut tx = call.ctl.store.begin().await?;
    tx.bind_group(&group.guid, &space.guid).await?;
    tx.record_event(&event).await?;
    tx.commit().await?;
    call.created(&group).await
}

async fn unbind(call: Call, Path((guid, space)): Path<(String, String)>) -> Created {
    let group = to_change(&call, &guid).await?;
    let space = spaces::visible(&call, &space).await?;
    let metadata = json!({"space_guid": space.guid});
    let event = event(&call, UNAPPLY, &group, metadata, Some(&space));
    let mut tx = call.ctl.store.begin().await?;
    tx.unbind_group(&group.guid, &space.guid).await?;
    tx.record_event(&event).await?;
    tx.commit().await?;
    call.created(&group).await
}

/// Events of a group that begins or ceases to hold somewhere.
const APPLY: &str = "audit.security_group.apply";
const UNAPPLY: &str = "audit.security_group.unapply";

async fn defaults(call: Call, kind: GroupDefault) -> Outcome<Json<Value>> {
    call.need(Action::Administer)?;
    call.list::<SecurityGroupRow>(default_for(kind)).await
}

/// Whatever body comes is ignored: clients send the JSON text `""`.
async fn set_default(
    call: Call,
    Path(guid): Path<String>,
    kind: GroupDefault,
) -> Outcome<Json<Value>> {
    change_default(&call, &guid, kind, true).await?;
    let group: SecurityGroupRow = call.find(&guid, Code::SecurityGroupNotFound).await?;
    call.show(&group).await
}

async fn end_default(
    call: Call,
    Path(guid): Path<String>,
    kind: GroupDefault,
) -> Outcome<StatusCode> {
    change_default(&call, &guid, kind, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn change_default(call: &Call, guid: &str, kind: GroupDefault, on: bool) -> Outcome<()> {
    let group = to_change(call, guid).await?;
    let action = if on { APPLY } else { UNAPPLY };
    let event = event(call, action, &group, json!({"default": kind.word()}), None);
    let mut tx = call.ctl.store.begin().await?;
    tx.set_group_default(&group.guid, kind, on).await?;
    tx.record_event(&event).await?;
    Ok(tx.commit().await?)
}
