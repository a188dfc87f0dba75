//! What runs: instances, stats, crashes.

use std::time::Instant;

use axum::Json;
use axum::extract::{Path, State};
use bus::dea::{Find, Found, Stop};
use http::StatusCode;
use serde_json::{Map, Value, json};
use v2_api::{ApiError, Code};

use super::routing::{Routes, delete, get};
use super::{apps, audit};
use crate::authorize::Caller;
use crate::controller::Ctl;
use crate::failure::{Failure, Outcome, fail, fail_with};
use crate::limits::DEA_ANSWER_SECONDS;
use crate::store::{AppRow, now_micros};

/// Subject of questions about instances.
pub(super) const FIND: &str = "dea.find.droplet";

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/v2/apps/{guid}/instances", get(instances))
        .route("/v2/apps/{guid}/instances/{index}", delete(kill))
        .route("/v2/apps/{guid}/stats", get(stats))
        .route("/v2/apps/{guid}/crashes", get(crashes))
}

fn now_seconds() -> f64 {
    now_micros() as f64 / 1_000_000.0
}

/// The error that explains why a failed app has no instances.
fn staging_failure(app: &AppRow) -> Failure {
    let code = app
        .staging_failed_reason
        .as_deref()
        .and_then(Code::by_name)
        .unwrap_or(Code::StagingError);
    let mut error = match &app.staging_failed_description {
        Some(text) if code.row().message.contains("%s") => ApiError::with(code, text),
        _ => ApiError::new(code),
    };
    if let Some(text) = &app.staging_failed_description
        && !error.description.contains(text.as_str())
    {
        error.description = format!("{}: {text}", error.description);
    }
    error.into()
}

pub(super) fn wanted(app: &AppRow) -> u32 {
    u32::try_from(app.instances).unwrap_or(0)
}

async fn instances(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
) -> Outcome<Json<Value>> {
    let (app, _) = apps::load(&ctl, &caller, &guid).await?;
    match app.package_state.as_str() {
        "FAILED" => return Err(staging_failure(&app)),
        "PENDING" => return Err(fail(Code::NotStaged)),
        _ => {}
    }
    if !app.is_started() {
        let text = format!(
            "Request failed for app: {} as the app is in stopped state.",
            app.name
        );
        return Err(fail_with(Code::InstancesError, text));
    }
    let states = ctl
        .live()
        .indices(&app.guid, &app.version, wanted(&app), Instant::now());
    let mut shown = Map::new();
    for (index, state) in states {
        let mut entry = json!({
            "state": state.state, "since": state.since.unwrap_or_else(now_seconds),
            "debug_ip": null, "debug_port": null, "console_ip": null, "console_port": null,
        });
        if let Some(details) = state.details {
            entry["details"] = json!(details);
        }
        shown.insert(index.to_string(), entry);
    }
    Ok(Json(Value::Object(shown)))
}

pub(super) fn question(app: &AppRow) -> Stop {
    Stop {
        droplet: app.guid.clone(),
        version: Some(app.version.clone()),
        instances: None,
        instance_ids: None,
        indices: None,
        states: Some(vec!["RUNNING".into()]),
    }
}

async fn stats(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
) -> Outcome<Json<Value>> {
    let (app, _) = apps::load(&ctl, &caller, &guid).await?;
    if !app.is_started() {
        return Err(fail_with(Code::AppStoppedStatsError, app.name));
    }
    let wanted = wanted(&app);
    // As many answers as instances are known to run: a dead index does not cost the full wait.
    let expected = ctl
        .live()
        .running_instances(&app.guid, &app.version, Instant::now());
    let find = Find {
        filter: question(&app),
        include_stats: true,
        path: None,
    };
    let found: Vec<Found> = match ctl
        .bus
        .gather(FIND, &find, expected, DEA_ANSWER_SECONDS)
        .await
    {
        Ok(found) => found,
        Err(error) => return Err(fail_with(Code::StatsUnavailable, error)),
    };
    let mut shown = Map::new();
    for index in 0..wanted {
        let stats = found
            .iter()
            .find(|one| one.index == index)
            .and_then(|one| one.stats.as_ref());
        let entry = match stats {
            Some(stats) => json!({"state": "RUNNING", "stats": stats}),
            None => json!({"state": "DOWN", "since": now_seconds()}),
        };
        shown.insert(index.to_string(), entry);
    }
    Ok(Json(Value::Object(shown)))
}

async fn crashes(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
) -> Outcome<Json<Value>> {
    let (app, _) = apps::load(&ctl, &caller, &guid).await?;
    let crashed = ctl.live().crashed(&app.guid, &app.version, Instant::now());
    Ok(Json(
        crashed
            .into_iter()
            .map(|(instance, since)| json!({"instance": instance, "since": since}))
            .collect(),
    ))
}

/// Stops one index; the health manager starts it anew.
async fn kill(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path((guid, index)): Path<(String, String)>,
) -> Outcome<StatusCode> {
    let (app, _) = apps::load_to_change(&ctl, &caller, &guid).await?;
    let index = index
        .parse::<u32>()
        .ok()
        .filter(|index| *index < wanted(&app));
    let index = index.ok_or_else(|| {
        fail_with(
            Code::InstancesError,
            format!("app {} has indices 0 to {}", app.name, app.instances - 1),
        )
    })?;
    ctl.need_bus()?;
    let kind = "audit.app.process.terminate_instance";
    let event = audit::of_app(&ctl, &caller, kind, &app, json!({"index": index})).await?;
    let mut tx = ctl.store.begin().await?;
    tx.record_event(&event).await?;
    tx.commit().await?;
    ctl.stop_indices(&app, vec![index]).await?;
    Ok(StatusCode::NO_CONTENT)
}
