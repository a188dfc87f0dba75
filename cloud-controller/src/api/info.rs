//! Discovery: what a client reads before it logs in.

use axum::Json;
use axum::extract::State;
use http::HeaderMap;
use serde_json::{Value, json};
use v2_api::address::{client_base, websocket_base};

use super::routing::{Routes, get};
use crate::authorize;
use crate::controller::Ctl;

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/", get(root))
        .route("/v3", get(v3))
        .route("/v2/info", get(info))
}

async fn info(State(ctl): State<Ctl>, headers: HeaderMap) -> Json<Value> {
    let base = client_base(&headers, &ctl.fallback_base);
    let logs = websocket_base(&base);
    let mut body = json!({
        "name": "bloomery", "build": env!("CARGO_PKG_VERSION"), "support": "", "version": 2,
        "description": "Cloud Foundry v2 in Rust",
        "authorization_endpoint": base, "token_endpoint": base,
        "min_cli_version": null, "min_recommended_cli_version": null,
        "api_version": ctl.config.api_version,
        "logging_endpoint": logs, "doppler_logging_endpoint": logs,
    });
    if let Some(port) = ctl.config.app_port {
        body["custom"] = json!({ "app_port": port });
    }
    if let Ok(caller) = authorize::authenticate(&ctl, &headers, 0, false).await {
        body["user"] = json!(caller.guid);
    }
    Json(body)
}

async fn root(State(ctl): State<Ctl>, headers: HeaderMap) -> Json<Value> {
    let base = client_base(&headers, &ctl.fallback_base);
    Json(json!({"links": {
        "self": {"href": base},
        "cloud_controller_v2": {"href": format!("{base}/v2"), "meta": {"version": ctl.config.api_version}},
        "cloud_controller_v3": {"href": format!("{base}/v3"), "meta": {"version": "3.0.0"}},
        "uaa": {"href": base},
        "logging": {"href": websocket_base(&base)},
    }}))
}

async fn v3(State(ctl): State<Ctl>, headers: HeaderMap) -> Json<Value> {
    let base = client_base(&headers, &ctl.fallback_base);
    Json(json!({"links": {"self": {"href": format!("{base}/v3")}}}))
}
