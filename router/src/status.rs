//! What operators see: `/healthz`, `/health`, `/varz`, `/routes`, `/metrics`, and the answer to the collector.
//!
//! The pages all daemons share come from `component`, which knows nothing of
//! the router's own two; it serves its pages on a loopback port, and all of
//! them are mounted together on the configured one, which is announced.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bus::component::{Announce, DISCOVER};
use bus::{Anything, Bus};
use component::prometheus_client::collector::Collector;
use component::prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use component::prometheus_client::metrics::counter::ConstCounter;
use component::prometheus_client::metrics::gauge::ConstGauge;
use component::prometheus_client::registry::Registry;
use component::{BasicAuth, Identity, Status, StatusConfig, Tasks, authorized};
use serde_json::{Map, Value, json};
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::TcpListener;

use crate::proxy::Proxy;

#[derive(Clone)]
struct Pages {
    proxy: Arc<Proxy>,
    auth: BasicAuth,
}

/// Serves all pages on the configured address and tells the collector about them; returns the address.
pub(crate) async fn start(
    config: &StatusConfig,
    id: Identity,
    bus: &Bus,
    proxy: Arc<Proxy>,
    tasks: &Tasks,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(config.listen).await?;
    let addr = listener.local_addr()?;
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Metrics(proxy.clone())));
    let (for_varz, for_health) = (proxy.clone(), proxy.clone());
    let healthy = move || match for_health.draining.load(Ordering::Relaxed) {
        false => Ok(()),
        true => Err("draining".into()),
    };
    let inner = StatusConfig {
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        ..config.clone()
    };
    let shared = Status::start(
        id,
        &inner,
        None,
        registry,
        Arc::new(move || varz(&for_varz)),
        Arc::new(healthy),
        tasks,
    )
    .await?;
    let (user, password) = shared.announcement().credentials;
    component::serve(
        listener,
        shared
            .router()
            .merge(pages(proxy, BasicAuth { user, password })),
        tasks,
    );
    tasks.spawn("discover", answer_discovery(bus.clone(), shared, addr));
    Ok(addr)
}

async fn answer_discovery(bus: Bus, status: Status, addr: SocketAddr) {
    let announcement = || Announce {
        host: addr.to_string(),
        ..status.announcement()
    };
    bus.wait_connected().await;
    let mut requests = match bus.subscribe_to::<Anything>(DISCOVER).await {
        Ok(requests) => requests,
        Err(error) => return tracing::warn!(%error, "the collector cannot discover this router"),
    };
    if let Err(error) = bus.publish(&announcement()).await {
        tracing::debug!(%error, "not announced; discovery will find us");
    }
    while let Some(request) = requests.next().await {
        if let Some(inbox) = request.reply
            && let Err(error) = bus.publish_to(&inbox, &announcement()).await
        {
            tracing::debug!(%error, "a discovery request was not answered");
        }
    }
}

/// `/routes` and `/health`.
fn pages(proxy: Arc<Proxy>, auth: BasicAuth) -> Router {
    Router::new()
        .route("/routes", get(routes))
        .route("/health", get(health))
        .with_state(Pages { proxy, auth })
}

async fn health(State(pages): State<Pages>) -> Response {
    match pages.proxy.draining.load(Ordering::Relaxed) {
        false => (StatusCode::OK, "ok\n").into_response(),
        true => (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response(),
    }
}

async fn routes(State(pages): State<Pages>, headers: HeaderMap) -> Response {
    if !authorized(&headers, &pages.auth) {
        return (
            StatusCode::UNAUTHORIZED,
            [(header::WWW_AUTHENTICATE, "Basic")],
            "401 Unauthorized\n",
        )
            .into_response();
    }
    let table = pages.proxy.table();
    let list: BTreeMap<&str, Vec<Value>> = table
        .routes()
        .map(|(uri, slots)| (uri, slots.iter().map(|slot| json!({"address": slot.endpoint.address, "ttl": slot.threshold.as_secs()})).collect()))
        .collect();
    Json(list).into_response()
}

/// The router's own `/varz` keys.
fn varz(proxy: &Proxy) -> Map<String, Value> {
    let now = Instant::now();
    let mut map = proxy.stats().varz(now);
    let table = proxy.table();
    map.insert("urls".into(), table.uri_count().into());
    map.insert("droplets".into(), table.endpoint_count().into());
    let since = table
        .since_last_update(now)
        .map_or(Value::from(0), |since| (since.as_millis() as u64).into());
    map.insert("ms_since_last_registry_update".into(), since);
    map.insert("access_log_dropped".into(), proxy.log.dropped().into());
    map
}

/// Reads the counters when Prometheus asks.
struct Metrics(Arc<Proxy>);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let proxy = &self.0;
        let (requests, responses) = {
            let stats = proxy.stats();
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
            proxy.log.dropped(),
        )?;
        let (uris, endpoints) = {
            let table = proxy.table();
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
