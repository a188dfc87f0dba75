//! `cf app`.

use std::net::ToSocketAddrs;

use serde_json::Value;

use crate::context::{Context, guid};
use crate::error::CfError;
use crate::size::{show_bytes, show_mb};

/// Shows one app.
pub(super) async fn run(cx: &mut Context, name: &str, only_guid: bool) -> Result<(), CfError> {
    let app = cx.app(name).await?;
    if only_guid {
        cx.ui.result(guid(&app));
        return Ok(());
    }
    cx.ui.say(&format!(
        "Showing health and status for app {} {}",
        cx.ui.name(name),
        cx.place()
    ));
    let guid = guid(&app).to_owned();
    show(cx, &guid).await
}

/// The `app` display: summary, then a line per instance. The URL comes last, where
/// the eye is when the command ends.
pub(super) async fn show(cx: &mut Context, guid: &str) -> Result<(), CfError> {
    let summary = cx.client.get(&format!("/v2/apps/{guid}/summary")).await?;
    let started = summary["state"] == "STARTED";
    let instances = if started {
        optional(cx, &format!("/v2/apps/{guid}/instances")).await?
    } else {
        Value::Null
    };
    let stats = if started {
        optional(cx, &format!("/v2/apps/{guid}/stats")).await?
    } else {
        Value::Null
    };
    if cx.ui.json {
        cx.ui
            .json(&serde_json::json!({"app": summary, "instances": instances, "stats": stats}));
        return Ok(());
    }
    cx.ui.ok();
    let text = |key: &str| summary[key].as_str().unwrap_or_default().to_owned();
    cx.ui.say(&format!(
        "requested state: {}",
        text("state").to_lowercase()
    ));
    cx.ui
        .say(&format!("instances: {}", super::apps::running(&summary)));
    cx.ui.say(&format!(
        "usage: {} x {} instances",
        show_mb(summary["memory"].as_u64().unwrap_or(0)),
        summary["instances"]
    ));
    let buildpack = if text("buildpack").is_empty() {
        text("detected_buildpack")
    } else {
        text("buildpack")
    };
    cx.ui.say(&format!(
        "buildpack: {}",
        if buildpack.is_empty() {
            "unknown".into()
        } else {
            buildpack
        }
    ));
    if !started {
        cx.ui.say("\nThere are no running instances of this app.");
    } else {
        cx.ui.say("");
        cx.ui.table(
            &["", "state", "since", "cpu", "memory", "disk", "details"],
            &rows(&instances, &stats),
        );
    }
    show_urls(cx, &summary);
    Ok(())
}

/// An app that is stopped or not staged has no instances, which is no failure here.
async fn optional(cx: &mut Context, path: &str) -> Result<Value, CfError> {
    match cx.client.get(path).await {
        Err(CfError::Api {
            status: 400 | 503, ..
        }) => Ok(Value::Null),
        other => other,
    }
}

fn rows(instances: &Value, stats: &Value) -> Vec<Vec<String>> {
    let mut all: Vec<(u64, Vec<String>)> = instances
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(index, instance)| {
            Some((
                index.parse().ok()?,
                row(index, instance, &stats[index]["stats"]),
            ))
        })
        .collect();
    all.sort();
    all.into_iter().map(|(_, row)| row).collect()
}

fn row(index: &str, instance: &Value, stats: &Value) -> Vec<String> {
    let since = instance["since"]
        .as_f64()
        .and_then(|s| chrono::DateTime::from_timestamp(s as i64, 0));
    let of = |used: &Value, quota: &Value| match (used.as_u64(), quota.as_u64()) {
        (Some(used), Some(quota)) => format!("{} of {}", show_bytes(used), show_bytes(quota)),
        _ => "0 of 0".into(),
    };
    vec![
        format!("#{index}"),
        instance["state"].as_str().unwrap_or("down").to_lowercase(),
        since.map_or(String::new(), |t| {
            t.with_timezone(&chrono::Local)
                .format("%Y-%m-%d %H:%M:%S")
                .to_string()
        }),
        format!(
            "{:.1}%",
            stats["usage"]["cpu"].as_f64().unwrap_or(0.0) * 100.0
        ),
        of(&stats["usage"]["mem"], &stats["mem_quota"]),
        of(&stats["usage"]["disk"], &stats["disk_quota"]),
        instance["details"].as_str().unwrap_or_default().to_owned(),
    ]
}

fn show_urls(cx: &Context, summary: &Value) {
    let port = cx.client.config.app_port;
    let routes = summary["routes"].as_array().cloned().unwrap_or_default();
    for route in &routes {
        let (host, domain) = (
            route["host"].as_str().unwrap_or_default(),
            route["domain"]["name"].as_str().unwrap_or_default(),
        );
        let name = if host.is_empty() {
            domain.to_owned()
        } else {
            format!("{host}.{domain}")
        };
        let path = route["path"].as_str().unwrap_or_default();
        cx.ui
            .say(&format!("\nurl: {}", url_line(&name, path, port)));
    }
}

/// The address to open; where the name does not resolve, a line to paste instead.
fn url_line(name: &str, path: &str, port: Option<u16>) -> String {
    let Some(port) = port else {
        return format!("{name}{path}");
    };
    let shown = if port == 80 {
        String::new()
    } else {
        format!(":{port}")
    };
    let resolves = (name, port).to_socket_addrs().is_ok();
    match resolves {
        true => format!("http://{name}{shown}{path}"),
        false => format!(
            "http://{name}{shown}{path}   (try: curl -H 'Host: {name}' http://127.0.0.1:{port}{}/)",
            path.trim_end_matches('/')
        ),
    }
}
