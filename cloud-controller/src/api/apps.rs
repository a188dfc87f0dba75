//! Apps: create and read.

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Map, Value, json};
use v2_api::Code;

use super::app_update::{self, answer, apply};
use super::lists::{Present, View, embedded, envelope, page};
use super::times::rfc3339;
use super::{app_delete, audit, env, spaces, summary, taken};
use crate::authorize::{Action, Caller, SEEN_IN_SPACES};
use crate::controller::Ctl;
use crate::failure::{Outcome, fail_with};
use crate::store::{APPS, AppRow, ROUTES, RouteRow, STACKS, Scope, SpaceRow, StackRow};

pub(super) fn routes() -> Router<Ctl> {
    Router::new()
        .route("/v2/apps", get(list).post(create))
        .route(
            "/v2/apps/{guid}",
            get(show).put(app_update::update).delete(app_delete::delete),
        )
        .route("/v2/apps/{guid}/restage", post(app_update::restage))
        .route("/v2/apps/{guid}/summary", get(show_summary))
        .route("/v2/apps/{guid}/env", get(env::show))
        .route("/v2/apps/{guid}/routes", get(list_routes))
        .route(
            "/v2/apps/{guid}/service_bindings",
            get(|_: Caller| async { super::lists::empty() }),
        )
}

/// The attributes of an app, for its resource and its summary.
pub(super) fn attributes(app: &AppRow, view: &View<'_>) -> Outcome<Value> {
    let environment = if view.caller.may(Action::Develop(&app.space_guid)) {
        Value::Object(view.ctl.store.unseal(&app.environment_sealed)?)
    } else {
        json!({"redacted_message": "[PRIVATE DATA HIDDEN]"})
    };
    Ok(json!({
        "name": app.name, "production": app.production, "space_guid": app.space_guid, "stack_guid": app.stack_guid,
        "buildpack": app.buildpack, "detected_buildpack": app.detected_buildpack, "environment_json": environment,
        "memory": app.memory, "instances": app.instances, "disk_quota": app.disk_quota, "state": app.state,
        "version": app.version, "command": app.command, "console": false, "debug": null,
        "staging_task_id": app.staging_task_id, "package_state": app.package_state,
        "health_check_type": app.health_check_type, "health_check_timeout": app.health_check_timeout,
        "staging_failed_reason": app.staging_failed_reason, "staging_failed_description": app.staging_failed_description,
        "diego": false, "docker_image": null, "package_updated_at": app.package_updated_at.map(rfc3339),
        "detected_start_command": app.detected_start_command, "enable_ssh": app.enable_ssh,
        "docker_credentials_json": {"redacted_message": "[PRIVATE DATA HIDDEN]"},
    }))
}

impl Present for AppRow {
    fn flat(&self, view: &View<'_>) -> Outcome<Value> {
        let url = format!("/v2/apps/{}", self.guid);
        let mut entity = attributes(self, view)?;
        entity["space_url"] = json!(format!("/v2/spaces/{}", self.space_guid));
        entity["stack_url"] = json!(format!("/v2/stacks/{}", self.stack_guid));
        for relation in ["events", "service_bindings", "routes"] {
            entity[format!("{relation}_url")] = json!(format!("{url}/{relation}"));
        }
        Ok(envelope(
            "apps",
            &self.guid,
            (self.created_at, self.updated_at),
            entity,
        ))
    }

    async fn present(&self, view: &View<'_>, depth: u32) -> Outcome<Value> {
        let mut resource = self.flat(view)?;
        if depth > 0 {
            let stack: Option<StackRow> = view
                .ctl
                .store
                .find(&STACKS, &Scope::all(), &self.stack_guid)
                .await?;
            let entity = &mut resource["entity"];
            entity["space"] = view.ctl.space_of(self).await?.flat(view)?;
            if let Some(stack) = stack {
                entity["stack"] = stack.flat(view)?;
            }
            entity["routes"] = embedded::<RouteRow>(view, &ROUTES, &routes_of(&self.guid)).await?;
            entity["service_bindings"] = json!([]);
        }
        Ok(resource)
    }
}

/// Routes mapped to an app.
pub(super) fn routes_of(app: &str) -> Scope {
    Scope::all().and(
        &[
            "t.guid IN (SELECT route_guid FROM route_mappings WHERE app_guid = ",
            ")",
        ],
        app,
    )
}

/// The app and its space, if it exists and the caller may see it.
pub(super) async fn load(ctl: &Ctl, caller: &Caller, guid: &str) -> Outcome<(AppRow, SpaceRow)> {
    let app = ctl
        .store
        .app(guid)
        .await?
        .ok_or_else(|| fail_with(Code::AppNotFound, guid))?;
    let space = ctl.space_of(&app).await?;
    caller.need(Action::ReadSpace(&space.guid, &space.organization_guid))?;
    Ok((app, space))
}

/// As [`load`], for those who may change it.
pub(super) async fn load_to_change(
    ctl: &Ctl,
    caller: &Caller,
    guid: &str,
) -> Outcome<(AppRow, SpaceRow)> {
    let found = load(ctl, caller, guid).await?;
    caller.need(Action::Develop(&found.1.guid))?;
    Ok(found)
}

async fn list(State(ctl): State<Ctl>, caller: Caller, raw: RawQuery) -> Outcome<Json<Value>> {
    let view = View {
        ctl: &ctl,
        caller: &caller,
    };
    page::<AppRow>(
        &view,
        &APPS,
        &caller.visible(SEEN_IN_SPACES),
        &raw,
        "/v2/apps",
    )
    .await
}

async fn show(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
    raw: RawQuery,
) -> Outcome<Json<Value>> {
    let (app, _) = load(&ctl, &caller, &guid).await?;
    let depth = super::lists::query(&raw)?.depth;
    Ok(Json(
        app.present(
            &View {
                ctl: &ctl,
                caller: &caller,
            },
            depth,
        )
        .await?,
    ))
}

async fn show_summary(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
) -> Outcome<Json<Value>> {
    let (app, space) = load(&ctl, &caller, &guid).await?;
    Ok(Json(
        summary::of_app(
            &View {
                ctl: &ctl,
                caller: &caller,
            },
            &app,
            &space,
        )
        .await?,
    ))
}

async fn list_routes(
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
    page::<RouteRow>(
        &view,
        &ROUTES,
        &routes_of(&guid),
        &raw,
        &format!("/v2/apps/{guid}/routes"),
    )
    .await
}

async fn create(
    State(ctl): State<Ctl>,
    caller: Caller,
    raw: RawQuery,
    bytes: Bytes,
) -> Outcome<(StatusCode, Json<Value>)> {
    let (change, sent) = app_update::read(&bytes)?;
    let missing = |key: &str| fail_with(Code::AppInvalid, format!("{key} is missing"));
    let space_guid = change
        .space_guid
        .clone()
        .ok_or_else(|| missing("space_guid"))?;
    let space = spaces::load(&ctl, &caller, &space_guid).await?;
    caller.need(Action::Develop(&space.guid))?;
    change.name.as_ref().ok_or_else(|| missing("name"))?;
    let mut app = blank(&ctl, &space).await?;
    apply(&ctl, &change, &mut app, &space).await?;
    let event = audit::of_app(
        &ctl,
        &caller,
        "audit.app.create",
        &app,
        json!({"request": audit::redacted(sent)}),
    )
    .await?;
    let mut tx = ctl.store.begin().await?;
    app.created_at = tx.now();
    tx.save_app(&app)
        .await
        .map_err(|error| taken(error, Code::AppNameTaken, &app.name))?;
    tx.record_event(&event).await?;
    tx.commit().await?;
    ctl.say(
        &app.guid,
        "API",
        format!("Created app with guid {}", app.guid),
    );
    answer(&ctl, &caller, &app.guid, &raw).await
}

async fn blank(ctl: &Ctl, space: &SpaceRow) -> Outcome<AppRow> {
    let limits = &ctl.config.limits;
    let default_stack = &ctl
        .config
        .stacks
        .first()
        .map(|stack| stack.name.clone())
        .unwrap_or_default();
    let stack = ctl
        .store
        .stack_by_name(default_stack)
        .await?
        .ok_or_else(|| fail_with(Code::StackNotFound, default_stack))?;
    Ok(AppRow {
        guid: bus::ids::guid(),
        name: String::new(),
        space_guid: space.guid.clone(),
        stack_guid: stack.guid,
        production: false,
        buildpack: None,
        detected_buildpack: None,
        environment_sealed: ctl.store.seal(&Map::new())?,
        memory: limits.default_app_memory_mb,
        disk_quota: limits.default_app_disk_mb,
        state: "STOPPED".into(),
        command: None,
        enable_ssh: false,
        health_check_type: "port".into(),
        health_check_timeout: None,
        package_state: "PENDING".into(),
        package_hash: None,
        package_updated_at: None,
        staging_task_id: None,
        staging_failed_reason: None,
        staging_failed_description: None,
        detected_start_command: String::new(),
        created_at: 0,
        updated_at: None,
        version: bus::ids::guid(),
        instances: 1,
        droplet_hash: None,
    })
}
