//! Deleting apps.

use axum::extract::{Path, RawQuery, State};
use http::StatusCode;
use serde_json::json;
use v2_api::{ApiError, Code};

use super::call::Call;
use super::{apps, audit, body};
use crate::authorize::Caller;
use crate::blobs::Place;
use crate::controller::Ctl;
use crate::failure::Outcome;
use crate::store::{APPS, AppRow, BINDINGS, BINDINGS_OF_APP, Scope, SpaceRow};

/// Always synchronous: 204, even with `async=true`.
pub(super) async fn delete(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
    raw: RawQuery,
) -> Outcome<StatusCode> {
    let (app, _) = apps::load_to_change(&ctl, &caller, &guid).await?;
    let is_bound = ctl
        .store
        .count(&BINDINGS, &BINDINGS_OF_APP.of(&guid))
        .await?
        > 0;
    if is_bound && !body::flag(&raw, "recursive") {
        return Err(ApiError::with_details(
            Code::AssociationNotEmpty,
            &["service_bindings", "apps"],
        )
        .into());
    }
    let metadata = json!({"request": {"recursive": body::flag(&raw, "recursive")}});
    let event = audit::of_app(&ctl, &caller, "audit.app.delete-request", &app, metadata).await?;
    if app.is_started() {
        ctl.need_bus()?;
    }
    let mut tx = ctl.store.begin().await?;
    tx.record_event(&event).await?;
    tx.delete_app(&guid).await?;
    tx.commit().await?;
    clean_up(&ctl, &app).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes every app of a space, each with its event.
pub(super) async fn empty_space(call: &Call, space: &SpaceRow) -> Outcome<()> {
    let ctl = &call.ctl;
    let apps: Vec<AppRow> = ctl.store.all(&APPS, &Scope::in_space(&space.guid)).await?;
    if apps.iter().any(AppRow::is_started) {
        ctl.need_bus()?;
    }
    let metadata = json!({"request": {"recursive": true}});
    for app in &apps {
        let kind = "audit.app.delete-request";
        let event = audit::of_app(ctl, &call.caller, kind, app, metadata.clone()).await?;
        let mut tx = ctl.store.begin().await?;
        tx.record_event(&event).await?;
        tx.delete_app(&app.guid).await?;
        tx.commit().await?;
        clean_up(ctl, app).await;
    }
    Ok(())
}

/// Stops what runs and stages, and removes blobs nobody else refers to. The rows are gone already: what fails here
/// costs space, or is stopped by the health manager as undesired.
async fn clean_up(ctl: &Ctl, app: &AppRow) {
    if let Err(failure) = ctl.stop_all(&app.guid).await {
        tracing::warn!(app = %app.guid, error = %failure.0, "deleted app could not be told to stop; the health manager will");
    }
    let Ok(stack) = ctl.stack_of(app).await else {
        return;
    };
    let mut places = vec![Place::BuildpackCache(app.guid.clone(), stack.name)];
    places.extend(
        app.droplet_hash
            .iter()
            .map(|sha1| Place::Droplet(app.guid.clone(), sha1.clone())),
    );
    for place in places {
        if let Err(error) = ctl.blobs.delete(&place).await {
            tracing::warn!(%error, ?place, "blob of a deleted app left behind");
        }
    }
}
