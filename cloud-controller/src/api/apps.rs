//! Apps: create, read, change, restage.

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Map, Value, json};
use v2_api::Code;

use super::app_change::{AppChange, check_environment, check_quota};
use super::lists::{Present, View, embedded, envelope, page};
use super::times::rfc3339;
use super::{app_delete, audit, body, env, settings, spaces, summary, taken};
use crate::authorize::{Action, Caller, SEEN_IN_SPACES};
use crate::controller::Ctl;
use crate::failure::{Failure, Outcome, fail, fail_with};
use crate::runner::{Effect, effects};
use crate::store::{
    APPS, AppRow, ORGS, OrgRow, QUOTAS, QuotaRow, ROUTES, RouteRow, STACKS, Scope, SpaceRow, StackRow, StagingTask,
};
use crate::{conductor, staging};

pub(super) fn routes() -> Router<Ctl> {
    Router::new()
        .route("/v2/apps", get(list).post(create))
        .route("/v2/apps/{guid}", get(show).put(update).delete(app_delete::delete))
        .route("/v2/apps/{guid}/restage", post(restage))
        .route("/v2/apps/{guid}/summary", get(show_summary))
        .route("/v2/apps/{guid}/env", get(env::show))
        .route("/v2/apps/{guid}/routes", get(list_routes))
        .route("/v2/apps/{guid}/service_bindings", get(|_: Caller| async { super::lists::empty() }))
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
        Ok(envelope("apps", &self.guid, (self.created_at, self.updated_at), entity))
    }

    async fn present(&self, view: &View<'_>, depth: u32) -> Outcome<Value> {
        let mut resource = self.flat(view)?;
        if depth > 0 {
            let stack: Option<StackRow> = view.ctl.store.find(&STACKS, &Scope::all(), &self.stack_guid).await?;
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
    Scope::all().and(&["t.guid IN (SELECT route_guid FROM route_mappings WHERE app_guid = ", ")"], app)
}

/// The app and its space, if it exists and the caller may see it.
pub(super) async fn load(ctl: &Ctl, caller: &Caller, guid: &str) -> Outcome<(AppRow, SpaceRow)> {
    let app = ctl.store.app(guid).await?.ok_or_else(|| fail_with(Code::AppNotFound, guid))?;
    let space = ctl.space_of(&app).await?;
    caller.need(Action::ReadSpace(&space.guid, &space.organization_guid))?;
    Ok((app, space))
}

/// As [`load`], for those who may change it.
pub(super) async fn load_to_change(ctl: &Ctl, caller: &Caller, guid: &str) -> Outcome<(AppRow, SpaceRow)> {
    let found = load(ctl, caller, guid).await?;
    caller.need(Action::Develop(&found.1.guid))?;
    Ok(found)
}

async fn list(State(ctl): State<Ctl>, caller: Caller, raw: RawQuery) -> Outcome<Json<Value>> {
    let view = View { ctl: &ctl, caller: &caller };
    page::<AppRow>(&view, &APPS, &caller.visible(SEEN_IN_SPACES), &raw, "/v2/apps").await
}

async fn show(State(ctl): State<Ctl>, caller: Caller, Path(guid): Path<String>, raw: RawQuery) -> Outcome<Json<Value>> {
    let (app, _) = load(&ctl, &caller, &guid).await?;
    let depth = super::lists::query(&raw)?.depth;
    Ok(Json(app.present(&View { ctl: &ctl, caller: &caller }, depth).await?))
}

async fn show_summary(State(ctl): State<Ctl>, caller: Caller, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    let (app, space) = load(&ctl, &caller, &guid).await?;
    Ok(Json(summary::of_app(&View { ctl: &ctl, caller: &caller }, &app, &space).await?))
}

async fn list_routes(State(ctl): State<Ctl>, caller: Caller, Path(guid): Path<String>, raw: RawQuery) -> Outcome<Json<Value>> {
    load(&ctl, &caller, &guid).await?;
    let view = View { ctl: &ctl, caller: &caller };
    page::<RouteRow>(&view, &ROUTES, &routes_of(&guid), &raw, &format!("/v2/apps/{guid}/routes")).await
}

/// A body both as the change and as what was sent (for the event).
fn read(bytes: &Bytes) -> Outcome<(AppChange, Map<String, Value>)> {
    Ok((body::parse(bytes)?, body::parse(bytes)?))
}

async fn create(State(ctl): State<Ctl>, caller: Caller, raw: RawQuery, bytes: Bytes) -> Outcome<(StatusCode, Json<Value>)> {
    let (change, sent) = read(&bytes)?;
    let missing = |key: &str| fail_with(Code::AppInvalid, format!("{key} is missing"));
    let space_guid = change.space_guid.clone().ok_or_else(|| missing("space_guid"))?;
    let space = spaces::load(&ctl, &caller, &space_guid).await?;
    caller.need(Action::Develop(&space.guid))?;
    change.name.as_ref().ok_or_else(|| missing("name"))?;
    let mut app = blank(&ctl, &space).await?;
    apply(&ctl, &change, &mut app, &space).await?;
    let event = audit::of_app(&ctl, &caller, "audit.app.create", &app, json!({"request": audit::redacted(sent)})).await?;
    let mut tx = ctl.store.begin().await?;
    app.created_at = tx.now();
    tx.save_app(&app).await.map_err(|error| taken(error, Code::AppNameTaken, &app.name))?;
    tx.record_event(&event).await?;
    tx.commit().await?;
    ctl.say(&app.guid, "API", format!("Created app with guid {}", app.guid));
    answer(&ctl, &caller, &app.guid, &raw).await
}

async fn blank(ctl: &Ctl, space: &SpaceRow) -> Outcome<AppRow> {
    let limits = &ctl.config.limits;
    let default_stack = &ctl.config.stacks.first().map(|stack| stack.name.clone()).unwrap_or_default();
    let stack = ctl.store.stack_by_name(default_stack).await?.ok_or_else(|| fail_with(Code::StackNotFound, default_stack))?;
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

/// Applies a change with every rule, those that need the database included.
async fn apply(ctl: &Ctl, change: &AppChange, app: &mut AppRow, space: &SpaceRow) -> Outcome<()> {
    let known_buildpack = match &change.buildpack {
        Some(Some(name)) => ctl.store.buildpack_by_name(name).await?.is_some(),
        _ => false,
    };
    if let Some(stack) = &change.stack_guid {
        let found: Option<StackRow> = ctl.store.find(&STACKS, &Scope::all(), stack).await?;
        found.ok_or_else(|| fail_with(Code::StackNotFound, stack))?;
    }
    change.apply(app, &ctl.config.limits, known_buildpack)?;
    if let Some(vars) = &change.environment_json {
        check_environment(vars)?;
        app.environment_sealed = ctl.store.seal(vars)?;
    }
    let org: Option<OrgRow> = ctl.store.find(&ORGS, &Scope::all(), &space.organization_guid).await?;
    let org = org.ok_or_else(|| fail_with(Code::OrganizationNotFound, &space.organization_guid))?;
    let quota: Option<QuotaRow> = ctl.store.find(&QUOTAS, &Scope::all(), &org.quota_definition_guid).await?;
    if let Some(quota) = quota {
        let used = ctl.store.org_usage(&org.guid, &app.guid).await?;
        check_quota(app, &quota, used)?;
    }
    Ok(())
}

async fn update(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
    raw: RawQuery,
    bytes: Bytes,
) -> Outcome<(StatusCode, Json<Value>)> {
    let (change, sent) = read(&bytes)?;
    let (_, space) = load_to_change(&ctl, &caller, &guid).await?;
    if change.space_guid.as_ref().is_some_and(|wanted| *wanted != space.guid) {
        return Err(fail_with(Code::AppInvalid, "an app cannot be moved to another space"));
    }
    if change.scales() && !caller.admin && !settings::is_enabled(&ctl, "app_scaling").await? {
        return Err(fail_with(Code::FeatureDisabled, "app_scaling"));
    }
    let said = audit::redacted(sent);
    carry_out(&ctl, &caller, &guid, &change, &space, json!({"request": said.clone()})).await?;
    ctl.say(&guid, "API", format!("Updated app with guid {guid} ({said})"));
    answer(&ctl, &caller, &guid, &raw).await
}

async fn restage(State(ctl): State<Ctl>, caller: Caller, Path(guid): Path<String>, raw: RawQuery) -> Outcome<(StatusCode, Json<Value>)> {
    let (app, _) = load_to_change(&ctl, &caller, &guid).await?;
    if app.package_hash.is_none() {
        return Err(fail_with(Code::AppPackageInvalid, "bits have not been uploaded"));
    }
    if app.package_state == "PENDING" {
        return Err(fail(Code::NotStaged));
    }
    ctl.need_bus()?;
    let stager = ctl.pick_stager(&app).await?;
    let mut tx = ctl.store.begin().await?;
    let mut app = tx.app(&guid).await?.ok_or_else(|| fail_with(Code::AppNotFound, &guid))?;
    app.state = "STARTED".into();
    app.version = bus::ids::guid();
    let task = ctl.open_staging(&mut tx, &mut app, &stager).await?;
    tx.save_app(&app).await?;
    let event = audit::of_app(&ctl, &caller, "audit.app.restage", &app, json!({})).await?;
    tx.record_event(&event).await?;
    tx.commit().await?;
    ctl.stop_all(&guid).await?;
    staging::drive(&ctl, app, task);
    ctl.say(&guid, "API", format!("Restaging app with guid {guid}"));
    answer(&ctl, &caller, &guid, &raw).await
}

async fn answer(ctl: &Ctl, caller: &Caller, guid: &str, raw: &RawQuery) -> Outcome<(StatusCode, Json<Value>)> {
    let (app, _) = load(ctl, caller, guid).await?;
    let depth = super::lists::query(raw)?.depth;
    Ok((StatusCode::CREATED, Json(app.present(&View { ctl, caller }, depth).await?)))
}

/// Changes an app and carries out what follows: first looked at on a copy (a stager is chosen before anything is
/// written), then written, then told to the DEAs; undone if they cannot be told.
async fn carry_out(
    ctl: &Ctl,
    caller: &Caller,
    guid: &str,
    change: &AppChange,
    space: &SpaceRow,
    metadata: Value,
) -> Outcome<()> {
    let gone = || fail_with(Code::AppNotFound, guid);
    let seen = ctl.store.app(guid).await?.ok_or_else(gone)?;
    let mut draft = seen.clone();
    apply(ctl, change, &mut draft, space).await?;
    let planned = effects(Some(&seen), Some(&draft));
    if !planned.is_empty() {
        ctl.need_bus()?;
    }
    let stager = if planned.contains(&Effect::Stage) { Some(ctl.pick_stager(&draft).await?) } else { None };

    let mut tx = ctl.store.begin().await?;
    let before = tx.app(guid).await?.ok_or_else(gone)?;
    let mut after = before.clone();
    apply(ctl, change, &mut after, space).await?;
    let effects = effects(Some(&before), Some(&after));
    let task = match (effects.contains(&Effect::Stage), stager) {
        (true, Some(stager)) => Some(ctl.open_staging(&mut tx, &mut after, &stager).await?),
        (true, None) => return Err(fail_with(Code::StagingError, "the app changed meanwhile; try again")),
        (false, _) => None,
    };
    tx.save_app(&after).await.map_err(|error| taken(error, Code::AppNameTaken, &after.name))?;
    tx.record_event(&audit::of_app(ctl, caller, "audit.app.update", &after, metadata).await?).await?;
    tx.commit().await?;
    follow_up(ctl, &before, &after, &effects, task).await
}

async fn follow_up(ctl: &Ctl, before: &AppRow, after: &AppRow, effects: &[Effect], task: Option<StagingTask>) -> Outcome<()> {
    if let Err(failure) = ctl.execute(after, effects).await {
        undo(ctl, before, after).await?;
        return Err(failure);
    }
    if let Some(task) = task {
        staging::drive(ctl, after.clone(), task);
    }
    if before.name != after.name && after.is_started() {
        conductor::keep_announcing_routes(ctl, after.guid.clone());
    }
    Ok(())
}

/// The DEAs could not be told: the wish goes back to what it was, unless somebody changed it meanwhile.
async fn undo(ctl: &Ctl, before: &AppRow, after: &AppRow) -> Result<(), Failure> {
    let mut tx = ctl.store.begin().await?;
    let Some(mut now) = tx.app(&after.guid).await? else { return Ok(()) };
    if now.version != after.version || now.state != after.state || now.instances != after.instances {
        return Ok(());
    }
    now.state.clone_from(&before.state);
    now.instances = before.instances;
    tx.save_app(&now).await?;
    tx.commit().await?;
    if !now.is_started() && after.is_started() {
        // Some indices may have been started before one failed. Best effort: the health manager stops what is left.
        let _ = ctl.stop_all(&after.guid).await;
    }
    Ok(())
}
