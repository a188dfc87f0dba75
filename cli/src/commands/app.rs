//! `cf app`.

use std::net::ToSocketAddrs;

use serde_json::{Map, Value, json};

use super::route::Wanted;
use crate::context::{Context, guid, text};
use crate::error::CfError;
use crate::line::{Group, Json, NONE, Spec, arg, switch};
use crate::size::{show_bytes, show_mb};

/// What is shown of an app; also at the end of push, start and restart.
pub(super) const FIELDS: Json = Json::One(NAMES);
/// The same of each app of a push.
pub(super) const PUSHED: Json = Json::List(NAMES);
const NAMES: &[&str] = &[
    "buildpack",
    "disk_mb",
    "guid",
    "health_check_type",
    "instances",
    "memory_mb",
    "name",
    "package_updated_at",
    "stack",
    "state",
    "urls",
    "wanted_instances",
];

pub(super) const COMMANDS: &[Spec] = &[Spec {
    name: "app",
    group: Group::Apps,
    about: "Display health and status for an app",
    args: &[arg("APP_NAME", "App name")],
    flags: &[switch("--guid", "Print only the guid")],
    json: FIELDS,
    run: |cx, args| Box::pin(run(cx, args.need("APP_NAME"), args.has("guid"))),
    ..NONE
}];

/// Shows one app.
async fn run(cx: &mut Context, name: &str, only_guid: bool) -> Result<(), CfError> {
    let app = cx.app(name).await?;
    if only_guid {
        cx.ui.raw(guid(&app));
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
    let stack = stack_name(cx, &summary).await;
    let buildpack = buildpack(&summary);
    if cx.ui.json {
        let document = document(&summary, &instances, &stats, &stack, &buildpack);
        cx.ui.document(document);
        return Ok(());
    }
    cx.ui.ok();
    let text = |key: &str| summary[key].as_str().unwrap_or_default().to_owned();
    let lines = [
        ("requested state", text("state").to_lowercase()),
        ("instances", super::apps::running(&summary)),
        ("usage", usage(&summary)),
        ("last uploaded", local_time(&text("package_updated_at"))),
        ("stack", stack),
        ("buildpack", buildpack),
    ];
    for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
        cx.ui.say(&format!("{name}: {value}"));
    }
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

fn usage(summary: &Value) -> String {
    let memory = show_mb(summary["memory"].as_u64().unwrap_or(0));
    format!("{memory} x {} instances", summary["instances"])
}

fn buildpack(summary: &Value) -> String {
    let said = |key: &str| summary[key].as_str().filter(|s| !s.is_empty());
    let known = said("buildpack").or(said("detected_buildpack"));
    known.unwrap_or("unknown").to_owned()
}

/// The stack's name; a display is not worth an error.
async fn stack_name(cx: &mut Context, summary: &Value) -> String {
    let Some(id) = summary["stack_guid"].as_str() else {
        return String::new();
    };
    let stack = cx.client.get(&format!("/v2/stacks/{id}")).await;
    stack.map_or_else(|_| String::new(), |s| text(&s, "name").to_owned())
}

fn local_time(stamp: &str) -> String {
    chrono::DateTime::parse_from_rfc3339(stamp).map_or(String::new(), |t| {
        let local = t.with_timezone(&chrono::Local);
        local.format("%a %b %e %H:%M:%S %Z %Y").to_string()
    })
}

fn document(
    summary: &Value,
    instances: &Value,
    stats: &Value,
    stack: &str,
    buildpack: &str,
) -> Value {
    let one = |(index, instance): (&String, &Value)| {
        let used = &stats[index]["stats"];
        let item = json!({
            "state": instance["state"], "since": instance["since"],
            "details": instance["details"], "cpu": used["usage"]["cpu"],
            "memory_bytes": used["usage"]["mem"], "memory_quota_bytes": used["mem_quota"],
            "disk_bytes": used["usage"]["disk"], "disk_quota_bytes": used["disk_quota"],
        });
        (index.clone(), item)
    };
    let instances: Map<String, Value> = instances
        .as_object()
        .into_iter()
        .flatten()
        .map(one)
        .collect();
    let urls: Vec<String> = Wanted::of_summary(summary)
        .iter()
        .map(Wanted::to_string)
        .collect();
    json!({
        "guid": summary["guid"], "name": summary["name"], "state": summary["state"],
        "wanted_instances": summary["instances"], "memory_mb": summary["memory"],
        "disk_mb": summary["disk_quota"], "stack": stack, "buildpack": buildpack,
        "health_check_type": summary["health_check_type"],
        "package_updated_at": summary["package_updated_at"],
        "urls": urls, "instances": instances,
    })
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
    for route in Wanted::of_summary(summary) {
        let path = route.path.clone();
        let name = Wanted {
            path: String::new(),
            ..route
        };
        let line = url_line(&name.to_string(), &path, port);
        cx.ui.say(&format!("\nurl: {line}"));
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
