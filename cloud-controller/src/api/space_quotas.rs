//! Quota definitions of spaces: made by an organization's managers, given to its spaces.

use axum::Json;
use axum::extract::Path;
use serde_json::{Value, json};
use v2_api::Code;

use super::body::Body;
use super::call::{Call, Created, required};
use super::jobs::Deleted;
use super::lists::{Present, View, envelope, link};
use super::quotas::{Codes, Limits, QuotaBody};
use super::relations::Relation;
use super::routing::{Routes, get, put};
use super::{orgs, spaces, taken};
use crate::authorize::{Action, SEEN_SPACE_QUOTAS};
use crate::failure::{Outcome, fail_with};
use crate::store::{OrgRow, SPACE_QUOTAS, SPACES_OF_QUOTA, SpaceQuotaRow, SpaceRow, Table};

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/v2/space_quota_definitions", get(list).post(create))
        .route(
            "/v2/space_quota_definitions/{guid}",
            get(show).put(update).delete(delete),
        )
        .route("/v2/space_quota_definitions/{guid}/spaces", get(of_spaces))
        .route(
            "/v2/space_quota_definitions/{guid}/spaces/{space}",
            put(give).delete(take),
        )
}

impl Present for SpaceQuotaRow {
    const COLLECTION: &'static str = "space_quota_definitions";
    const SEEN: &'static [&'static str] = SEEN_SPACE_QUOTAS;
    const RELATIONS: &'static [Relation<SpaceQuotaRow>] = &[
        Relation::one::<OrgRow>("organization", |quota| Some(&quota.organization_guid)),
        Relation::many::<SpaceRow>("spaces", &SPACES_OF_QUOTA, |quota| Some(&quota.guid)),
    ];

    fn table() -> &'static Table {
        &SPACE_QUOTAS
    }

    fn flat(&self, _view: &View<'_>) -> Outcome<Value> {
        let mut entity = json!({
            "name": self.name, "organization_guid": self.organization_guid,
            "non_basic_services_allowed": self.non_basic_services_allowed, "total_services": self.total_services,
            "total_routes": self.total_routes, "memory_limit": self.memory_limit,
            "instance_memory_limit": self.instance_memory_limit, "app_instance_limit": self.app_instance_limit,
            "organization_url": format!("/v2/organizations/{}", self.organization_guid),
        });
        let url = format!("/v2/{}/{}", Self::COLLECTION, self.guid);
        link(&mut entity, &url, &["spaces"]);
        Ok(envelope(
            Self::COLLECTION,
            &self.guid,
            (self.created_at, self.updated_at),
            entity,
        ))
    }
}

/// The quota, if its organization may be read.
async fn load(call: &Call, guid: &str) -> Outcome<SpaceQuotaRow> {
    let row: SpaceQuotaRow = call.find(guid, Code::SpaceQuotaDefinitionNotFound).await?;
    call.need(Action::ReadOrg(&row.organization_guid))?;
    Ok(row)
}

/// The quota, for those who may change it.
async fn load_to_change(call: &Call, guid: &str) -> Outcome<SpaceQuotaRow> {
    let row = load(call, guid).await?;
    call.need(Action::ManageOrg(&row.organization_guid))?;
    Ok(row)
}

/// The quota, refused when it belongs to another organization.
pub(super) async fn of_org(call: &Call, guid: &str, org: &str) -> Outcome<SpaceQuotaRow> {
    let row: SpaceQuotaRow = call.find(guid, Code::SpaceQuotaDefinitionNotFound).await?;
    if row.organization_guid == org {
        return Ok(row);
    }
    Err(fail_with(
        Code::InvalidRelation,
        format!(
            "space quota {} belongs to another organization; make one in the space's own",
            row.guid
        ),
    ))
}

async fn list(call: Call) -> Outcome<Json<Value>> {
    call.list::<SpaceQuotaRow>(call.seen::<SpaceQuotaRow>())
        .await
}

async fn show(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    let row = load(&call, &guid).await?;
    call.show(&row).await
}

async fn of_spaces(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    let row = load(&call, &guid).await?;
    let scope = call.seen_of::<SpaceRow>(SPACES_OF_QUOTA.of(&row.guid));
    call.list::<SpaceRow>(scope).await
}

/// Writes the keys present into the row; the organization of a quota never changes.
fn apply(sent: &QuotaBody, row: &mut SpaceQuotaRow) -> Outcome<()> {
    let limits = Limits {
        name: &mut row.name,
        non_basic_services_allowed: &mut row.non_basic_services_allowed,
        memory_limit: &mut row.memory_limit,
        total_services: &mut row.total_services,
        total_routes: &mut row.total_routes,
        instance_memory_limit: &mut row.instance_memory_limit,
        app_instance_limit: &mut row.app_instance_limit,
    };
    let codes = Codes {
        negative_memory: Code::SpaceQuotaDefinitionInvalid,
        invalid: Code::SpaceQuotaDefinitionInvalid,
    };
    limits.take(sent, &codes)
}

async fn create(call: Call, Body(sent): Body<QuotaBody>) -> Created {
    let org = required(sent.organization_guid.clone(), "organization_guid")?;
    required(sent.name.as_ref(), "name")?;
    let org = orgs::visible(&call, &org).await?;
    call.need(Action::ManageOrg(&org.guid))?;
    let mut row = SpaceQuotaRow {
        guid: bus::ids::guid(),
        name: String::new(),
        organization_guid: org.guid,
        non_basic_services_allowed: false,
        total_services: -1,
        total_routes: -1,
        memory_limit: 0,
        instance_memory_limit: -1,
        app_instance_limit: -1,
        created_at: 0,
        updated_at: None,
    };
    apply(&sent, &mut row)?;
    write(&call, &row, "audit.space_quota_definition.create").await
}

async fn update(call: Call, Path(guid): Path<String>, Body(sent): Body<QuotaBody>) -> Created {
    let mut row = load_to_change(&call, &guid).await?;
    apply(&sent, &mut row)?;
    write(&call, &row, "audit.space_quota_definition.update").await
}

async fn write(call: &Call, row: &SpaceQuotaRow, kind: &'static str) -> Created {
    let event = call.event(
        kind,
        (&row.guid, "space_quota_definition", &row.name),
        json!({"request": {"name": row.name, "memory_limit": row.memory_limit, "total_routes": row.total_routes}}),
        (None, Some(&row.organization_guid)),
    );
    let mut tx = call.ctl.store.begin().await?;
    tx.save_space_quota(row)
        .await
        .map_err(|error| taken(error, Code::SpaceQuotaDefinitionNameTaken, &row.name))?;
    tx.record_event(&event).await?;
    tx.commit().await?;
    call.created_guid::<SpaceQuotaRow>(&row.guid, Code::SpaceQuotaDefinitionNotFound)
        .await
}

async fn delete(call: Call, Path(guid): Path<String>) -> Outcome<Deleted> {
    let row = load_to_change(&call, &guid).await?;
    let event = call.event(
        "audit.space_quota_definition.delete",
        (&row.guid, "space_quota_definition", &row.name),
        json!({}),
        (None, Some(&row.organization_guid)),
    );
    let mut tx = call.ctl.store.begin().await?;
    tx.delete_space_quota(&guid).await?;
    tx.record_event(&event).await?;
    tx.commit().await?;
    call.deleted().await
}

/// Gives the quota to a space.
async fn give(call: Call, Path((guid, space)): Path<(String, String)>) -> Created {
    let quota = load_to_change(&call, &guid).await?;
    let mut space = spaces::visible(&call, &space).await?;
    of_org(&call, &quota.guid, &space.organization_guid).await?;
    space.space_quota_definition_guid = Some(quota.guid.clone());
    assign(&call, &quota, &space, "audit.space_quota_definition.apply").await
}

/// Takes the quota from a space that has it.
async fn take(call: Call, Path((guid, space)): Path<(String, String)>) -> Created {
    let quota = load_to_change(&call, &guid).await?;
    let mut space = spaces::visible(&call, &space).await?;
    if space.space_quota_definition_guid.as_deref() == Some(&quota.guid) {
        space.space_quota_definition_guid = None;
    }
    assign(&call, &quota, &space, "audit.space_quota_definition.remove").await
}

async fn assign(
    call: &Call,
    quota: &SpaceQuotaRow,
    space: &SpaceRow,
    kind: &'static str,
) -> Created {
    let event = call.event(
        kind,
        (&quota.guid, "space_quota_definition", &quota.name),
        json!({"space_guid": space.guid}),
        (Some(&space.guid), Some(&space.organization_guid)),
    );
    let mut tx = call.ctl.store.begin().await?;
    tx.update_space(space).await?;
    tx.record_event(&event).await?;
    tx.commit().await?;
    call.created(quota).await
}
