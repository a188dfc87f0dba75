//! `cf events`.

use serde_json::{Value, json};

use crate::context::{Context, guid};
use crate::error::CfError;
use crate::line::{Group, Json, NONE, Spec, arg};
use crate::ui::{column, shown};

pub(super) const COMMANDS: &[Spec] = &[Spec {
    name: "events",
    group: Group::Apps,
    about: "Show recent app events",
    args: &[arg("APP_NAME", "App name")],
    json: Json::List(&["actor", "description", "event", "time"]),
    run: |cx, args| Box::pin(run(cx, args.need("APP_NAME"))),
    ..NONE
}];

/// Metadata shown, in this order.
const SHOWN: [&str; 11] = [
    "index",
    "reason",
    "exit_description",
    "exit_status",
    "recursive",
    "disk_quota",
    "instances",
    "memory",
    "state",
    "command",
    "environment_json",
];

/// The newest 50 events of an app.
async fn run(cx: &mut Context, name: &str) -> Result<(), CfError> {
    let app = cx.app(name).await?;
    cx.ui.say(&format!(
        "Getting events for app {} {}\n",
        cx.ui.name(name),
        cx.place()
    ));
    let path = format!(
        "/v2/events?results-per-page=50&order-direction=desc&q=actee:{}",
        guid(&app)
    );
    let events = cx.client.get(&path).await?;
    let resources = events["resources"].as_array().into_iter().flatten();
    let rows = resources.map(|r| row(&r["entity"])).collect();
    let columns = [
        shown("time", "time", local),
        column("event", "event"),
        column("actor", "actor"),
        column("description", "description"),
    ];
    let none = format!("No events for app {name}");
    cx.ui.list(&columns, rows, &none);
    Ok(())
}

/// A moment in the clock of this place.
fn local(time: &Value) -> String {
    let text = time.as_str().unwrap_or_default();
    chrono::DateTime::parse_from_rfc3339(text).map_or(text.to_owned(), |t| {
        let here = t.with_timezone(&chrono::Local);
        here.format("%Y-%m-%dT%H:%M:%S.00%z").to_string()
    })
}

fn row(event: &Value) -> Value {
    let named = event["actor_name"].as_str().filter(|n| !n.is_empty());
    let actor = named.or(event["actor"].as_str()).unwrap_or_default();
    json!({
        "time": event["timestamp"], "event": event["type"], "actor": actor,
        "description": description(&event["metadata"]),
    })
}

fn description(metadata: &Value) -> String {
    let source = if metadata["request"].is_object() {
        &metadata["request"]
    } else {
        metadata
    };
    let shown = SHOWN.iter().filter_map(|key| match &source[*key] {
        Value::Null => None,
        Value::String(s) if s.is_empty() => None,
        Value::String(s) => Some(format!("{key}: {s}")),
        other => Some(format!("{key}: {other}")),
    });
    shown.collect::<Vec<_>>().join(", ")
}
