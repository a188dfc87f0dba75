//! routes, check-route.

use serde_json::{Value, json};

use super::route::{Wanted, full_path};
use crate::client::escape;
use crate::context::{Context, guid, text};
use crate::error::CfError;
use crate::line::{Args, Group, Json, NONE, Spec, arg, option, switch};
use crate::ui::column;

pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "routes",
        alias: "r",
        group: Group::Routes,
        about: "List all routes in the current space or the current organization",
        flags: &[switch("--orglevel", "List all the routes of the org")],
        json: Json::List(&[
            "apps", "domain", "guid", "host", "path", "port", "service", "space", "type",
        ]),
        run: |cx, args| Box::pin(list(cx, args)),
        ..NONE
    },
    Spec {
        name: "check-route",
        group: Group::Routes,
        about: "Perform a simple check to determine whether a route currently exists or not",
        args: &[arg("HOST", "Host name"), arg("DOMAIN", "Domain name")],
        flags: &[option("--path", "PATH", "Path of the route")],
        json: Json::One(&["exists", "route"]),
        run: |cx, args| Box::pin(check(cx, args)),
        ..NONE
    },
];

async fn list(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    let space = cx.space()?;
    let org = cx.org()?;
    let (whole_org, doing) = (args.has("orglevel"), "Getting routes");
    match whole_org {
        true => cx.announce_in_org(doing),
        false => cx.announce_in_space(doing),
    }
    let domains = cx.domains().await?;
    let path = match whole_org {
        true => format!("/v2/routes?q=organization_guid:{}", org.guid),
        false => format!("/v2/spaces/{}/routes?", space.guid),
    };
    let glue = if whole_org { "&" } else { "" };
    let path = format!("{path}{glue}inline-relations-depth=1");
    let mut rows = Vec::new();
    for route in cx.client.list(&path).await? {
        let apps = apps_of(cx, &route).await?;
        rows.push(row(&route, &domains, &apps, &space.name));
    }
    cx.ui.say("");
    let shown = [
        "space", "host", "domain", "port", "path", "type", "apps", "service",
    ];
    let shown = shown.map(|key| column(key, key));
    cx.ui.list(&shown, rows, "No routes found");
    Ok(())
}

/// The apps of a route: embedded, or asked for when the controller does not embed.
pub(super) async fn apps_of(cx: &mut Context, route: &Value) -> Result<Vec<Value>, CfError> {
    match route["entity"]["apps"].as_array() {
        Some(apps) => Ok(apps.clone()),
        None => {
            let path = format!("/v2/routes/{}/apps", guid(route));
            cx.client.list(&path).await
        }
    }
}

fn row(route: &Value, domains: &[Value], apps: &[Value], space: &str) -> Value {
    let embedded = |key: &str| route["entity"][key]["entity"]["name"].as_str();
    let id = text(route, "domain_guid");
    let known = domains.iter().find(|d| guid(d) == id);
    let domain = embedded("domain").or(known.map(|d| text(d, "name")));
    let port = route["entity"]["port"].as_u64().filter(|p| *p > 0);
    json!({
        "guid": guid(route), "space": embedded("space").unwrap_or(space),
        "host": text(route, "host"), "domain": domain.unwrap_or(id), "port": port,
        "path": text(route, "path"), "type": if port.is_some() { "tcp" } else { "" },
        "apps": super::orgs::names(apps), "service": embedded("service_instance").unwrap_or(""),
    })
}

async fn check(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.org()?;
    cx.ui.say("Checking for route...");
    let path = full_path(args.get("path"));
    let domain = cx.domain_named(args.need("DOMAIN")).await?;
    let wanted = Wanted {
        host: args.need("HOST").into(),
        domain: text(&domain, "name").into(),
        path: path.clone(),
    };
    let mut url = format!(
        "/v2/routes/reserved/domain/{}/host/{}",
        guid(&domain),
        escape(&wanted.host)
    );
    if !path.is_empty() {
        url.push_str(&format!("?path={}", escape(&path)));
    }
    let exists = match cx.client.get(&url).await {
        Ok(_) => true,
        Err(CfError::Api { status: 404, .. }) => false,
        Err(error) => return Err(error),
    };
    cx.ui.ok();
    if cx.ui.json {
        cx.ui
            .document(json!({"route": wanted.to_string(), "exists": exists}));
        return Ok(());
    }
    let does = if exists { "does" } else { "does not" };
    cx.ui.say(&format!("Route {wanted} {does} exist"));
    Ok(())
}
