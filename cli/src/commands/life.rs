//! stop, restart, restage, scale, delete.

use serde_json::{Value, json};

use super::{app, confirmed, start};
use crate::context::{Context, guid, text};
use crate::error::CfError;
use crate::size::{parse_mb, show_mb};

/// `cf stop`.
pub(super) async fn stop(cx: &mut Context, name: &str) -> Result<(), CfError> {
    let app = cx.app(name).await?;
    stop_app(cx, &app).await
}

/// Stops an app that was looked up already.
pub(super) async fn stop_app(cx: &mut Context, app: &Value) -> Result<(), CfError> {
    let name = text(app, "name").to_owned();
    if text(app, "state") == "STOPPED" {
        cx.ui
            .say(&format!("App {} is already stopped", cx.ui.name(&name)));
        return Ok(());
    }
    cx.ui.say(&format!(
        "Stopping app {} {}",
        cx.ui.name(&name),
        cx.place()
    ));
    cx.client
        .put(
            &format!("/v2/apps/{}", guid(app)),
            &json!({"state": "STOPPED"}),
        )
        .await?;
    cx.ui.ok();
    Ok(())
}

/// `cf restart`.
pub(super) async fn restart(cx: &mut Context, name: &str) -> Result<(), CfError> {
    let app = cx.app(name).await?;
    if text(&app, "state") == "STARTED" {
        stop_app(cx, &app).await?;
    }
    start::start_app(cx, guid(&app), name).await
}

/// `cf restage`.
pub(super) async fn restage(cx: &mut Context, name: &str) -> Result<(), CfError> {
    let app = cx.app(name).await?;
    let app_guid = guid(&app).to_owned();
    cx.ui.say(&format!(
        "Restaging app {} {}",
        cx.ui.name(name),
        cx.place()
    ));
    let path = format!("/v2/apps/{app_guid}/restage");
    start::with_staging_log(cx, &app_guid, name, start::Trigger::Post(path)).await
}

/// What `cf scale` was given.
pub(super) struct Scale {
    pub(super) instances: Option<u64>,
    pub(super) memory: Option<String>,
    pub(super) disk: Option<String>,
    pub(super) force: bool,
}

/// `cf scale`.
pub(super) async fn scale(cx: &mut Context, name: &str, wanted: Scale) -> Result<(), CfError> {
    let found = cx.app(name).await?;
    let mut change = serde_json::Map::new();
    if let Some(n) = wanted.instances {
        change.insert("instances".into(), n.into());
    }
    for (key, size) in [("memory", &wanted.memory), ("disk_quota", &wanted.disk)] {
        if let Some(size) = size {
            change.insert(key.into(), parse_mb(size).map_err(CfError::Usage)?.into());
        }
    }
    if change.is_empty() {
        return show_scale(cx, &found);
    }
    let needs_restart =
        text(&found, "state") == "STARTED" && (wanted.memory.is_some() || wanted.disk.is_some());
    if needs_restart
        && !wanted.force
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
        stop_app(cx, &found).await?;
        return start::start_app(cx, &app_guid, name).await;
    }
    Ok(())
}

fn show_scale(cx: &Context, app: &Value) -> Result<(), CfError> {
    let number = |key: &str| app["entity"][key].as_u64().unwrap_or(0);
    cx.ui.say(&format!(
        "Showing current scale of app {} {}",
        cx.ui.name(text(app, "name")),
        cx.place()
    ));
    cx.ui.ok();
    cx.ui.say(&format!(
        "memory: {}\ndisk: {}\ninstances: {}",
        show_mb(number("memory")),
        show_mb(number("disk_quota")),
        number("instances")
    ));
    Ok(())
}

/// `cf delete`.
pub(super) async fn delete(
    cx: &mut Context,
    name: &str,
    force: bool,
    routes: bool,
) -> Result<(), CfError> {
    if !force && !confirmed(&format!("Really delete the app {name}?"))? {
        return Ok(());
    }
    cx.ui
        .say(&format!("Deleting app {} {}", cx.ui.name(name), cx.place()));
    let Some(app) = cx.find_app(name).await? else {
        cx.ui.ok();
        cx.ui.say(&format!("App {name} does not exist."));
        return Ok(());
    };
    let app_guid = guid(&app).to_owned();
    if routes {
        for route in cx
            .client
            .list(&format!("/v2/apps/{app_guid}/routes"))
            .await?
        {
            cx.client
                .delete(&format!("/v2/routes/{}", guid(&route)))
                .await?;
        }
    }
    cx.client
        .delete(&format!("/v2/apps/{app_guid}?recursive=true"))
        .await?;
    cx.ui.ok();
    Ok(())
}

/// The table printed at the end of a push, start or scale.
pub(super) async fn show(cx: &mut Context, app_guid: &str) -> Result<(), CfError> {
    app::show(cx, app_guid).await
}
