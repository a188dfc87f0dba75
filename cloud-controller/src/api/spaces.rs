//! Spaces.

use axum::Json;
use axum::extract::Path;
use serde::Deserialize;
use serde_json::{Value, json};
use v2_api::Code;

use super::body::{self, Body};
use super::call::{Call, Created, required};
use super::jobs::Deleted;
use super::lists::{Present, View, empty, envelope, link};
use super::relations::Relation;
use super::routing::{Routes, get};
use super::{app_delete, orgs, security_groups, space_quotas, summary, taken};
use crate::authorize::{Action, Caller, SEEN_SPACES};
use crate::controller::Ctl;
use crate::failure::{Failure, Outcome, fail_with};
use crate::store::{
    APPS_OF_SPACE, AppRow, DOMAINS_USABLE_BY_ORG, DomainRow, EventRow, GroupDefault, NewEvent,
    OrgRow, ROUTES_OF_SPACE, RUNNING_GROUPS_OF_SPACE, Role, RouteRow, SERVICES_OF_SPACE, SPACES,
    Scope, SecurityGroupRow, ServiceRow, SpaceQuotaRow, SpaceRow, Table,
};

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/v2/spaces", get(list).post(create))
        .route("/v2/spaces/{guid}", get(show).put(update).delete(delete))
        .route("/v2/spaces/{guid}/apps", get(apps))
        .route("/v2/spaces/{guid}/routes", get(list_routes))
        .route("/v2/spaces/{guid}/domains", get(list_domains))
        .route("/v2/spaces/{guid}/events", get(events))
        .route("/v2/spaces/{guid}/summary", get(show_summary))
        .route("/v2/spaces/{guid}/security_groups", get(groups))
        .route(
            "/v2/spaces/{guid}/staging_security_groups",
            get(staging_groups),
        )
        .route("/v2/spaces/{guid}/services", get(services))
}

impl Present for SpaceRow {
    const COLLECTION: &'static str = "spaces";
    const SEEN: &'static [&'static str] = SEEN_SPACES;
    const RELATIONS: &'static [Relation<SpaceRow>] = &[
        Relation::one::<OrgRow>("organization", |space| Some(&space.organization_guid)),
        Relation::one::<SpaceQuotaRow>("space_quota_definition", |space| {
            space.space_quota_definition_guid.as_deref()
        }),
        Relation::many::<AppRow>("apps", &APPS_OF_SPACE, |space| Some(&space.guid)),
        Relation::many::<RouteRow>("routes", &ROUTES_OF_SPACE, |space| Some(&space.guid)),
        Relation::many::<DomainRow>("domains", &DOMAINS_USABLE_BY_ORG, |space| {
            Some(&space.organization_guid)
        }),
        Relation::many::<ServiceRow>("service_instances", &SERVICES_OF_SPACE, |space| {
            Some(&space.guid)
        }),
        Relation::many::<SecurityGroupRow>("security_groups", &RUNNING_GROUPS_OF_SPACE, |space| {
            Some(&space.guid)
        }),
    ];

    fn table() -> &'static Table {
        &SPACES
    }

    fn flat(&self, _view: &View<'_>) -> Outcome<Value> {
        let url = format!("/v2/spaces/{}", self.guid);
        let mut entity = json!({
            "name": self.name, "organization_guid": self.organization_guid,
            "space_quota_definition_guid": self.space_quota_definition_guid,
            "allow_ssh": self.allow_ssh, "organization_url": format!("/v2/organizations/{}", self.organization_guid),
        });
        if let Some(quota) = &self.space_quota_definition_guid {
            entity["space_quota_definition_url"] =
                json!(format!("/v2/space_quota_definitions/{quota}"));
        }
        let relations = [
            "developers",
            "managers",
            "auditors",
            "apps",
            "routes",
            "domains",
            "service_instances",
            "app_events",
            "events",
            "security_groups",
        ];
        link(&mut entity, &url, &relations);
        Ok(envelope(
            Self::COLLECTION,
            &self.guid,
            (self.created_at, self.updated_at),
            entity,
        ))
    }
}

/// The space, if it exists and the caller may see it.
pub(super) async fn load(ctl: &Ctl, caller: &Caller, guid: &str) -> Outcome<SpaceRow> {
    let space: Option<SpaceRow> = ctl.store.find(&SPACES, &Scope::all(), guid).await?;
    let space = space.ok_or_else(|| fail_with(Code::SpaceNotFound, guid))?;
    caller.need(Action::ReadSpace(&space.guid, &space.organization_guid))?;
    Ok(space)
}

/// As [`load`], of a call.
pub(super) async fn visible(call: &Call, guid: &str) -> Outcome<SpaceRow> {
    load(&call.ctl, &call.caller, guid).await
}

async fn list(call: Call) -> Outcome<Json<Value>> {
    call.list::<SpaceRow>(call.seen::<SpaceRow>()).await
}

async fn show(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    let space = visible(&call, &guid).await?;
    call.show(&space).await
}

#[derive(Deserialize)]
struct SpaceBody {
    name: Option<String>,
    organization_guid: Option<String>,
    space_quota_definition_guid: Option<String>,
    allow_ssh: Option<bool>,
}

fn named(sent: &str) -> Result<String, Failure> {
    body::name(sent).ok_or_else(|| fail_with(Code::SpaceInvalid, "name must not be empty"))
}

fn event(call: &Call, kind: &'static str, space: &SpaceRow, metadata: Value) -> NewEvent {
    call.event(
        kind,
        (&space.guid, "space", &space.name),
        metadata,
        (Some(&space.guid), Some(&space.organization_guid)),
    )
}

async fn create(call: Call, Body(sent): Body<SpaceBody>) -> Created {
    let org = required(sent.organization_guid, "organization_guid")?;
    let name = required(sent.name, "name")?;
    let org = orgs::visible(&call, &org).await?;
    call.need(Action::ManageOrg(&org.guid))?;
    if let Some(quota) = &sent.space_quota_definition_guid {
        space_quotas::of_org(&call, quota, &org.guid).await?;
    }
    let mut tx = call.ctl.store.begin().await?;
    let space = SpaceRow {
        guid: bus::ids::guid(),
        name: named(&name)?,
        organization_guid: org.guid,
        space_quota_definition_guid: sent.space_quota_definition_guid,
        allow_ssh: sent.allow_ssh.unwrap_or(true),
        created_at: tx.now(),
        updated_at: None,
    };
    tx.insert_space(&space)
        .await
        .map_err(|error| taken(error, Code::SpaceNameTaken, &space.name))?;
    if !call.caller.admin {
        tx.grant(&call.caller.guid, Role::SpaceManager, &space.guid)
            .await?;
    }
    let request = json!({"request": {"name": space.name}});
    tx.record_event(&event(&call, "audit.space.create", &space, request))
        .await?;
    tx.commit().await?;
    call.created(&space).await
}

async fn update(call: Call, Path(guid): Path<String>, Body(sent): Body<SpaceBody>) -> Created {
    let mut space = visible(&call, &guid).await?;
    call.need(Action::ManageSpace(&space.guid, &space.organization_guid))?;
    if let Some(name) = &sent.name {
        space.name = named(name)?;
    }
    if let Some(quota) = sent.space_quota_definition_guid {
        call.need(Action::ManageOrg(&space.organization_guid))?;
        space_quotas::of_org(&call, &quota, &space.organization_guid).await?;
        space.space_quota_definition_guid = Some(quota);
    }
    space.allow_ssh = sent.allow_ssh.unwrap_or(space.allow_ssh);
    let mut tx = call.ctl.store.begin().await?;
    tx.update_space(&space)
        .await
        .map_err(|error| taken(error, Code::SpaceNameTaken, &space.name))?;
    let request = json!({"request": {"name": space.name}});
    tx.record_event(&event(&call, "audit.space.update", &space, request))
        .await?;
    tx.commit().await?;
    call.created_guid::<SpaceRow>(&guid, Code::SpaceNotFound)
        .await
}

async fn delete(call: Call, Path(guid): Path<String>) -> Outcome<Deleted> {
    let space = visible(&call, &guid).await?;
    call.need(Action::ManageOrg(&space.organization_guid))?;
    let here = Scope::in_space(&guid);
    let content = [
        ("apps", call.count::<AppRow>(&here).await?),
        ("service_instances", call.count::<ServiceRow>(&here).await?),
        ("routes", call.count::<RouteRow>(&here).await?),
    ];
    call.need_empty(&content, "spaces")?;
    app_delete::empty_space(&call, &space).await?;
    let request = json!({"request": {"recursive": call.flag("recursive")}});
    let mut tx = call.ctl.store.begin().await?;
    tx.record_event(&event(&call, "audit.space.delete-request", &space, request))
        .await?;
    tx.delete_space(&space.guid).await?;
    tx.commit().await?;
    call.deleted().await
}

async fn apps(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    visible(&call, &guid).await?;
    call.list::<AppRow>(Scope::in_space(&guid)).await
}

async fn list_routes(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    visible(&call, &guid).await?;
    call.list::<RouteRow>(Scope::in_space(&guid)).await
}

async fn list_domains(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    let space = visible(&call, &guid).await?;
    let usable = DOMAINS_USABLE_BY_ORG.of(&space.organization_guid);
    call.list::<DomainRow>(call.seen_of::<DomainRow>(usable))
        .await
}

async fn events(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    visible(&call, &guid).await?;
    let here = call.seen::<EventRow>().and(&["t.space_guid = ", ""], guid);
    call.list::<EventRow>(here).await
}

async fn groups(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    visible(&call, &guid).await?;
    call.list::<SecurityGroupRow>(RUNNING_GROUPS_OF_SPACE.of(&guid))
        .await
}

/// Stagings have the defaults only.
async fn staging_groups(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    visible(&call, &guid).await?;
    call.list::<SecurityGroupRow>(security_groups::default_for(GroupDefault::Staging))
        .await
}

/// There are no managed services.
async fn services(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    visible(&call, &guid).await?;
    Ok(empty())
}

async fn show_summary(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    let space = visible(&call, &guid).await?;
    Ok(Json(summary::of_space(&call.view(), &space).await?))
}
