//! stop, restart, restage, rename, delete, restart-app-instance.

use serde_json::{Value, json};

use super::{agreed, app, start};
use crate::context::{Context, guid, text};
use crate::error::CfError;
use crate::line::{Arg, Args, Group, NONE, Spec, arg, switch};

const APP: Arg = arg("APP_NAME", "App name");

pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "delete",
        alias: "d",
        group: Group::Apps,
        about: "Delete an app",
        args: &[APP],
        flags: &[
            switch("-f", "Do not ask"),
            switch("-r", "Also delete its routes"),
        ],
        run: |cx, args| Box::pin(delete(cx, args)),
        ..NONE
    },
    Spec {
        name: "rename",
        group: Group::Apps,
        about: "Rename an app",
        args: &[APP, arg("NEW_APP_NAME", "New name")],
        run: |cx, args| Box::pin(rename(cx, args)),
        ..NONE
    },
    Spec {
        name: "stop",
        alias: "sp",
        group: Group::Apps,
        about: "Stop an app",
        args: &[APP],
        run: |cx, args| Box::pin(stop(cx, args.need("APP_NAME"))),
        ..NONE
    },
    Spec {
        name: "restart",
        alias: "rs",
        group: Group::Apps,
        about: "Stop all instances of the app, then start them again",
        args: &[APP],
        json: app::FIELDS,
        run: |cx, args| Box::pin(restart(cx, args.need("APP_NAME"))),
        ..NONE
    },
    Spec {
        name: "restage",
        alias: "rg",
        group: Group::Apps,
        about: "Recreate the app's executable artifact and start it",
        args: &[APP],
        json: app::FIELDS,
        run: |cx, args| Box::pin(restage(cx, args.need("APP_NAME"))),
        ..NONE
    },
    Spec {
        name: "restart-app-instance",
        group: Group::Apps,
        about: "Terminate the running application instance at the given index and start it again",
        args: &[APP, arg("INDEX", "Instance index")],
        run: |cx, args| Box::pin(restart_instance(cx, args)),
        ..NONE
    },
];

/// `cf stop`.
async fn stop(cx: &mut Context, name: &str) -> Result<(), CfError> {
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
async fn restart(cx: &mut Context, name: &str) -> Result<(), CfError> {
    let app = cx.app(name).await?;
    if text(&app, "state") == "STARTED" {
        stop_app(cx, &app).await?;
    }
    start::start_app(cx, guid(&app), name).await
}

/// `cf restage`.
async fn restage(cx: &mut Context, name: &str) -> Result<(), CfError> {
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

async fn rename(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    let (name, new) = (args.need("APP_NAME"), args.need("NEW_APP_NAME"));
    let app = cx.app(name).await?;
    cx.announce_in_space(&format!(
        "Renaming app {} to {}",
        cx.ui.name(name),
        cx.ui.name(new)
    ));
    let path = format!("/v2/apps/{}", guid(&app));
    cx.client.put(&path, &json!({"name": new})).await?;
    cx.ui.ok();
    Ok(())
}

async fn restart_instance(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    let name = args.need("APP_NAME");
    let index: u32 = args.number("INDEX")?.unwrap_or(0);
    let app = cx.app(name).await?;
    cx.announce_in_space(&format!(
        "Restarting instance {index} of application {}",
        cx.ui.name(name)
    ));
    let path = format!("/v2/apps/{}/instances/{index}", guid(&app));
    cx.client.delete(&path).await?;
    cx.ui.ok();
    Ok(())
}

async fn delete(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.space()?;
    let name = args.need("APP_NAME");
    if !agreed(args, &format!("app {name}"))? {
        return Ok(());
    }
    cx.announce_in_space(&format!("Deleting app {}", cx.ui.name(name)));
    let Some(app) = cx.find_app(name).await? else {
        cx.ui.ok();
        cx.ui.warn(&format!("App {name} does not exist."));
        return Ok(());
    };
    let base = format!("/v2/apps/{}", guid(&app));
    if args.has("r") {
        for route in cx.client.list(&format!("{base}/routes")).await? {
            let path = format!("/v2/routes/{}?async=true", guid(&route));
            cx.client.delete_and_wait(&path).await?;
        }
    }
    cx.client.delete(&format!("{base}?recursive=true")).await?;
    cx.ui.ok();
    Ok(())
}
