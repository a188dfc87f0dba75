//! create-route, map-route, unmap-route, delete-route, delete-orphaned-routes.

use serde_json::{Value, json};

use super::agreed;
use super::route::{self, Wanted, full_path};
use super::route_list::apps_of;
use crate::context::{Context, guid, text};
use crate::error::CfError;
use crate::line::{Arg, Args, Flag, Group, NONE, Spec, arg, option, switch};

const APP: Arg = arg("APP_NAME", "App name");
const DOMAIN: Arg = arg("DOMAIN", "Domain name");
const HOST: Flag = option("--hostname, -n", "HOSTNAME", "Hostname of the route");
const PATH: Flag = option("--path", "PATH", "Path of the route, e.g. /shop");
const FORCE: Flag = switch("-f", "Do not ask");

pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "create-route",
        group: Group::Routes,
        about: "Create a url route in a space for later use",
        args: &[arg("SPACE", "Space name"), DOMAIN],
        flags: &[HOST, PATH],
        run: |cx, args| Box::pin(create(cx, args)),
        ..NONE
    },
    Spec {
        name: "map-route",
        group: Group::Routes,
        about: "Add a url route to an app",
        args: &[APP, DOMAIN],
        flags: &[HOST, PATH],
        run: |cx, args| Box::pin(map(cx, args)),
        ..NONE
    },
    Spec {
        name: "unmap-route",
        group: Group::Routes,
        about: "Remove a url route from an app",
        args: &[APP, DOMAIN],
        flags: &[HOST, PATH],
        run: |cx, args| Box::pin(unmap(cx, args)),
        ..NONE
    },
    Spec {
        name: "delete-route",
        group: Group::Routes,
        about: "Delete a route",
        args: &[DOMAIN],
        flags: &[HOST, PATH, FORCE],
        run: |cx, args| Box::pin(delete(cx, args)),
        ..NONE
    },
    Spec {
        name: "delete-orphaned-routes",
        group: Group::Routes,
        about: "Delete all orphaned routes (those that are not mapped to an app)",
        flags: &[FORCE],
        run: |cx, args| Box::pin(delete_orphaned(cx, args)),
        ..NONE
    },
];

fn wanted(args: &Args) -> Wanted {
    Wanted {
        host: args.get("hostname").unwrap_or_default().into(),
        domain: args.need("DOMAIN").into(),
        path: full_path(args.get("path")),
    }
}

async fn create(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    let (org, wanted) = (cx.org()?, wanted(args));
    let space = cx.space_in(&org.guid, args.need("SPACE")).await?;
    cx.announce(&format!(
        "Creating route {} for org {} / space {}",
        cx.ui.name(&wanted.to_string()),
        cx.ui.name(&org.name),
        cx.ui.name(text(&space, "name"))
    ));
    let domain = cx.domain_named(&wanted.domain).await?;
    let (_, made) = route::make(cx, &wanted, guid(&domain), guid(&space)).await?;
    cx.ui.ok();
    if !made {
        cx.ui.warn(&format!("Route {wanted} already exists"));
    }
    Ok(())
}

async fn map(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    let (space, wanted) = (cx.space()?, wanted(args));
    let app = cx.app(args.need("APP_NAME")).await?;
    let shown = cx.ui.name(&wanted.to_string());
    let domain = cx.domain_named(&wanted.domain).await?;
    cx.announce_in_space(&format!("Creating route {shown}"));
    let (route, _) = route::make(cx, &wanted, guid(&domain), &space.guid).await?;
    cx.ui.ok();
    let app_name = cx.ui.name(text(&app, "name"));
    cx.announce_in_space(&format!("Adding route {shown} to app {app_name}"));
    route::bind(cx, guid(&app), &route, &wanted).await?;
    cx.ui.ok();
    Ok(())
}

async fn unmap(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.space()?;
    let wanted = wanted(args);
    let app = cx.app(args.need("APP_NAME")).await?;
    let domain = cx.domain_named(&wanted.domain).await?;
    cx.announce_in_space(&format!(
        "Removing route {} from app {}",
        cx.ui.name(&wanted.to_string()),
        cx.ui.name(text(&app, "name"))
    ));
    let found = cx
        .find_route(&wanted.host, guid(&domain), &wanted.path)
        .await?;
    let route = found.ok_or_else(|| no_route(&wanted))?;
    let is_mapped = apps_of(cx, &route)
        .await?
        .iter()
        .any(|a| guid(a) == guid(&app));
    if is_mapped {
        let path = format!("/v2/apps/{}/routes/{}", guid(&app), guid(&route));
        cx.client.delete(&path).await?;
    }
    cx.ui.ok();
    if !is_mapped {
        cx.ui
            .warn("Route to be unmapped is not currently mapped to the application.");
    }
    Ok(())
}

fn no_route(wanted: &Wanted) -> CfError {
    let tip = "`cf routes` lists those of this space.";
    crate::lookup::missing("Route", &wanted.to_string(), tip)
}

async fn delete(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.org()?;
    let wanted = wanted(args);
    if !agreed(args, &format!("route {wanted}"))? {
        return Ok(());
    }
    cx.ui.say(&format!(
        "Deleting route {}...",
        cx.ui.name(&wanted.to_string())
    ));
    let domain = cx.domain_named(&wanted.domain).await?;
    let found = cx
        .find_route(&wanted.host, guid(&domain), &wanted.path)
        .await?;
    let Some(route) = found else {
        cx.ui.ok();
        cx.ui.warn(&format!(
            "Unable to delete, route '{wanted}' does not exist."
        ));
        return Ok(());
    };
    remove(cx, &route).await?;
    cx.ui.ok();
    Ok(())
}

async fn remove(cx: &mut Context, route: &Value) -> Result<(), CfError> {
    let path = format!("/v2/routes/{}?async=true", guid(route));
    cx.client.delete_and_wait(&path).await
}

async fn delete_orphaned(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    let space = cx.space()?;
    if !args.has("f") && !super::confirmed("Really delete orphaned routes?")? {
        return Ok(());
    }
    cx.announce_in_space("Getting routes");
    let domains = cx.domains().await?;
    let path = format!("/v2/spaces/{}/routes?inline-relations-depth=1", space.guid);
    for route in cx.client.list(&path).await? {
        if !apps_of(cx, &route).await?.is_empty() {
            continue;
        }
        let domain = domains
            .iter()
            .find(|d| guid(d) == text(&route, "domain_guid"));
        let shown = Wanted {
            host: text(&route, "host").into(),
            domain: domain.map_or("", |d| text(d, "name")).into(),
            path: text(&route, "path").into(),
        };
        let shown = cx.ui.name(&shown.to_string());
        cx.ui.say(&format!("Deleting route {shown}..."));
        remove(cx, &route).await?;
    }
    cx.ui.ok();
    Ok(())
}

/// The body that makes a route; an empty path is left out.
pub(super) fn body(wanted: &Wanted, domain_guid: &str, space_guid: &str) -> Value {
    let mut body =
        json!({"host": wanted.host, "domain_guid": domain_guid, "space_guid": space_guid});
    if !wanted.path.is_empty() {
        body["path"] = wanted.path.clone().into();
    }
    body
}
