//! `cf apps`.

use serde_json::{Value, json};

use crate::context::Context;
use crate::error::CfError;
use crate::line::{Group, Json, NONE, Spec};
use crate::size::show_mb;
use crate::ui::{column, shown};

pub(super) const COMMANDS: &[Spec] = &[Spec {
    name: "apps",
    alias: "a",
    group: Group::Apps,
    about: "List all apps in the target space",
    json: Json::List(&[
        "disk_mb",
        "guid",
        "instances",
        "memory_mb",
        "name",
        "running_instances",
        "state",
        "urls",
    ]),
    run: |cx, _| Box::pin(run(cx)),
    ..NONE
}];

/// Lists the apps of the space.
async fn run(cx: &mut Context) -> Result<(), CfError> {
    let space = cx.space()?;
    cx.ui.say(&format!("Getting apps {}", cx.place()));
    let summary = cx
        .client
        .get(&format!("/v2/spaces/{}/summary", space.guid))
        .await?;
    cx.ui.ok();
    let rows = summary["apps"].as_array().into_iter().flatten();
    let mb = |value: &Value| show_mb(value.as_u64().unwrap_or(0));
    let lower = |value: &Value| value.as_str().unwrap_or_default().to_lowercase();
    let columns = [
        column("name", "name"),
        shown("requested state", "state", lower),
        column("instances", "shown_instances"),
        shown("memory", "memory_mb", mb),
        shown("disk", "disk_mb", mb),
        column("urls", "urls"),
    ];
    let json = cx.ui.json;
    let rows = rows.map(|app| row(app, json)).collect();
    cx.ui.list(&columns, rows, "No apps found");
    Ok(())
}

fn row(app: &Value, json: bool) -> Value {
    let mut row = json!({
        "guid": app["guid"], "name": app["name"], "state": app["state"], "urls": app["urls"],
        "instances": app["instances"], "running_instances": app["running_instances"],
        "memory_mb": app["memory"], "disk_mb": app["disk_quota"],
    });
    if !json {
        row["shown_instances"] = running(app).into();
    }
    row
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
