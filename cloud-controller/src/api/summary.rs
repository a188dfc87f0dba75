//! Summaries: everything `cf app` and `cf apps` show, in one answer.

use std::collections::HashMap;
use std::time::Instant;

use serde_json::{Value, json};

use super::apps::attributes;
use super::lists::View;
use crate::failure::Outcome;
use crate::store::{
    APPS, AppRow, BINDINGS_OF_APP, BINDINGS_OF_SERVICE, BINDINGS_OF_SPACE, BindingRow, DOMAINS,
    DOMAINS_USABLE_BY_ORG, DomainRow, MOST_AMONG, ROUTES, ROUTES_OF_APP, RouteRow, SERVICES,
    SERVICES_OF_APP, Scope, ServiceRow, SpaceRow,
};

/// Instances RUNNING or STARTING; 0 when stopped or not staged, -1 (unknown) while the bus is away.
fn running(view: &View<'_>, app: &AppRow) -> i64 {
    if !app.is_started() || !app.is_staged() {
        return 0;
    }
    if !view.ctl.bus.is_connected() {
        return -1;
    }
    let wanted = u32::try_from(app.instances).unwrap_or(0);
    view.ctl
        .live()
        .running(&app.guid, &app.version, wanted, Instant::now())
        .into()
}

fn short_route(route: &RouteRow) -> Value {
    json!({"guid": route.guid, "host": route.host, "path": route.path,
           "domain": {"guid": route.domain_guid, "name": route.domain_name}})
}

/// Service instances in short, with the number of apps bound to each.
async fn services(view: &View<'_>, scope: &Scope) -> Outcome<Vec<Value>> {
    let store = &view.ctl.store;
    let rows: Vec<ServiceRow> = store.all(&SERVICES, scope).await?;
    let guids: Vec<&str> = rows.iter().map(|row| row.guid.as_str()).collect();
    let mut bound = HashMap::new();
    for guids in guids.chunks(MOST_AMONG) {
        let bindings = BINDINGS_OF_SERVICE.of_each(guids);
        bound.extend(store.tally(&BINDINGS_OF_SERVICE, &bindings).await?);
    }
    let short = |row: &ServiceRow| {
        let bound = bound.get(&row.guid).copied().unwrap_or(0);
        json!({"guid": row.guid, "name": row.name, "bound_app_count": bound})
    };
    Ok(rows.iter().map(short).collect())
}

/// One app.
pub(super) async fn of_app(view: &View<'_>, app: &AppRow, space: &SpaceRow) -> Outcome<Value> {
    let store = &view.ctl.store;
    let mut summary = attributes(app, view)?;
    let usable = DOMAINS_USABLE_BY_ORG.of(&space.organization_guid);
    let domains: Vec<DomainRow> = store.all(&DOMAINS, &usable).await?;
    let routes: Vec<RouteRow> = store.all(&ROUTES, &ROUTES_OF_APP.of(&app.guid)).await?;
    summary["guid"] = json!(app.guid);
    summary["routes"] = routes.iter().map(short_route).collect();
    summary["running_instances"] = json!(running(view, app));
    summary["services"] = json!(services(view, &SERVICES_OF_APP.of(&app.guid)).await?);
    summary["available_domains"] = domains.iter().map(short_domain).collect();
    Ok(summary)
}

/// Shared domains must not carry an owner: clients tell them apart by its presence.
fn short_domain(domain: &DomainRow) -> Value {
    let mut short = json!({"guid": domain.guid, "name": domain.name});
    if let Some(owner) = &domain.owning_organization_guid {
        short["owning_organization_guid"] = json!(owner);
    }
    short
}

/// A space with all its apps.
pub(super) async fn of_space(view: &View<'_>, space: &SpaceRow) -> Outcome<Value> {
    let store = &view.ctl.store;
    let here = Scope::in_space(&space.guid);
    let rows: Vec<AppRow> = store.all(&APPS, &here).await?;
    let routes = by_parent(store.members(&ROUTES_OF_APP, &here).await?);
    let bindings = BINDINGS_OF_SPACE.of(&space.guid);
    let bindings = by_parent(store.members(&BINDINGS_OF_APP, &bindings).await?);
    let mut apps = Vec::with_capacity(rows.len());
    for row in &rows {
        apps.push(in_space(view, row, of(&routes, row), of(&bindings, row))?);
    }
    let services = services(view, &here).await?;
    Ok(json!({"guid": space.guid, "name": space.name, "apps": apps, "services": services}))
}

/// An app in its space's summary.
fn in_space(
    view: &View<'_>,
    row: &AppRow,
    routes: &[RouteRow],
    bindings: &[BindingRow],
) -> Outcome<Value> {
    let mut app = attributes(row, view)?;
    app["guid"] = json!(row.guid);
    app["urls"] = routes.iter().map(RouteRow::address).collect();
    app["routes"] = routes.iter().map(short_route).collect();
    app["service_count"] = json!(bindings.len());
    app["service_names"] = bindings.iter().map(|b| b.instance_name.as_str()).collect();
    app["running_instances"] = json!(running(view, row));
    Ok(app)
}

fn by_parent<R>(members: Vec<(String, R)>) -> HashMap<String, Vec<R>> {
    let mut parents: HashMap<String, Vec<R>> = HashMap::new();
    for (parent, member) in members {
        parents.entry(parent).or_default().push(member);
    }
    parents
}

fn of<'a, R>(members: &'a HashMap<String, Vec<R>>, app: &AppRow) -> &'a [R] {
    members.get(&app.guid).map_or(&[], Vec::as_slice)
}
