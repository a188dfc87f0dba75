//! `cf events`.

use serde_json::Value;

use crate::context::{Context, guid};
use crate::error::CfError;

/// Metadata shown, in this order.
const SHOWN: [&str; 9] = [
    "index",
    "reason",
    "exit_description",
    "exit_status",
    "recursive",
    "disk_quota",
    "instances",
    "memory",
    "state",
];

/// The newest 50 events of an app.
pub(super) async fn run(cx: &mut Context, name: &str) -> Result<(), CfError> {
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
    let resources = events["resources"].as_array().cloned().unwrap_or_default();
    if cx.ui.json {
        cx.ui.json(&Value::Array(resources));
        return Ok(());
    }
    if resources.is_empty() {
        cx.ui.say(&format!("No events for app {name}"));
        return Ok(());
    }
    let rows: Vec<Vec<String>> = resources.iter().map(|r| row(&r["entity"])).collect();
    cx.ui
        .table(&["time", "event", "actor", "description"], &rows);
    Ok(())
}

fn row(event: &Value) -> Vec<String> {
    let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let time =
        chrono::DateTime::parse_from_rfc3339(&text("timestamp")).map_or(text("timestamp"), |t| {
            t.with_timezone(&chrono::Local)
                .format("%Y-%m-%dT%H:%M:%S.00%z")
                .to_string()
        });
    let actor = if text("actor_name").is_empty() {
        text("actor")
    } else {
        text("actor_name")
    };
    vec![time, text("type"), actor, description(&event["metadata"])]
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
