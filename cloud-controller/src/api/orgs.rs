//! Organizations.

use axum::extract::{Path, RawQuery, State};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use v2_api::{ApiError, Code};

use super::body::{self, Body};
use super::jobs::{self, Deleted};
use super::lists::{Present, View, embedded, empty, envelope, page};
use super::{app_delete, taken};
use crate::authorize::{Action, Caller, SEEN_DOMAINS, SEEN_ORGS, SEEN_SPACES};
use crate::controller::Ctl;
use crate::failure::{Outcome, fail_with};
use crate::store::{
    DOMAINS, DomainRow, ORGS, OrgRow, QUOTAS, QuotaRow, Role, SPACES, Scope, SpaceRow,
};

pub(super) fn routes() -> Router<Ctl> {
    Router::new()
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
        .route("/v2/organizations/{guid}/domains", get(all_domains))
        .route(
            "/v2/organizations/{guid}/space_quota_definitions",
            get(|_: Caller| async { empty() }),
        )
}

impl Present for OrgRow {
    fn flat(&self, _view: &View<'_>) -> Outcome<Value> {
        let url = format!("/v2/organizations/{}", self.guid);
        let mut entity = json!({
            "name": self.name, "billing_enabled": false, "quota_definition_guid": self.quota_definition_guid, "status": self.status,
            "quota_definition_url": format!("/v2/quota_definitions/{}", self.quota_definition_guid),
        });
        for relation in [
            "spaces",
            "domains",
            "private_domains",
            "users",
            "managers",
            "billing_managers",
            "auditors",
            "app_events",
            "space_quota_definitions",
        ] {
            entity[format!("{relation}_url")] = json!(format!("{url}/{relation}"));
        }
        Ok(envelope(
            "organizations",
            &self.guid,
            (self.created_at, self.updated_at),
            entity,
        ))
    }

    async fn present(&self, view: &View<'_>, depth: u32) -> Outcome<Value> {
        let mut resource = self.flat(view)?;
        if depth > 0 {
            let quota: Option<QuotaRow> = view
                .ctl
                .store
                .find(&QUOTAS, &Scope::all(), &self.quota_definition_guid)
                .await?;
            let entity = &mut resource["entity"];
            if let Some(quota) = quota {
                entity["quota_definition"] = quota.flat(view)?;
            }
            let here: &[&str] = &["t.organization_guid = ", ""];
            entity["spaces"] = embedded::<SpaceRow>(
                view,
                &SPACES,
                &view.caller.visible(SEEN_SPACES).and(here, &self.guid),
            )
            .await?;
            entity["domains"] =
                embedded::<DomainRow>(view, &DOMAINS, &usable_domains(&self.guid)).await?;
            entity["private_domains"] =
                embedded::<DomainRow>(view, &DOMAINS, &own_domains(&self.guid)).await?;
            entity["space_quota_definitions"] = json!([]);
        }
        Ok(resource)
    }
}

fn own_domains(org: &str) -> Scope {
    Scope::all().and(&["t.owning_organization_guid = ", ""], org)
}

fn usable_domains(org: &str) -> Scope {
    Scope::all().and(
        &[
            "t.owning_organization_guid IS NULL OR t.owning_organization_guid = ",
            "",
        ],
        org,
    )
}

/// The organization, if it exists and the caller may see it.
pub(super) async fn load(ctl: &Ctl, caller: &Caller, guid: &str) -> Outcome<OrgRow> {
    let org: Option<OrgRow> = ctl.store.find(&ORGS, &Scope::all(), guid).await?;
    let org = org.ok_or_else(|| fail_with(Code::OrganizationNotFound, guid))?;
    caller.need(Action::ReadOrg(&org.guid))?;
    Ok(org)
}

async fn list(State(ctl): State<Ctl>, caller: Caller, raw: RawQuery) -> Outcome<Json<Value>> {
    let view = View {
        ctl: &ctl,
        caller: &caller,
    };
    page::<OrgRow>(
        &view,
        &ORGS,
        &caller.visible(SEEN_ORGS),
        &raw,
        "/v2/organizations",
    )
    .await
}

async fn show(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
    raw: RawQuery,
) -> Outcome<Json<Value>> {
    let org = load(&ctl, &caller, &guid).await?;
    let depth = super::lists::query(&raw)?.depth;
    Ok(Json(
        org.present(
            &View {
                ctl: &ctl,
                caller: &caller,
            },
            depth,
        )
        .await?,
    ))
}

#[derive(Deserialize)]
struct OrgBody {
    name: Option<String>,
    quota_definition_guid: Option<String>,
    status: Option<String>,
}

async fn create(
    State(ctl): State<Ctl>,
    caller: Caller,
    Body(sent): Body<OrgBody>,
) -> Outcome<(StatusCode, Json<Value>)> {
    if !caller.admin && !super::settings::is_enabled(&ctl, "user_org_creation").await? {
        return Err(fail_with(Code::FeatureDisabled, "user_org_creation"));
    }
    let name = sent
        .name
        .as_deref()
        .and_then(body::name)
        .ok_or_else(|| fail_with(Code::OrganizationInvalid, "name must not be empty"))?;
    let quota_definition_guid = match sent.quota_definition_guid {
        Some(guid) if caller.admin => guid,
        _ => crate::seed::default_quota(&ctl).await?.guid,
    };
    let mut tx = ctl.store.begin().await?;
    let org = OrgRow {
        guid: bus::ids::guid(),
        name: name.clone(),
        quota_definition_guid,
        status: "active".into(),
        created_at: tx.now(),
        updated_at: None,
    };
    tx.insert_org(&org)
        .await
        .map_err(|error| wrong(error, &name))?;
    if !caller.admin {
        tx.grant(&caller.guid, Role::OrgUser, &org.guid).await?;
        tx.grant(&caller.guid, Role::OrgManager, &org.guid).await?;
    }
    tx.commit().await?;
    Ok((
        StatusCode::CREATED,
        Json(org.flat(&View {
            ctl: &ctl,
            caller: &caller,
        })?),
    ))
}

fn wrong(error: crate::store::StoreError, name: &str) -> crate::failure::Failure {
    if error.is_referenced() {
        return fail_with(
            Code::OrganizationInvalid,
            "quota_definition_guid does not exist",
        );
    }
    taken(error, Code::OrganizationNameTaken, name)
}

async fn update(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
    Body(sent): Body<OrgBody>,
) -> Outcome<(StatusCode, Json<Value>)> {
    let mut org = load(&ctl, &caller, &guid).await?;
    caller.need(Action::ManageOrg(&guid))?;
    if sent.quota_definition_guid.is_some() || sent.status.is_some() {
        caller.need(Action::Administer)?;
    }
    if let Some(name) = &sent.name {
        org.name = body::name(name)
            .ok_or_else(|| fail_with(Code::OrganizationInvalid, "name must not be empty"))?;
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
    let mut tx = ctl.store.begin().await?;
    tx.update_org(&org)
        .await
        .map_err(|error| wrong(error, &org.name))?;
    tx.commit().await?;
    Ok((
        StatusCode::CREATED,
        Json(org.flat(&View {
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
    let org = load(&ctl, &caller, &guid).await?;
    caller.need(Action::Administer)?;
    let spaces: Vec<SpaceRow> = ctl
        .store
        .all(
            &SPACES,
            &Scope::all().and(&["t.organization_guid = ", ""], &guid),
        )
        .await?;
    if !spaces.is_empty() && !body::flag(&raw, "recursive") {
        return Err(ApiError::with_details(
            Code::AssociationNotEmpty,
            &["spaces", "organizations"],
        )
        .into());
    }
    for space in &spaces {
        app_delete::empty_space(&ctl, space).await?;
        let mut tx = ctl.store.begin().await?;
        tx.delete_space(&space.guid).await?;
        tx.commit().await?;
    }
    let mut tx = ctl.store.begin().await?;
    tx.delete_org(&org.guid).await?;
    tx.commit().await?;
    jobs::deleted(&ctl, &raw).await
}

async fn spaces(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
    raw: RawQuery,
) -> Outcome<Json<Value>> {
    load(&ctl, &caller, &guid).await?;
    let scope = caller
        .visible(SEEN_SPACES)
        .and(&["t.organization_guid = ", ""], &guid);
    page::<SpaceRow>(
        &View {
            ctl: &ctl,
            caller: &caller,
        },
        &SPACES,
        &scope,
        &raw,
        &format!("/v2/organizations/{guid}/spaces"),
    )
    .await
}

async fn private_domains(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
    raw: RawQuery,
) -> Outcome<Json<Value>> {
    load(&ctl, &caller, &guid).await?;
    let scope = caller
        .visible(SEEN_DOMAINS)
        .and(&["t.owning_organization_guid = ", ""], &guid);
    page::<DomainRow>(
        &View {
            ctl: &ctl,
            caller: &caller,
        },
        &DOMAINS,
        &scope,
        &raw,
        &format!("/v2/organizations/{guid}/private_domains"),
    )
    .await
}

async fn all_domains(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
    raw: RawQuery,
) -> Outcome<Json<Value>> {
    load(&ctl, &caller, &guid).await?;
    page::<DomainRow>(
        &View {
            ctl: &ctl,
            caller: &caller,
        },
        &DOMAINS,
        &usable_domains(&guid),
        &raw,
        &format!("/v2/organizations/{guid}/domains"),
    )
    .await
}
