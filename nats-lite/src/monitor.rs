//! `/varz`, `/connz`, `/healthz` and `/metrics` on an optional port. Hand-written HTTP/1.0: four pages do not earn a framework.

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::hub::Hub;
use crate::limits::{PROTO, VERSION};

/// A request head longer than this is nobody we know.
const MAX_HEAD: usize = 4096;
/// A monitor that takes longer than this to ask or to read is dropped.
const PATIENCE: Duration = Duration::from_secs(5);

/// Answers monitoring requests until dropped.
pub(crate) async fn serve(hub: Rc<Hub>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::task::spawn_local(timeout(
                PATIENCE,
                answer(hub.clone(), stream),
            ))),
            Err(error) => {
                tracing::warn!(%error, "monitoring port cannot accept; trying again in a moment");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(hub: Rc<Hub>, mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        if head.len() > MAX_HEAD || stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let reply = respond(&hub, &head);
    stream.write_all(&reply).await?;
    stream.shutdown().await
}

fn respond(hub: &Hub, head: &[u8]) -> Vec<u8> {
    let mut words = head.split(u8::is_ascii_whitespace);
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let path = target
        .split(|&byte| byte == b'?')
        .next()
        .unwrap_or_default();
    if matches!(method, b"GET" | b"HEAD") && path == b"/metrics" {
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        return page("200 OK", kind, &metrics(&varz(hub)), method == b"HEAD");
    }
    let (status, body) = match (method, path) {
        (b"GET" | b"HEAD", b"/varz") => ("200 OK", varz(hub)),
        (b"GET" | b"HEAD", b"/connz") => ("200 OK", connz(hub)),
        (b"GET" | b"HEAD", b"/healthz") => ("200 OK", json!({"status": "ok"})),
        (b"GET" | b"HEAD", _) => (
            "404 Not Found",
            json!({"error": "try /varz, /connz, /healthz or /metrics"}),
        ),
        _ => (
            "405 Method Not Allowed",
            json!({"error": "only GET is answered here"}),
        ),
    };
    page(
        status,
        "application/json",
        &body.to_string(),
        method == b"HEAD",
    )
}

fn page(status: &str, kind: &str, body: &str, head_only: bool) -> Vec<u8> {
    let length = body.len();
    let content = if head_only { "" } else { body };
    format!("HTTP/1.0 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{content}").into_bytes()
}

/// Every number of `/varz` as a gauge in the OpenMetrics text form.
fn metrics(varz: &Value) -> String {
    let mut text = String::new();
    for (key, value) in varz.as_object().into_iter().flatten() {
        if let Some(number) = value.as_u64() {
            text.push_str(&format!(
                "# TYPE nats_lite_{key} gauge\nnats_lite_{key} {number}\n"
            ));
        }
    }
    text + "# EOF\n"
}

fn varz(hub: &Hub) -> Value {
    let counters = &hub.counters;
    json!({
        "server_id": hub.server_id, "server_name": hub.server_name, "version": VERSION, "proto": PROTO,
        "auth_required": hub.auth().required(),
        "max_connections": hub.limits().max_connections, "max_payload": hub.limits().max_payload,
        "max_pending": hub.limits().max_pending, "max_control_line": hub.limits().max_control_line,
        "ping_interval": hub.limits().ping_interval, "ping_max": hub.limits().max_pings_out,
        "uptime": format!("{}s", hub.started.elapsed().as_secs()),
        "mem": resident_bytes(),
        "connections": hub.peers.borrow().len(), "total_connections": hub.total_connections.get(),
        "subscriptions": hub.subscription_count(), "slow_consumers": hub.slow_consumers.get(),
        "in_msgs": counters.in_msgs.get(), "in_bytes": counters.in_bytes.get(),
        "out_msgs": counters.out_msgs.get(), "out_bytes": counters.out_bytes.get(),
    })
}

fn connz(hub: &Hub) -> Value {
    let peers = hub.peers.borrow();
    let rows: Vec<Value> = peers
        .values()
        .map(|peer| {
            json!({
                "cid": peer.id, "ip": peer.addr.ip().to_string(), "port": peer.addr.port(),
                "name": peer.client.borrow().name, "subscriptions": peer.subscriptions.borrow().len(),
                "pending_bytes": peer.pending(),
                "in_msgs": peer.counters.in_msgs.get(), "in_bytes": peer.counters.in_bytes.get(),
                "out_msgs": peer.counters.out_msgs.get(), "out_bytes": peer.counters.out_bytes.get(),
            })
        })
        .collect();
    json!({"server_id": hub.server_id, "num_connections": rows.len(), "total": rows.len(), "connections": rows})
}

/// Resident memory in bytes, 0 where /proc does not say.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = statm
        .split(' ')
        .nth(1)
        .and_then(|word| word.parse().ok())
        .unwrap_or(0);
    pages * 4096
}
