//! What runs: instances, stats, crashes, files.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bus::dea::{Find, Found, Stop};
use http::{StatusCode, header};
use serde_json::{Map, Value, json};
use v2_api::{ApiError, Code};

use super::routing::{Routes, delete, get};
use super::{apps, audit};
use crate::authorize::Caller;
use crate::controller::Ctl;
use crate::failure::{Failure, Outcome, fail, fail_with};
use crate::store::{AppRow, now_micros};

/// How long DEAs may take to answer.
const FIND_LIMIT: Duration = Duration::from_secs(2);
/// How long a DEA's file server may take.
const FILE_LIMIT: Duration = Duration::from_secs(30);
/// How much of a file server's refusal is read, bytes.
const MAX_REFUSAL: usize = 4096;
/// Subject of questions about instances.
const FIND: &str = "dea.find.droplet";

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/v2/apps/{guid}/instances", get(instances))
        .route("/v2/apps/{guid}/instances/{index}", delete(kill))
        .route("/v2/apps/{guid}/instances/{index}/files", get(files_root))
        .route("/v2/apps/{guid}/instances/{index}/files/", get(files_root))
        .route(
            "/v2/apps/{guid}/instances/{index}/files/{*path}",
            get(files),
        )
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

fn wanted(app: &AppRow) -> u32 {
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

fn question(app: &AppRow) -> Stop {
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
    let found: Vec<Found> = match ctl.bus.gather(FIND, &find, expected, FIND_LIMIT).await {
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

async fn files_root(
    state: State<Ctl>,
    caller: Caller,
    Path((guid, index)): Path<(String, String)>,
) -> Outcome<Response> {
    fetch(state, caller, guid, index, String::new()).await
}

async fn files(
    state: State<Ctl>,
    caller: Caller,
    Path((guid, index, path)): Path<(String, String, String)>,
) -> Outcome<Response> {
    fetch(state, caller, guid, index, path).await
}

/// A file or listing of an instance: fetched from the DEA's directory server and answered here, because old clients
/// cannot follow a redirect to a host without dots.
async fn fetch(
    State(ctl): State<Ctl>,
    caller: Caller,
    guid: String,
    index: String,
    path: String,
) -> Outcome<Response> {
    let (app, _) = apps::load(&ctl, &caller, &guid).await?;
    let failed = |text: String| fail_with(Code::FileError, text);
    if !app.is_started() {
        return Err(failed(format!(
            "Request failed for app: {} path: {path} as the app is in stopped state.",
            app.name
        )));
    }
    let filter = match index.parse::<u32>() {
        Ok(index) if index < wanted(&app) => Stop {
            indices: Some(vec![index]),
            states: Some(vec!["RUNNING".into(), "STARTING".into()]),
            ..question(&app)
        },
        Ok(_) => {
            return Err(failed(format!(
                "Request failed for app: {}, instance: {index} and path: {path} as the instance is out of range.",
                app.name
            )));
        }
        Err(_) => Stop {
            version: None,
            instance_ids: Some(vec![index.clone()]),
            states: Some(vec!["RUNNING".into(), "STARTING".into(), "CRASHED".into()]),
            ..question(&app)
        },
    };
    ctl.need_bus()?;
    let find = Find {
        filter,
        include_stats: false,
        path: Some(format!("/{path}")),
    };
    let found: Vec<Found> = ctl.bus.gather(FIND, &find, 1, FIND_LIMIT).await?;
    let uri = found.into_iter().next().and_then(|one| one.file_uri_v2);
    let uri =
        uri.ok_or_else(|| failed(format!("no DEA knows instance {index} of {}", app.name)))?;
    let answer = ask_file_server(&uri)
        .await
        .map_err(|error| failed(format!("the DEA's file server did not answer: {error}")))?;
    if answer.status().is_success() {
        let body = axum::body::Body::from_stream(answer.bytes_stream());
        return Ok(([(header::CONTENT_TYPE, "text/plain")], body).into_response());
    }
    let missing = answer.status().as_u16() == 404;
    let said = refusal(answer).await;
    let text = format!("/{path} of instance {index} of app {}: {said}", app.name);
    Err(match missing {
        true => fail_with(Code::ResourceNotFound, text),
        false => failed(text),
    })
}

async fn ask_file_server(uri: &str) -> Result<reqwest::Response, reqwest::Error> {
    let client = reqwest::Client::builder()
        .timeout(FILE_LIMIT)
        .no_proxy()
        .build()?;
    client.get(uri).send().await
}

/// What a file server says when it refuses: the text of its `error`, or the status. Clients read JSON of ours, never its body.
async fn refusal(mut answer: reqwest::Response) -> String {
    let status = answer.status();
    let mut body = Vec::new();
    while body.len() < MAX_REFUSAL {
        match answer.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    let said = serde_json::from_slice::<Value>(&body).ok();
    let said = said.and_then(|body| Some(body.get("error")?.as_str()?.to_owned()));
    said.unwrap_or_else(|| format!("the DEA's file server answers {status}"))
}
