//! services, service, rename-service, delete-service.

use serde_json::{Value, json};

use super::agreed;
use crate::context::{Context, guid, text};
use crate::error::CfError;
use crate::line::{Arg, Args, Group, Json, NONE, Spec, arg, switch};
use crate::ui::column;

const SERVICE: Arg = arg("SERVICE_INSTANCE", "Name of the service instance");

pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "services",
        alias: "s",
        group: Group::Services,
        about: "List all service instances in the target space",
        json: Json::List(&[
            "bound_apps",
            "guid",
            "last_operation",
            "name",
            "plan",
            "service",
        ]),
        run: |cx, _| Box::pin(list(cx)),
        ..NONE
    },
    Spec {
        name: "service",
        group: Group::Services,
        about: "Show service instance info",
        args: &[SERVICE],
        flags: &[switch("--guid", "Print only the guid")],
        json: Json::One(&[
            "bound_apps",
            "dashboard_url",
            "guid",
            "last_operation",
            "name",
            "service",
            "syslog_drain_url",
            "tags",
        ]),
        run: |cx, args| Box::pin(show(cx, args)),
        ..NONE
    },
    Spec {
        name: "delete-service",
        alias: "ds",
        group: Group::Services,
        about: "Delete a service instance",
        args: &[SERVICE],
        flags: &[switch("-f", "Do not ask")],
        run: |cx, args| Box::pin(delete(cx, args)),
        ..NONE
    },
    Spec {
        name: "rename-service",
        group: Group::Services,
        about: "Rename a service instance",
        args: &[SERVICE, arg("NEW_SERVICE_INSTANCE", "New name")],
        run: |cx, args| Box::pin(rename(cx, args)),
        ..NONE
    },
];

/// Where credentials of one's own are kept.
pub(super) const USER_PROVIDED: &str = "user-provided";

async fn list(cx: &mut Context) -> Result<(), CfError> {
    let space = cx.space()?;
    cx.announce_in_space("Getting services");
    let path = format!("/v2/spaces/{}/summary", space.guid);
    let summary = cx.client.get(&path).await?;
    cx.ui.ok();
    let services = summary["services"].as_array().into_iter().flatten();
    let rows = services.map(|s| row(s, &summary)).collect();
    let shown = [
        column("name", "name"),
        column("service", "service"),
        column("plan", "plan"),
        column("bound apps", "bound_apps"),
        column("last operation", "last_operation"),
    ];
    cx.ui.list(&shown, rows, "No services found");
    Ok(())
}

fn row(service: &Value, summary: &Value) -> Value {
    let plan = &service["service_plan"];
    let apps = summary["apps"].as_array().into_iter().flatten();
    let bound: Vec<&Value> = apps
        .filter(|a| {
            let names = a["service_names"].as_array();
            names.is_some_and(|n| n.contains(&service["name"]))
        })
        .map(|a| &a["name"])
        .collect();
    json!({
        "guid": service["guid"], "name": service["name"],
        "service": plan["service"]["label"].as_str().unwrap_or(USER_PROVIDED),
        "plan": plan["name"].as_str().unwrap_or_default(), "bound_apps": bound,
        "last_operation": operation(&service["last_operation"]),
    })
}

fn operation(last: &Value) -> String {
    let part = |key: &str| last[key].as_str().unwrap_or_default();
    format!("{} {}", part("type"), part("state"))
        .trim()
        .to_owned()
}

/// Whether an instance is made of credentials that somebody gave.
pub(super) fn is_user_provided(instance: &Value) -> bool {
    text(instance, "type") == "user_provided_service_instance"
        || instance["metadata"]["url"]
            .as_str()
            .is_some_and(|url| url.contains("user_provided"))
}

async fn show(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.space()?;
    let name = args.need("SERVICE_INSTANCE");
    let instance = cx.service_named(name).await?;
    if args.has("guid") {
        cx.ui.raw(guid(&instance));
        return Ok(());
    }
    let label = label(cx, &instance).await?;
    let bound = bound_apps(cx, &instance).await?;
    let shown = [
        column("Service instance", "name"),
        column("Service", "service"),
        column("Bound apps", "bound_apps"),
        column("Tags", "tags"),
        column("Syslog drain", "syslog_drain_url"),
        column("Dashboard", "dashboard_url"),
        column("Last Operation", "last_operation"),
    ];
    let entity = &instance["entity"];
    cx.ui.one(
        &shown,
        json!({
            "name": text(&instance, "name"), "guid": guid(&instance), "service": label,
            "bound_apps": bound, "tags": entity["tags"].as_array().cloned().unwrap_or_default(),
            "syslog_drain_url": text(&instance, "syslog_drain_url"),
            "dashboard_url": text(&instance, "dashboard_url"),
            "last_operation": operation(&entity["last_operation"]),
        }),
    );
    Ok(())
}

async fn label(cx: &mut Context, instance: &Value) -> Result<String, CfError> {
    let service = instance["entity"]["service_plan"]["entity"]["service_guid"].as_str();
    match service {
        Some(id) if !is_user_provided(instance) => {
            let service = cx.client.get(&format!("/v2/services/{id}")).await?;
            Ok(text(&service, "label").to_owned())
        }
        _ => Ok(USER_PROVIDED.to_owned()),
    }
}

/// Names of the apps bound to an instance; the bindings are embedded, or asked for.
async fn bound_apps(cx: &mut Context, instance: &Value) -> Result<Vec<String>, CfError> {
    let mut names = Vec::new();
    for binding in bindings(cx, instance).await? {
        let path = format!("/v2/apps/{}", text(&binding, "app_guid"));
        let app = cx.client.get(&path).await?;
        names.push(text(&app, "name").to_owned());
    }
    Ok(names)
}

async fn bindings(cx: &mut Context, instance: &Value) -> Result<Vec<Value>, CfError> {
    match instance["entity"]["service_bindings"].as_array() {
        Some(embedded) => Ok(embedded.clone()),
        None => {
            let path = format!(
                "/v2/service_bindings?q=service_instance_guid:{}",
                guid(instance)
            );
            cx.client.list(&path).await
        }
    }
}

async fn delete(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.space()?;
    let name = args.need("SERVICE_INSTANCE");
    if !agreed(args, &format!("service {name}"))? {
        return Ok(());
    }
    cx.announce_in_space(&format!("Deleting service {}", cx.ui.name(name)));
    let Some(instance) = cx.find_service(name).await? else {
        cx.ui.ok();
        cx.ui.warn(&format!("Service {name} does not exist."));
        return Ok(());
    };
    if !bindings(cx, &instance).await?.is_empty() {
        return Err(CfError::Other(format!(
            "Cannot delete service instance {name}: apps are bound to it\nTIP: `cf service {name}` names them, `cf unbind-service APP_NAME {name}` unbinds one."
        )));
    }
    let path = format!(
        "/v2/service_instances/{}?accepts_incomplete=true&async=true",
        guid(&instance)
    );
    cx.client.delete_and_wait(&path).await?;
    cx.ui.ok();
    Ok(())
}

async fn rename(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.space()?;
    let (name, new) = (
        args.need("SERVICE_INSTANCE"),
        args.need("NEW_SERVICE_INSTANCE"),
    );
    let instance = cx.service_named(name).await?;
    cx.announce_in_space(&format!(
        "Renaming service {} to {}",
        cx.ui.name(name),
        cx.ui.name(new)
    ));
    let collection = match is_user_provided(&instance) {
        true => "user_provided_service_instances",
        false => "service_instances",
    };
    let path = format!("/v2/{collection}/{}", guid(&instance));
    cx.client.put(&path, &json!({"name": new})).await?;
    cx.ui.ok();
    Ok(())
}
