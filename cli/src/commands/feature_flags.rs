//! feature-flags, feature-flag, enable-feature-flag, disable-feature-flag.

use serde_json::{Value, json};

use crate::client::escape;
use crate::context::Context;
use crate::error::CfError;
use crate::line::{Arg, Args, Group, Json, NONE, Spec, arg};
use crate::ui::{Column, column, shown};

const NAME: Arg = arg("FEATURE_NAME", "Name of the feature");
const FIELDS: &[&str] = &["enabled", "error_message", "name"];

pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "feature-flags",
        group: Group::FeatureFlags,
        about: "Retrieve list of feature flags with status",
        json: Json::List(FIELDS),
        run: |cx, _| Box::pin(list(cx)),
        ..NONE
    },
    Spec {
        name: "feature-flag",
        group: Group::FeatureFlags,
        about: "Retrieve an individual feature flag with status",
        args: &[NAME],
        json: Json::One(FIELDS),
        run: |cx, args| Box::pin(show(cx, args)),
        ..NONE
    },
    Spec {
        name: "enable-feature-flag",
        group: Group::FeatureFlags,
        about: "Allow use of a feature",
        args: &[NAME],
        run: |cx, args| Box::pin(set(cx, args, true)),
        ..NONE
    },
    Spec {
        name: "disable-feature-flag",
        group: Group::FeatureFlags,
        about: "Prevent use of a feature",
        args: &[NAME],
        run: |cx, args| Box::pin(set(cx, args, false)),
        ..NONE
    },
];

fn columns() -> [Column; 2] {
    let state = |enabled: &Value| match enabled {
        Value::Bool(true) => "enabled".to_owned(),
        _ => "disabled".to_owned(),
    };
    [column("features", "name"), shown("state", "enabled", state)]
}

fn row(flag: &Value) -> Value {
    json!({
        "name": flag["name"], "enabled": flag["enabled"], "error_message": flag["error_message"],
    })
}

fn path(name: &str) -> String {
    format!("/v2/config/feature_flags/{}", escape(name))
}

async fn list(cx: &mut Context) -> Result<(), CfError> {
    cx.logged_in()?;
    cx.announce("Retrieving status of all flagged features");
    let flags = cx.client.get("/v2/config/feature_flags").await?;
    cx.ui.ok();
    let rows = flags.as_array().into_iter().flatten().map(row).collect();
    cx.ui.list(&columns(), rows, "");
    Ok(())
}

async fn show(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.logged_in()?;
    let name = args.need("FEATURE_NAME");
    cx.announce(&format!("Retrieving status of {}", cx.ui.name(name)));
    let flag = cx.client.get(&path(name)).await?;
    cx.ui.ok();
    match cx.ui.json {
        true => cx.ui.document(row(&flag)),
        false => cx.ui.list(&columns(), vec![row(&flag)], ""),
    }
    Ok(())
}

async fn set(cx: &mut Context, args: &Args, on: bool) -> Result<(), CfError> {
    cx.logged_in()?;
    let name = args.need("FEATURE_NAME");
    cx.announce(&format!("Setting status of {}", cx.ui.name(name)));
    cx.client.put(&path(name), &json!({"enabled": on})).await?;
    cx.ui.ok();
    let state = if on { "Enabled" } else { "Disabled" };
    cx.ui.say(&format!("Feature {} {state}.", cx.ui.name(name)));
    Ok(())
}
