//! quotas, quota, create-quota, update-quota, delete-quota, set-quota.

use serde_json::{Map, Value, json};

use super::agreed;
use crate::context::{Context, guid, text};
use crate::error::CfError;
use crate::line::{Arg, Args, Flag, Group, Json, NONE, Spec, arg, option, switch};
use crate::size::{parse_mb, show_mb};
use crate::ui::{Column, column, or_unlimited, shown};

const QUOTA: Arg = arg("QUOTA", "Quota name");
const FIELDS: &[&str] = &[
    "app_instance_limit",
    "guid",
    "instance_memory_limit",
    "memory_limit",
    "name",
    "non_basic_services_allowed",
    "total_reserved_route_ports",
    "total_routes",
    "total_services",
];
const TOTAL: Flag = option("-m", "TOTAL_MEMORY", "Total memory, e.g. 1024M, 10G");
const INSTANCE: Flag = option(
    "-i",
    "INSTANCE_MEMORY",
    "Memory of one instance at most; -1 is unlimited",
);
const ROUTES: Flag = option("-r", "ROUTES", "Number of routes");
const SERVICES: Flag = option("-s", "SERVICE_INSTANCES", "Number of service instances");
const APPS: Flag = option(
    "-a",
    "APP_INSTANCES",
    "Number of app instances; -1 is unlimited",
);
const PORTS: Flag = option(
    "--reserved-route-ports",
    "PORTS",
    "Number of routes with reserved ports",
);
const PAID: Flag = switch("--allow-paid-service-plans", "Allow paid service plans");

pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "quotas",
        group: Group::OrgAdmin,
        about: "List available usage quotas",
        json: Json::List(FIELDS),
        run: |cx, _| Box::pin(list(cx)),
        ..NONE
    },
    Spec {
        name: "quota",
        group: Group::OrgAdmin,
        about: "Show quota info",
        args: &[QUOTA],
        json: Json::One(FIELDS),
        run: |cx, args| Box::pin(show(cx, args)),
        ..NONE
    },
    Spec {
        name: "set-quota",
        group: Group::OrgAdmin,
        about: "Assign a quota to an org",
        args: &[arg("ORG", "Org name"), QUOTA],
        run: |cx, args| Box::pin(set(cx, args)),
        ..NONE
    },
    Spec {
        name: "create-quota",
        group: Group::OrgAdmin,
        about: "Define a new resource quota",
        args: &[QUOTA],
        flags: &[TOTAL, INSTANCE, ROUTES, SERVICES, APPS, PAID, PORTS],
        run: |cx, args| Box::pin(create(cx, args)),
        ..NONE
    },
    Spec {
        name: "delete-quota",
        group: Group::OrgAdmin,
        about: "Delete a quota",
        args: &[QUOTA],
        flags: &[switch("-f", "Do not ask")],
        run: |cx, args| Box::pin(delete(cx, args)),
        ..NONE
    },
    Spec {
        name: "update-quota",
        group: Group::OrgAdmin,
        about: "Update an existing resource quota",
        args: &[QUOTA],
        flags: &[
            TOTAL,
            INSTANCE,
            option("-n", "NEW_NAME", "New name"),
            ROUTES,
            SERVICES,
            APPS,
            PAID,
            switch(
                "--disallow-paid-service-plans",
                "Disallow paid service plans",
            ),
            PORTS,
        ],
        run: |cx, args| Box::pin(update(cx, args)),
        ..NONE
    },
];

fn memory(value: &Value) -> String {
    value.as_u64().map_or("unlimited".into(), show_mb)
}

fn paid(value: &Value) -> String {
    let allowed = value == &Value::Bool(true);
    if allowed { "allowed" } else { "disallowed" }.into()
}

fn columns() -> [Column; 8] {
    [
        column("name", "name"),
        shown("total memory", "memory_limit", memory),
        shown("instance memory", "instance_memory_limit", memory),
        shown("routes", "total_routes", or_unlimited),
        shown("service instances", "total_services", or_unlimited),
        shown("paid plans", "non_basic_services_allowed", paid),
        shown("app instances", "app_instance_limit", or_unlimited),
        shown("route ports", "total_reserved_route_ports", or_unlimited),
    ]
}

fn row(quota: &Value) -> Value {
    let field = |key: &&str| ((*key).to_owned(), quota["entity"][*key].clone());
    let mut row: Map<String, Value> = FIELDS.iter().map(field).collect();
    row.insert("guid".into(), guid(quota).into());
    row.into()
}

async fn list(cx: &mut Context) -> Result<(), CfError> {
    cx.logged_in()?;
    cx.announce("Getting quotas");
    let quotas = cx.client.list("/v2/quota_definitions").await?;
    cx.ui.ok();
    cx.ui.list(&columns(), quotas.iter().map(row).collect(), "");
    Ok(())
}

async fn show(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.logged_in()?;
    let name = args.need("QUOTA");
    cx.announce(&format!("Getting quota {} info", cx.ui.name(name)));
    let quota = cx.quota_named(name).await?;
    cx.ui.ok();
    cx.ui.one(&columns(), row(&quota));
    Ok(())
}

/// What the flags say, in the API's words; only what was given.
fn limits(args: &Args) -> Result<Map<String, Value>, CfError> {
    let mut body = Map::new();
    for (flag, key) in [("m", "memory_limit"), ("i", "instance_memory_limit")] {
        if let Some(size) = args.get(flag) {
            let unlimited = size == "-1" && flag == "i";
            let mb = match unlimited {
                true => Value::from(-1),
                false => parse_mb(size).map_err(CfError::Usage)?.into(),
            };
            body.insert(key.into(), mb);
        }
    }
    let numbers = [
        ("r", "total_routes"),
        ("s", "total_services"),
        ("a", "app_instance_limit"),
        ("reserved-route-ports", "total_reserved_route_ports"),
    ];
    for (flag, key) in numbers {
        if let Some(number) = args.number::<i64>(flag)? {
            body.insert(key.into(), number.into());
        }
    }
    for (flag, allowed) in [
        ("allow-paid-service-plans", true),
        ("disallow-paid-service-plans", false),
    ] {
        if args.has(flag) {
            body.insert("non_basic_services_allowed".into(), allowed.into());
        }
    }
    Ok(body)
}

async fn create(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.logged_in()?;
    let name = args.need("QUOTA");
    let defaults = json!({
        "name": name, "memory_limit": 0, "instance_memory_limit": -1, "total_routes": 0,
        "total_services": 0, "non_basic_services_allowed": false, "app_instance_limit": -1,
    });
    let mut body = defaults.as_object().cloned().unwrap_or_default();
    body.extend(limits(args)?);
    cx.announce(&format!("Creating quota {}", cx.ui.name(name)));
    match cx.client.post("/v2/quota_definitions", &body.into()).await {
        Err(e) if e.code() == Some(240002) => {
            cx.ui.ok();
            cx.ui
                .warn(&format!("Quota Definition {name} already exists"));
            return Ok(());
        }
        other => other?,
    };
    cx.ui.ok();
    Ok(())
}

async fn update(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.logged_in()?;
    let name = args.need("QUOTA");
    let mut body = limits(args)?;
    if let Some(new) = args.get("n") {
        body.insert("name".into(), new.into());
    }
    if body.is_empty() {
        return Err(CfError::Usage(
            "nothing to change\nTIP: `cf help update-quota` lists the flags.".into(),
        ));
    }
    let quota = cx.quota_named(name).await?;
    cx.announce(&format!("Updating quota {}", cx.ui.name(name)));
    let path = format!("/v2/quota_definitions/{}", guid(&quota));
    // The original sends the whole quota, so that is what a controller is used to.
    let mut whole: Map<String, Value> = FIELDS
        .iter()
        .filter(|key| **key != "guid" && !quota["entity"][**key].is_null())
        .map(|key| ((*key).to_owned(), quota["entity"][*key].clone()))
        .collect();
    whole.extend(body);
    cx.client.put(&path, &whole.into()).await?;
    cx.ui.ok();
    Ok(())
}

async fn delete(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.logged_in()?;
    let name = args.need("QUOTA");
    if !agreed(args, &format!("quota {name}"))? {
        return Ok(());
    }
    cx.announce(&format!("Deleting quota {}", cx.ui.name(name)));
    let quota = match cx.quota_named(name).await {
        Err(CfError::NotFound { .. }) => {
            cx.ui.ok();
            cx.ui.warn(&format!("Quota {name} does not exist"));
            return Ok(());
        }
        found => found?,
    };
    let path = format!("/v2/quota_definitions/{}?async=true", guid(&quota));
    cx.client.delete_and_wait(&path).await?;
    cx.ui.ok();
    Ok(())
}

async fn set(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.logged_in()?;
    let org = cx.org_named(args.need("ORG")).await?;
    let quota = cx.quota_named(args.need("QUOTA")).await?;
    cx.announce(&format!(
        "Setting quota {} to org {}",
        cx.ui.name(text(&quota, "name")),
        cx.ui.name(text(&org, "name"))
    ));
    let path = format!("/v2/organizations/{}", guid(&org));
    let body = json!({"quota_definition_guid": guid(&quota)});
    cx.client.put(&path, &body).await?;
    cx.ui.ok();
    Ok(())
}
