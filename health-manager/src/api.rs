//! `POST /bulk_app_state`: what the controller asks about its apps.

use std::time::Instant;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use bus::health::AppStateQuery;
use component::{BasicAuth, authorized};
use serde_json::{Map, Value, json};
use tokio::sync::{mpsc, oneshot};

use crate::brain::Brain;
use crate::desired::Process;
use crate::engine::Input;

/// Most apps asked about at once; the original's controller asks about 50.
const MAX_QUERIES: usize = 10_000;

#[derive(Clone)]
struct Api {
    engine: mpsc::Sender<Input>,
    auth: BasicAuth,
}

/// The one page.
pub(crate) fn router(engine: mpsc::Sender<Input>, auth: BasicAuth) -> Router {
    Router::new()
        .route("/bulk_app_state", post(bulk_app_state))
        .with_state(Api { engine, auth })
}

async fn bulk_app_state(State(api): State<Api>, headers: HeaderMap, body: Bytes) -> Response {
    if !authorized(&headers, &api.auth) {
        let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"health manager\"")];
        return (
            StatusCode::UNAUTHORIZED,
            challenge,
            "401 Unauthorized: see `api` in the health manager's configuration\n",
        )
            .into_response();
    }
    // Callers of the original expect `{}` for whatever cannot be answered.
    let Ok(queries) = serde_json::from_slice::<Vec<AppStateQuery>>(&body) else {
        return Json(json!({})).into_response();
    };
    let (answer, answered) = oneshot::channel();
    let queries = queries.into_iter().take(MAX_QUERIES).collect();
    if api.engine.send(Input::Ask(queries, answer)).await.is_err() {
        return Json(json!({})).into_response();
    }
    Json(answered.await.unwrap_or_else(|_| json!({}))).into_response()
}

/// What is known of the apps asked about; nothing while a picture is stale.
pub(crate) fn states(brain: &Brain, queries: &[AppStateQuery], now: Instant) -> Value {
    if !brain.is_fresh(now) {
        return json!({});
    }
    let running = brain.actual.by_process();
    let mut found = Map::new();
    for query in queries {
        let process = Process {
            guid: query.droplet.clone(),
            version: query.version.clone(),
        };
        let instances = running.get(&process).map(Vec::as_slice).unwrap_or_default();
        let desired = brain.desired.get(&process);
        if desired.is_none() && instances.is_empty() {
            continue;
        }
        let heartbeats: Vec<Value> = instances.iter().map(heartbeat).collect();
        let crashes: Vec<Value> = brain
            .crashes
            .of_process(&process)
            .map(|(index, count)| crash(&process, index, &count))
            .collect();
        let state = json!({
            "droplet": process.guid, "version": process.version,
            "desired": desired, "instance_heartbeats": heartbeats, "crash_counts": crashes,
        });
        found.insert(process.guid, state);
    }
    Value::Object(found)
}

fn heartbeat(instance: &crate::actual::Instance) -> Value {
    let heartbeat = &instance.heartbeat;
    json!({
        "droplet": heartbeat.droplet, "version": heartbeat.version, "instance": heartbeat.instance, "index": heartbeat.index,
        "state": heartbeat.state, "state_timestamp": heartbeat.state_timestamp, "dea_guid": instance.dea,
    })
}

fn crash(process: &Process, index: u32, count: &crate::backoff::Count) -> Value {
    json!({
        "droplet": process.guid, "version": process.version, "instance_index": index,
        "crash_count": count.crashes, "created_at": count.created_at,
    })
}
