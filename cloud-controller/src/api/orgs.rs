//! Organizations.

use axum::Json;
use axum::extract::Path;
use serde::Deserialize;
use serde_json::{Value, json};
use v2_api::Code;

use super::body::{self, Body};
use super::call::{Call, Created, required};
use super::jobs::Deleted;
use super::lists::{Present, View, envelope, link};
use super::relations::Relation;
use super::routing::{Routes, get, put};
use super::{app_delete, domains, taken};
use crate::authorize::{Action, Caller, SEEN_ORGS};
use crate::controller::Ctl;
use crate::failure::{Failure, Outcome, fail_with};
use crate::store::{
    DOMAINS_OWNED_BY_ORG, DOMAINS_USABLE_BY_ORG, DomainRow, NewEvent, ORGS, OrgRow, QuotaRow, Role,
    SPACE_QUOTAS_OF_ORG, SPACES_OF_ORG, Scope, SpaceQuotaRow, SpaceRow, StoreError, Table,
};

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/v2/organizations", get(list).post(create))
        .route(
            "/v2/organizations/{guid}",
            get(show).put(update).delete(delete),
        )
        .route("/v2/organizations/{guid}/spaces", get(spaces))
        .route(
            "/v2/organizations/{guid}/private_domains",
            get(private_domains),
        )
        .route(
            "/v2/organizations/{guid}/private_domains/{domain}",
            put(domains::share).delete(domains::unshare),
        )
        .route("/v2/organizations/{guid}/domains", get(all_domains))
        .route(
            "/v2/organizations/{guid}/space_quota_definitions",
            get(space_quotas),
        )
}

impl Present for OrgRow {
    const COLLECTION: &'static str = "organizations";
    const SEEN: &'static [&'static str] = SEEN_ORGS;
    const RELATIONS: &'static [Relation<OrgRow>] = &[
        Relation::one::<QuotaRow>("quota_definition", |org| Some(&org.quota_definition_guid)),
        Relation::many::<SpaceRow>("spaces", &SPACES_OF_ORG, |org| Some(&org.guid)),
        Relation::many::<DomainRow>("domains", &DOMAINS_USABLE_BY_ORG, |org| Some(&org.guid)),
        Relation::many::<DomainRow>("private_domains", &DOMAINS_OWNED_BY_ORG, |org| {
            Some(&org.guid)
        }),
        Relation::many::<SpaceQuotaRow>("space_quota_definitions", &SPACE_QUOTAS_OF_ORG, |org| {
            Some(&org.guid)
        }),
    ];

    fn table() -> &'static Table {
        &ORGS
    }

    fn flat(&self, _view: &View<'_>) -> Outcome<Value> {
        let url = format!("/v2/organizations/{}", self.guid);
        let mut entity = json!({
            "name": self.name, "billing_enabled": false, "quota_definition_guid": self.quota_definition_guid, "status": self.status,
            "quota_definition_url": format!("/v2/quota_definitions/{}", self.quota_definition_guid),
        });
        let relations = [
            "spaces",
            "domains",
            "private_domains",
            "users",
            "managers",
            "billing_managers",
            "auditors",
            "app_events",
            "space_quota_definitions",
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

/// The organization, if it exists and the caller may see it.
pub(super) async fn load(ctl: &Ctl, caller: &Caller, guid: &str) -> Outcome<OrgRow> {
    let org: Option<OrgRow> = ctl.store.find(&ORGS, &Scope::all(), guid).await?;
    let org = org.ok_or_else(|| fail_with(Code::OrganizationNotFound, guid))?;
    caller.need(Action::ReadOrg(&org.guid))?;
    Ok(org)
}

/// As [`load`], of a call.
pub(super) async fn visible(call: &Call, guid: &str) -> Outcome<OrgRow> {
    load(&call.ctl, &call.caller, guid).await
}

async fn list(call: Call) -> Outcome<Json<Value>> {
    call.list::<OrgRow>(call.seen::<OrgRow>()).await
}

async fn show(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    let org = visible(&call, &guid).await?;
    call.show(&org).await
}

#[derive(Deserialize)]
struct OrgBody {
    name: Option<String>,
    quota_definition_guid: Option<String>,
    status: Option<String>,
}

fn named(sent: &str) -> Result<String, Failure> {
    body::name(sent).ok_or_else(|| fail_with(Code::OrganizationInvalid, "name must not be empty"))
}

fn event(call: &Call, kind: &'static str, org: &OrgRow, metadata: Value) -> NewEvent {
    call.event(
        kind,
        (&org.guid, "organization", &org.name),
        metadata,
        (None, Some(&org.guid)),
    )
}

async fn create(call: Call, Body(sent): Body<OrgBody>) -> Created {
    call.need_feature("user_org_creation").await?;
    let name = named(&required(sent.name, "name")?)?;
    let quota_definition_guid = match sent.quota_definition_guid {
        Some(guid) if call.caller.admin => guid,
        _ => crate::seed::default_quota(&call.ctl).await?.guid,
    };
    let mut tx = call.ctl.store.begin().await?;
    let org = OrgRow {
        guid: bus::ids::guid(),
        name,
        quota_definition_guid,
        status: "active".into(),
        created_at: tx.now(),
        updated_at: None,
    };
    tx.insert_org(&org)
        .await
        .map_err(|error| wrong(error, &org.name))?;
    if !call.caller.admin {
        let user = &call.caller.guid;
        tx.grant(user, Role::OrgUser, &org.guid).await?;
        tx.grant(user, Role::OrgManager, &org.guid).await?;
    }
    let request = json!({"request": {"name": org.name}});
    tx.record_event(&event(&call, "audit.organization.create", &org, request))
        .await?;
    tx.commit().await?;
    call.created(&org).await
}

fn wrong(error: StoreError, name: &str) -> Failure {
    if error.is_referenced() {
        return fail_with(
            Code::OrganizationInvalid,
            "quota_definition_guid does not exist; cf quotas lists what does",
        );
    }
    taken(error, Code::OrganizationNameTaken, name)
}

async fn update(call: Call, Path(guid): Path<String>, Body(sent): Body<OrgBody>) -> Created {
    let mut org = visible(&call, &guid).await?;
    call.need(Action::ManageOrg(&guid))?;
    if sent.quota_definition_guid.is_some() || sent.status.is_some() {
        call.need(Action::Administer)?;
    }
    if let Some(name) = &sent.name {
        org.name = named(name)?;
    }
    org.quota_definition_guid = sent
        .quota_definition_guid
        .unwrap_or(org.quota_definition_guid);
    if let Some(status) = sent.status {
        if !matches!(status.as_str(), "active" | "suspended") {
            return Err(fail_with(
                Code::OrganizationInvalid,
                "status must be active or suspended",
            ));
        }
        org.status = status;
    }
    let mut tx = call.ctl.store.begin().await?;
    tx.update_org(&org)
        .await
        .map_err(|error| wrong(error, &org.name))?;
    let request = json!({"request": {
        "name": org.name, "quota_definition_guid": org.quota_definition_guid, "status": org.status,
    }});
    tx.record_event(&event(&call, "audit.organization.update", &org, request))
        .await?;
    tx.commit().await?;
    call.created_guid::<OrgRow>(&guid, Code::OrganizationNotFound)
        .await
}

async fn delete(call: Call, Path(guid): Path<String>) -> Outcome<Deleted> {
    let org = visible(&call, &guid).await?;
    call.need(Action::Administer)?;
    let spaces: Vec<SpaceRow> = call.all(&SPACES_OF_ORG.of(&guid)).await?;
    let owned = DOMAINS_OWNED_BY_ORG.of(&guid);
    let quotas = SPACE_QUOTAS_OF_ORG.of(&guid);
    let content = [
        ("spaces", spaces.len() as i64),
        ("private_domains", call.count::<DomainRow>(&owned).await?),
        (
            "space_quota_definitions",
            call.count::<SpaceQuotaRow>(&quotas).await?,
        ),
    ];
    call.need_empty(&content, "organizations")?;
    for space in &spaces {
        app_delete::empty_space(&call, space).await?;
        let mut tx = call.ctl.store.begin().await?;
        tx.delete_space(&space.guid).await?;
        tx.commit().await?;
    }
    for domain in call.all::<DomainRow>(&owned).await? {
        let event = domains::event(&call, "audit.domain.delete-request", &domain, None);
        domains::remove(&call.ctl, &domain, &event).await?;
    }
    let recursive = json!({"request": {"recursive": call.flag("recursive")}});
    let mut tx = call.ctl.store.begin().await?;
    tx.record_event(&event(
        &call,
        "audit.organization.delete-request",
        &org,
        recursive,
    ))
    .await?;
    tx.delete_org(&org.guid).await?;
    tx.commit().await?;
    call.deleted().await
}

async fn spaces(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    visible(&call, &guid).await?;
    let scope = call.seen_of::<SpaceRow>(SPACES_OF_ORG.of(&guid));
    call.list::<SpaceRow>(scope).await
}

async fn private_domains(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    visible(&call, &guid).await?;
    call.list::<DomainRow>(call.seen_of::<DomainRow>(domains::private_of(&guid)))
        .await
}

async fn all_domains(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    visible(&call, &guid).await?;
    call.list::<DomainRow>(call.seen_of::<DomainRow>(DOMAINS_USABLE_BY_ORG.of(&guid)))
        .await
}

async fn space_quotas(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    visible(&call, &guid).await?;
    call.list::<SpaceQuotaRow>(SPACE_QUOTAS_OF_ORG.of(&guid))
        .await
}
