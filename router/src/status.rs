//! What operators see: `/healthz`, `/health`, `/varz`, `/routes`, `/metrics`, and the answer to the collector.
//!
//! The pages all daemons share come from `component`; `/health` and `/routes` are the router's own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bus::Bus;
use component::prometheus_client::collector::Collector;
use component::prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use component::prometheus_client::metrics::counter::ConstCounter;
use component::prometheus_client::metrics::gauge::ConstGauge;
use component::prometheus_client::registry::Registry;
use component::{BasicAuth, Identity, Pages, Status, StatusConfig, Tasks, authorized};
use serde_json::{Map, Value, json};

use crate::engine::Shared;

#[derive(Clone)]
struct Own {
    shared: Arc<Shared>,
    auth: BasicAuth,
}

/// Serves all pages on the configured address and tells the collector about them.
pub(crate) async fn start(
    config: &StatusConfig,
    id: Identity,
    bus: &Bus,
    shared: Arc<Shared>,
    tasks: &Tasks,
) -> std::io::Result<Status> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Metrics(shared.clone())));
    let (for_varz, for_health) = (shared.clone(), shared.clone());
    let shown = Pages {
        registry,
        varz: Arc::new(move || varz(&for_varz)),
        health: Arc::new(move || match for_health.draining.load(Ordering::Relaxed) {
            false => Ok(()),
            true => Err("draining".into()),
        }),
        more: Box::new(|auth| pages(shared, auth)),
        ..Pages::default()
    };
    Status::start(id, config, Some(bus), shown, tasks).await
}

/// `/routes` and `/health`.
fn pages(shared: Arc<Shared>, auth: BasicAuth) -> Router {
    Router::new()
        .route("/routes", get(routes))
        .route("/health", get(health))
        .with_state(Own { shared, auth })
}

async fn health(State(own): State<Own>) -> Response {
    match own.shared.unready(Instant::now()) {
        None => (StatusCode::OK, "ok\n").into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn routes(State(own): State<Own>, headers: HeaderMap) -> Response {
    if !authorized(&headers, &own.auth) {
        return (
            StatusCode::UNAUTHORIZED,
            [(header::WWW_AUTHENTICATE, "Basic")],
            "401 Unauthorized\n",
        )
            .into_response();
    }
    let table = own.shared.table();
    let list: BTreeMap<&str, Vec<Value>> = table
        .routes()
        .map(|(uri, slots)| (uri, slots.iter().map(|slot| json!({"address": slot.endpoint.address, "ttl": slot.threshold.as_secs()})).collect()))
        .collect();
    Json(list).into_response()
}

/// The router's own `/varz` keys.
fn varz(shared: &Shared) -> Map<String, Value> {
    let now = Instant::now();
    let mut map = shared.stats().varz(now);
    let table = shared.table();
    map.insert("urls".into(), table.uri_count().into());
    map.insert("droplets".into(), table.endpoint_count().into());
    let since = table
        .since_last_update(now)
        .map_or(Value::from(0), |since| (since.as_millis() as u64).into());
    map.insert("ms_since_last_registry_update".into(), since);
    map.insert("access_log_dropped".into(), shared.log.dropped().into());
    map
}

/// Reads the counters when Prometheus asks.
struct Metrics(Arc<Shared>);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let shared = &self.0;
        let (requests, responses) = {
            let stats = shared.stats();
            (stats.requests(), stats.responses())
        };
        let mut counter = |name: &str, help: &str, value: u64| {
            let metric = ConstCounter::new(value);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
        };
        counter(
            "router_requests",
            "Requests delivered to instances",
            requests,
        )?;
        for (class, count) in ["2xx", "3xx", "4xx", "5xx", "other"].iter().zip(responses) {
            counter(
                &format!("router_responses_{class}"),
                "Answers of instances by class",
                count,
            )?;
        }
        counter(
            "router_access_log_dropped",
            "Access log lines lost",
            shared.log.dropped(),
        )?;
        let (uris, endpoints) = {
            let table = shared.table();
            (table.uri_count(), table.endpoint_count())
        };
        for (name, help, value) in [
            ("router_uris", "Routes known", uris),
            ("router_endpoints", "Instances known", endpoints),
        ] {
            let metric = ConstGauge::new(value as i64);
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)?;
        }
        Ok(())
    }
}
