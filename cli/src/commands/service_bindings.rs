//! bind-service, unbind-service.

use serde_json::{Value, json};

use super::user_provided::json_of;
use crate::context::{Context, guid, text};
use crate::error::CfError;
use crate::line::{Arg, Args, Group, NONE, Spec, arg, option};

const APP: Arg = arg("APP_NAME", "App name");
const SERVICE: Arg = arg("SERVICE_INSTANCE", "Name of the service instance");

pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "bind-service",
        alias: "bs",
        group: Group::Services,
        about: "Bind a service instance to an app",
        args: &[APP, SERVICE],
        flags: &[option(
            "-c",
            "PARAMETERS_AS_JSON",
            "JSON object, or @FILE, handed to the service",
        )],
        run: |cx, args| Box::pin(bind(cx, args)),
        ..NONE
    },
    Spec {
        name: "unbind-service",
        alias: "us",
        group: Group::Services,
        about: "Unbind a service instance from an app",
        args: &[APP, SERVICE],
        run: |cx, args| Box::pin(unbind(cx, args)),
        ..NONE
    },
];

async fn bind(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.space()?;
    let parameters = args.get("c").map(json_of).transpose()?;
    let app = cx.app(args.need("APP_NAME")).await?;
    let service = cx.service_named(args.need("SERVICE_INSTANCE")).await?;
    let name = text(&app, "name").to_owned();
    let fresh = bind_to(cx, guid(&app), &name, &service, parameters).await?;
    if !fresh {
        let service = text(&service, "name");
        cx.ui
            .warn(&format!("App {name} is already bound to {service}."));
    }
    cx.ui.say(&format!(
        "TIP: Use 'cf restage {name}' to ensure your env variable changes take effect"
    ));
    Ok(())
}

/// Binds and says so; false when it was bound already.
pub(super) async fn bind_to(
    cx: &mut Context,
    app_guid: &str,
    app_name: &str,
    service: &Value,
    parameters: Option<Value>,
) -> Result<bool, CfError> {
    cx.announce_in_space(&format!(
        "Binding service {} to app {}",
        cx.ui.name(text(service, "name")),
        cx.ui.name(app_name)
    ));
    let mut body = json!({"app_guid": app_guid, "service_instance_guid": guid(service)});
    if let Some(parameters) = parameters {
        body["parameters"] = parameters;
    }
    let fresh = match cx.client.post("/v2/service_bindings", &body).await {
        Err(e) if e.code() == Some(90003) => false,
        other => other.map(|_| true)?,
    };
    cx.ui.ok();
    Ok(fresh)
}

async fn unbind(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.space()?;
    let (app_name, service_name) = (args.need("APP_NAME"), args.need("SERVICE_INSTANCE"));
    cx.announce_in_space(&format!(
        "Unbinding app {} from service {}",
        cx.ui.name(app_name),
        cx.ui.name(service_name)
    ));
    let app = cx.app(app_name).await?;
    let service = cx.service_named(service_name).await?;
    let path = format!(
        "/v2/service_bindings?q=app_guid:{}&q=service_instance_guid:{}",
        guid(&app),
        guid(&service)
    );
    let binding = cx.client.first(&path).await?;
    if let Some(binding) = &binding {
        let path = format!("/v2/service_bindings/{}", guid(binding));
        cx.client.delete(&path).await?;
    }
    cx.ui.ok();
    if binding.is_none() {
        cx.ui.warn(&format!(
            "Binding between {service_name} and {app_name} did not exist"
        ));
    }
    Ok(())
}
