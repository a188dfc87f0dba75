//! scale.

use serde_json::{Value, json};

use super::{confirmed, life, start};
use crate::context::{Context, guid, text};
use crate::error::CfError;
use crate::line::{Args, Group, Json, NONE, Spec, arg, option, switch};
use crate::size::{parse_mb, show_mb};
use crate::ui::{column, shown};

pub(super) const COMMANDS: &[Spec] = &[Spec {
    name: "scale",
    group: Group::Apps,
    about: "Change or view the instance count, disk space limit, and memory limit for an app",
    args: &[arg("APP_NAME", "App name")],
    flags: &[
        option("-i", "INSTANCES", "Number of instances"),
        option("-k", "DISK", "Disk limit, e.g. 256M, 1024M, 1G"),
        option("-m", "MEMORY", "Memory limit, e.g. 256M, 1024M, 1G"),
        switch("-f", "Do not ask before the restart"),
    ],
    notes: "Without -i, -k and -m the present scale is shown; --json shows that form.",
    json: Json::One(&["disk_mb", "instances", "memory_mb"]),
    run: |cx, args| Box::pin(scale(cx, args)),
    ..NONE
}];

/// `cf scale`.
async fn scale(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    let name = args.need("APP_NAME");
    let found = cx.app(name).await?;
    let mut change = serde_json::Map::new();
    if let Some(n) = args.number::<u64>("i")? {
        change.insert("instances".into(), n.into());
    }
    for (key, size) in [("memory", args.get("m")), ("disk_quota", args.get("k"))] {
        if let Some(size) = size {
            change.insert(key.into(), parse_mb(size).map_err(CfError::Usage)?.into());
        }
    }
    if change.is_empty() {
        return show_scale(cx, &found);
    }
    let needs_restart =
        text(&found, "state") == "STARTED" && (args.get("m").is_some() || args.get("k").is_some());
    if needs_restart
        && !args.has("f")
        && !confirmed("This will cause the app to restart. Really scale?")?
    {
        return Ok(());
    }
    cx.ui
        .say(&format!("Scaling app {} {}", cx.ui.name(name), cx.place()));
    let app_guid = guid(&found).to_owned();
    cx.client
        .put(&format!("/v2/apps/{app_guid}"), &Value::Object(change))
        .await?;
    cx.ui.ok();
    if needs_restart {
        life::stop_app(cx, &found).await?;
        return start::start_app(cx, &app_guid, name).await;
    }
    Ok(())
}

fn show_scale(cx: &Context, app: &Value) -> Result<(), CfError> {
    let name = cx.ui.name(text(app, "name"));
    cx.announce_in_space(&format!("Showing current scale of app {name}"));
    cx.ui.ok();
    let entity = &app["entity"];
    let mb = |value: &Value| show_mb(value.as_u64().unwrap_or(0));
    let columns = [
        shown("memory", "memory_mb", mb),
        shown("disk", "disk_mb", mb),
        column("instances", "instances"),
    ];
    cx.ui.one(
        &columns,
        json!({
            "memory_mb": entity["memory"], "disk_mb": entity["disk_quota"],
            "instances": entity["instances"],
        }),
    );
    Ok(())
}
