//! Apps: create and read.

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use serde_json::{Map, Value, json};
use v2_api::Code;

use super::app_change::AppChange;
use super::app_update::{self, answer, apply};
use super::body::Raw;
use super::call::{Call, Created, required};
use super::lists::{Present, View, envelope, link};
use super::relations::Relation;
use super::routing::{Routes, get, post};
use super::times::rfc3339;
use super::{app_delete, audit, env, internal, spaces, summary, taken};
use crate::authorize::{Action, Caller, HIDDEN_VALUE, SEEN_IN_SPACES};
use crate::blobs::Place;
use crate::controller::Ctl;
use crate::failure::{Outcome, fail_with};
use crate::store::{
    APPS, AppRow, BINDINGS_OF_APP, BindingRow, EventRow, ROUTES_OF_APP, RouteRow, SpaceRow,
    StackRow, Table,
};

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/v2/apps", get(list).post(create))
        .route(
            "/v2/apps/{guid}",
            get(show).put(app_update::update).delete(app_delete::delete),
        )
        .route("/v2/apps/{guid}/restage", post(app_update::restage))
        .route("/v2/apps/{guid}/summary", get(show_summary))
        .route("/v2/apps/{guid}/env", get(env::show))
        .route("/v2/apps/{guid}/routes", get(list_routes))
        .route("/v2/apps/{guid}/events", get(events))
        .route("/v2/apps/{guid}/download", get(download))
        .route("/v2/apps/{guid}/droplet/download", get(download_droplet))
}

/// The attributes of an app, for its resource and its summary.
pub(super) fn attributes(app: &AppRow, view: &View<'_>) -> Outcome<Value> {
    let environment = if view.caller.may(Action::ReadSecrets(&app.space_guid)) {
        Value::Object(view.ctl.store.unseal(&app.environment_sealed)?)
    } else {
        json!({"redacted_message": HIDDEN_VALUE})
    };
    Ok(json!({
        "name": app.name, "production": app.production, "space_guid": app.space_guid, "stack_guid": app.stack_guid,
        "buildpack": app.buildpack, "detected_buildpack": app.detected_buildpack, "environment_json": environment,
        "memory": app.memory, "instances": app.instances, "disk_quota": app.disk_quota, "state": app.state,
        "version": app.version, "command": app.command, "console": false, "debug": null,
        "staging_task_id": app.staging_task_id, "package_state": app.package_state,
        "health_check_type": app.health_check_type, "health_check_timeout": app.health_check_timeout,
        "health_check_http_endpoint": app.health_check_http_endpoint,
        "staging_failed_reason": app.staging_failed_reason, "staging_failed_description": app.staging_failed_description,
        "diego": false, "docker_image": null, "package_updated_at": app.package_updated_at.map(rfc3339),
        "detected_start_command": app.detected_start_command, "enable_ssh": app.enable_ssh,
        "docker_credentials_json": {"redacted_message": HIDDEN_VALUE},
    }))
}

impl Present for AppRow {
    const COLLECTION: &'static str = "apps";
    const SEEN: &'static [&'static str] = SEEN_IN_SPACES;
    const RELATIONS: &'static [Relation<AppRow>] = &[
        Relation::one::<SpaceRow>("space", |app| Some(&app.space_guid)),
        Relation::one::<StackRow>("stack", |app| Some(&app.stack_guid)),
        Relation::many::<RouteRow>("routes", &ROUTES_OF_APP, |app| Some(&app.guid)),
        Relation::many::<BindingRow>("service_bindings", &BINDINGS_OF_APP, |app| Some(&app.guid)),
    ];

    fn table() -> &'static Table {
        &APPS
    }

    fn flat(&self, view: &View<'_>) -> Outcome<Value> {
        let url = format!("/v2/apps/{}", self.guid);
        let mut entity = attributes(self, view)?;
        entity["space_url"] = json!(format!("/v2/spaces/{}", self.space_guid));
        entity["stack_url"] = json!(format!("/v2/stacks/{}", self.stack_guid));
        link(&mut entity, &url, &["events", "service_bindings", "routes"]);
        Ok(envelope(
            Self::COLLECTION,
            &self.guid,
            (self.created_at, self.updated_at),
            entity,
        ))
    }
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

async fn list(call: Call) -> Outcome<Json<Value>> {
    call.list::<AppRow>(call.seen::<AppRow>()).await
}

async fn show(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    let (app, _) = load(&call.ctl, &call.caller, &guid).await?;
    call.show(&app).await
}

async fn show_summary(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    let (app, space) = load(&call.ctl, &call.caller, &guid).await?;
    Ok(Json(summary::of_app(&call.view(), &app, &space).await?))
}

async fn list_routes(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    load(&call.ctl, &call.caller, &guid).await?;
    call.list::<RouteRow>(ROUTES_OF_APP.of(&guid)).await
}

async fn events(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    load(&call.ctl, &call.caller, &guid).await?;
    let about = call.seen::<EventRow>().and(&["t.actee = ", ""], guid);
    call.list::<EventRow>(about).await
}

async fn create(
    State(ctl): State<Ctl>,
    caller: Caller,
    raw: RawQuery,
    Raw(bytes, _): Raw<AppChange>,
) -> Created {
    let (change, sent) = app_update::read(&bytes)?;
    required(change.name.as_ref(), "name")?;
    let space_guid = required(change.space_guid.clone(), "space_guid")?;
    let space = spaces::load(&ctl, &caller, &space_guid).await?;
    caller.need(Action::Develop(&space.guid))?;
    let mut app = blank(&ctl, &space).await?;
    let mut tx = ctl.store.begin().await?;
    apply(&ctl, &mut tx, &change, &mut app, &space).await?;
    let event = audit::of_app(
        &ctl,
        &caller,
        "audit.app.create",
        &app,
        json!({"request": audit::redacted(sent)}),
    )
    .await?;
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
        health_check_http_endpoint: None,
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

/// The app's package, for its developers. The original redirects to its blobstore; this answers itself.
async fn download(call: Call, Path(guid): Path<String>) -> Outcome<Response> {
    let (app, space) = load(&call.ctl, &call.caller, &guid).await?;
    call.need(Action::ReadSecrets(&space.guid))?;
    let missing = || fail_with(Code::AppPackageNotFound, &guid);
    let sha1 = app.package_hash.ok_or_else(missing)?;
    internal::send(&call.ctl, &Place::Package(sha1)).await
}

/// The app's current droplet, for its developers.
async fn download_droplet(call: Call, Path(guid): Path<String>) -> Outcome<Response> {
    let (app, space) = load(&call.ctl, &call.caller, &guid).await?;
    call.need(Action::ReadSecrets(&space.guid))?;
    let missing = || {
        let text = format!("Droplet not found for app with guid {guid}: it was never staged");
        fail_with(Code::ResourceNotFound, text)
    };
    let sha1 = app.droplet_hash.ok_or_else(missing)?;
    internal::send(&call.ctl, &Place::Droplet(guid, sha1)).await
}
