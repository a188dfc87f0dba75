//! set-health-check, get-health-check.

use serde_json::json;

use crate::context::{Context, guid, text};
use crate::error::CfError;
use crate::line::{Arg, Args, Group, Json, NONE, Spec, arg};

const APP: Arg = arg("APP_NAME", "App name");

pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "get-health-check",
        group: Group::Apps,
        about: "Show the type of health check performed on an app",
        args: &[APP],
        json: Json::One(&["health_check_type"]),
        run: |cx, args| Box::pin(show(cx, args)),
        ..NONE
    },
    Spec {
        name: "set-health-check",
        group: Group::Apps,
        about: "Change type of health check performed on an app",
        args: &[APP, arg("HEALTH_CHECK_TYPE", "port, process or none")],
        run: |cx, args| Box::pin(set(cx, args)),
        ..NONE
    },
];

async fn show(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    let name = args.need("APP_NAME");
    let app = cx.app(name).await?;
    let kind = text(&app, "health_check_type");
    cx.announce_in_space(&format!(
        "Getting health check type for app {}",
        cx.ui.name(name)
    ));
    match cx.ui.json {
        true => cx.ui.document(json!({"health_check_type": kind})),
        false => cx.ui.say(&format!("\nhealth_check_type is {kind}")),
    }
    Ok(())
}

async fn set(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    let (name, kind) = (args.need("APP_NAME"), args.need("HEALTH_CHECK_TYPE"));
    if !["port", "process", "none"].contains(&kind) {
        return Err(CfError::Usage(format!(
            "HEALTH_CHECK_TYPE must be port, process or none, not {kind:?}"
        )));
    }
    let app = cx.app(name).await?;
    cx.announce_in_space(&format!(
        "Updating health check type for app {}",
        cx.ui.name(name)
    ));
    let path = format!("/v2/apps/{}", guid(&app));
    let body = json!({"health_check_type": kind});
    cx.client.put(&path, &body).await?;
    cx.ui.ok();
    cx.ui
        .say("TIP: An app restart is required for the change to take effect.");
    Ok(())
}
