//! `cf apps`.

use serde_json::Value;

use crate::context::Context;
use crate::error::CfError;
use crate::size::show_mb;

/// Lists the apps of the space.
pub(super) async fn run(cx: &mut Context) -> Result<(), CfError> {
    let space = cx.space()?;
    cx.ui.say(&format!("Getting apps {}", cx.place()));
    let summary = cx
        .client
        .get(&format!("/v2/spaces/{}/summary", space.guid))
        .await?;
    if cx.ui.json {
        cx.ui.json(&summary["apps"]);
        return Ok(());
    }
    cx.ui.ok();
    let apps = summary["apps"].as_array().cloned().unwrap_or_default();
    if apps.is_empty() {
        cx.ui.say("No apps found");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = apps.iter().map(row).collect();
    cx.ui.table(
        &[
            "name",
            "requested state",
            "instances",
            "memory",
            "disk",
            "urls",
        ],
        &rows,
    );
    Ok(())
}

fn row(app: &Value) -> Vec<String> {
    let urls: Vec<&str> = app["urls"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    vec![
        app["name"].as_str().unwrap_or_default().to_owned(),
        app["state"].as_str().unwrap_or_default().to_lowercase(),
        running(app),
        show_mb(app["memory"].as_u64().unwrap_or(0)),
        show_mb(app["disk_quota"].as_u64().unwrap_or(0)),
        urls.join(", "),
    ]
}

/// `1/2`; `?/2` when the platform does not know.
pub(super) fn running(app: &Value) -> String {
    let count = app["running_instances"].as_i64().unwrap_or(-1);
    let shown = if count < 0 {
        "?".to_owned()
    } else {
        count.to_string()
    };
    format!("{shown}/{}", app["instances"])
}
