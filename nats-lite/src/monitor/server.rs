//! The monitoring port: hand-written HTTP/1.0, because a handful of pages does not earn a framework.

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::pages;
use super::query::Query;
use crate::hub::Hub;

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
    let reply = respond(&hub, &String::from_utf8_lossy(&head));
    stream.write_all(&reply).await?;
    stream.shutdown().await
}

fn respond(hub: &Hub, head: &str) -> Vec<u8> {
    let mut words = head.split_ascii_whitespace();
    let (method, target) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query = Query::new(query);
    let head_only = method == "HEAD";
    if !matches!(method, "GET" | "HEAD") {
        let said = json!({"error": "only GET is answered here"});
        return page("405 Method Not Allowed", JSON, &said.to_string(), false);
    }
    if path == "/metrics" {
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        return page("200 OK", kind, &metrics(&pages::varz(hub)), head_only);
    }
    let body = match path {
        "/varz" => Ok(pages::varz(hub)),
        "/connz" => pages::connz(hub, &query),
        "/subsz" | "/subscriptionsz" => pages::subsz(hub, &query),
        "/routez" => Ok(pages::routez(hub)),
        "/healthz" => Ok(json!({"status": "ok"})),
        _ => {
            let said = json!({"error": "try /varz, /connz, /subsz, /routez, /healthz or /metrics"});
            return page("404 Not Found", JSON, &said.to_string(), head_only);
        }
    };
    match body {
        Ok(body) => page("200 OK", JSON, &body.to_string(), head_only),
        Err(why) => page(
            "400 Bad Request",
            JSON,
            &json!({"error": why}).to_string(),
            head_only,
        ),
    }
}

const JSON: &str = "application/json";

fn page(status: &str, kind: &str, body: &str, head_only: bool) -> Vec<u8> {
    let length = body.len();
    let content = if head_only { "" } else { body };
    format!("HTTP/1.0 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{content}").into_bytes()
}

/// Every number of `/varz` as a gauge in the OpenMetrics text form.
fn metrics(varz: &Value) -> String {
    let mut text = String::new();
    for (key, value) in varz.as_object().into_iter().flatten() {
        if let Some(number) = value.as_number() {
            text.push_str(&format!(
                "# TYPE nats_lite_{key} gauge\nnats_lite_{key} {number}\n"
            ));
        }
    }
    text + "# EOF\n"
}
