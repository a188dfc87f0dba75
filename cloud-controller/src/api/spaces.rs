//! Spaces.

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
use super::{app_delete, audit, orgs, summary, taken};
use crate::authorize::{Action, Caller, SEEN_SPACES};
use crate::controller::Ctl;
use crate::failure::{Failure, Outcome, fail_with};
use crate::store::{
    APPS, AppRow, ORGS, OrgRow, ROUTES, Role, RouteRow, SECURITY_GROUPS, SPACES, Scope,
    SecurityGroupRow, SpaceRow,
};

pub(super) fn routes() -> Router<Ctl> {
    Router::new()
        .route("/v2/spaces", get(list).post(create))
        .route("/v2/spaces/{guid}", get(show).put(update).delete(delete))
        .route("/v2/spaces/{guid}/apps", get(apps))
        .route("/v2/spaces/{guid}/routes", get(list_routes))
        .route("/v2/spaces/{guid}/summary", get(show_summary))
        .route("/v2/spaces/{guid}/security_groups", get(security_groups))
        .route(
            "/v2/spaces/{guid}/staging_security_groups",
            get(security_groups),
        )
        .route(
            "/v2/spaces/{guid}/service_instances",
            get(|_: Caller| async { empty() }),
        )
        .route(
            "/v2/spaces/{guid}/services",
            get(|_: Caller| async { empty() }),
        )
}

impl Present for SpaceRow {
    fn flat(&self, _view: &View<'_>) -> Outcome<Value> {
        let url = format!("/v2/spaces/{}", self.guid);
        let mut entity = json!({
            "name": self.name, "organization_guid": self.organization_guid, "space_quota_definition_guid": null,
            "allow_ssh": self.allow_ssh, "organization_url": format!("/v2/organizations/{}", self.organization_guid),
        });
        for relation in [
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
        ] {
            entity[format!("{relation}_url")] = json!(format!("{url}/{relation}"));
        }
        Ok(envelope(
            "spaces",
            &self.guid,
            (self.created_at, self.updated_at),
            entity,
        ))
    }

    async fn present(&self, view: &View<'_>, depth: u32) -> Outcome<Value> {
        let mut resource = self.flat(view)?;
        if depth > 0 {
            let org: Option<OrgRow> = view
                .ctl
                .store
                .find(&ORGS, &Scope::all(), &self.organization_guid)
                .await?;
            let here = Scope::all().and(&["t.space_guid = ", ""], &self.guid);
            let entity = &mut resource["entity"];
            if let Some(org) = org {
                entity["organization"] = org.flat(view)?;
            }
            entity["apps"] = embedded::<AppRow>(view, &APPS, &here).await?;
            entity["routes"] = embedded::<RouteRow>(view, &ROUTES, &here).await?;
            entity["security_groups"] =
                embedded::<SecurityGroupRow>(view, &SECURITY_GROUPS, &running_groups()).await?;
            entity["service_instances"] = json!([]);
        }
        Ok(resource)
    }
}

fn running_groups() -> Scope {
    Scope::all().and(
        &[
            "CASE WHEN t.running_default THEN 'yes' ELSE 'no' END = ",
            "",
        ],
        "yes",
    )
}

/// The space, if it exists and the caller may see it.
pub(super) async fn load(ctl: &Ctl, caller: &Caller, guid: &str) -> Outcome<SpaceRow> {
    let space: Option<SpaceRow> = ctl.store.find(&SPACES, &Scope::all(), guid).await?;
    let space = space.ok_or_else(|| fail_with(Code::SpaceNotFound, guid))?;
    caller.need(Action::ReadSpace(&space.guid, &space.organization_guid))?;
    Ok(space)
}

async fn list(State(ctl): State<Ctl>, caller: Caller, raw: RawQuery) -> Outcome<Json<Value>> {
    let view = View {
        ctl: &ctl,
        caller: &caller,
    };
    page::<SpaceRow>(
        &view,
        &SPACES,
        &caller.visible(SEEN_SPACES),
        &raw,
        "/v2/spaces",
    )
    .await
}

async fn show(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
    raw: RawQuery,
) -> Outcome<Json<Value>> {
    let space = load(&ctl, &caller, &guid).await?;
    let depth = super::lists::query(&raw)?.depth;
    Ok(Json(
        space
            .present(
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
struct SpaceBody {
    name: Option<String>,
    organization_guid: Option<String>,
    allow_ssh: Option<bool>,
}

fn named(sent: Option<&str>) -> Result<String, Failure> {
    sent.and_then(body::name)
        .ok_or_else(|| fail_with(Code::SpaceInvalid, "name must not be empty"))
}

async fn create(
    State(ctl): State<Ctl>,
    caller: Caller,
    raw: RawQuery,
    Body(sent): Body<SpaceBody>,
) -> Outcome<(StatusCode, Json<Value>)> {
    let org_guid = sent
        .organization_guid
        .ok_or_else(|| fail_with(Code::SpaceInvalid, "organization_guid is missing"))?;
    let org = orgs::load(&ctl, &caller, &org_guid).await?;
    caller.need(Action::ManageOrg(&org.guid))?;
    let mut tx = ctl.store.begin().await?;
    let space = SpaceRow {
        guid: bus::ids::guid(),
        name: named(sent.name.as_deref())?,
        organization_guid: org.guid,
        allow_ssh: sent.allow_ssh.unwrap_or(true),
        created_at: tx.now(),
        updated_at: None,
    };
    tx.insert_space(&space)
        .await
        .map_err(|error| taken(error, Code::SpaceNameTaken, &space.name))?;
    if !caller.admin {
        tx.grant(&caller.guid, Role::SpaceManager, &space.guid)
            .await?;
    }
    tx.record_event(&audit::of_space(
        &caller,
        "audit.space.create",
        &space,
        json!({"request": {"name": space.name}}),
    ))
    .await?;
    tx.commit().await?;
    let depth = super::lists::query(&raw)?.depth;
    Ok((
        StatusCode::CREATED,
        Json(
            space
                .present(
                    &View {
                        ctl: &ctl,
                        caller: &caller,
                    },
                    depth,
                )
                .await?,
        ),
    ))
}

async fn update(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
    Body(sent): Body<SpaceBody>,
) -> Outcome<(StatusCode, Json<Value>)> {
    let mut space = load(&ctl, &caller, &guid).await?;
    caller.need(Action::ManageSpace(&space.guid, &space.organization_guid))?;
    if sent.name.is_some() {
        space.name = named(sent.name.as_deref())?;
    }
    space.allow_ssh = sent.allow_ssh.unwrap_or(space.allow_ssh);
    let mut tx = ctl.store.begin().await?;
    tx.update_space(&space)
        .await
        .map_err(|error| taken(error, Code::SpaceNameTaken, &space.name))?;
    tx.record_event(&audit::of_space(
        &caller,
        "audit.space.update",
        &space,
        json!({"request": {"name": space.name}}),
    ))
    .await?;
    tx.commit().await?;
    Ok((
        StatusCode::CREATED,
        Json(space.flat(&View {
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
    let space = load(&ctl, &caller, &guid).await?;
    caller.need(Action::ManageOrg(&space.organization_guid))?;
    let recursive = body::flag(&raw, "recursive");
    let apps: Vec<AppRow> = ctl
        .store
        .all(&APPS, &Scope::all().and(&["t.space_guid = ", ""], &guid))
        .await?;
    if !apps.is_empty() && !recursive {
        return Err(ApiError::with_details(Code::AssociationNotEmpty, &["apps", "spaces"]).into());
    }
    app_delete::empty_space(&ctl, &space).await?;
    let mut tx = ctl.store.begin().await?;
    let event = audit::of_space(
        &caller,
        "audit.space.delete-request",
        &space,
        json!({"request": {"recursive": recursive}}),
    );
    tx.record_event(&event).await?;
    tx.delete_space(&space.guid).await?;
    tx.commit().await?;
    jobs::deleted(&ctl, &raw).await
}

async fn apps(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
    raw: RawQuery,
) -> Outcome<Json<Value>> {
    load(&ctl, &caller, &guid).await?;
    let scope = Scope::all().and(&["t.space_guid = ", ""], &guid);
    page::<AppRow>(
        &View {
            ctl: &ctl,
            caller: &caller,
        },
        &APPS,
        &scope,
        &raw,
        &format!("/v2/spaces/{guid}/apps"),
    )
    .await
}

async fn list_routes(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
    raw: RawQuery,
) -> Outcome<Json<Value>> {
    load(&ctl, &caller, &guid).await?;
    let scope = Scope::all().and(&["t.space_guid = ", ""], &guid);
    page::<RouteRow>(
        &View {
            ctl: &ctl,
            caller: &caller,
        },
        &ROUTES,
        &scope,
        &raw,
        &format!("/v2/spaces/{guid}/routes"),
    )
    .await
}

async fn security_groups(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
    raw: RawQuery,
) -> Outcome<Json<Value>> {
    load(&ctl, &caller, &guid).await?;
    let view = View {
        ctl: &ctl,
        caller: &caller,
    };
    page::<SecurityGroupRow>(
        &view,
        &SECURITY_GROUPS,
        &running_groups(),
        &raw,
        &format!("/v2/spaces/{guid}/security_groups"),
    )
    .await
}

async fn show_summary(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
) -> Outcome<Json<Value>> {
    let space = load(&ctl, &caller, &guid).await?;
    Ok(Json(
        summary::of_space(
            &View {
                ctl: &ctl,
                caller: &caller,
            },
            &space,
        )
        .await?,
    ))
}
