//! Summaries: everything `cf app` and `cf apps` show, in one answer.

use std::time::Instant;

use serde_json::{Value, json};

use super::apps::{attributes, routes_of};
use super::domains;
use super::lists::View;
use crate::failure::Outcome;
use crate::store::{
    APPS, AppRow, BINDINGS, DOMAINS, DomainRow, ROUTES, RouteRow, SERVICES, Scope, ServiceRow,
    SpaceRow,
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

async fn routes(view: &View<'_>, app: &AppRow) -> Outcome<(Vec<Value>, Vec<String>)> {
    let rows: Vec<RouteRow> = view.ctl.store.all(&ROUTES, &routes_of(&app.guid)).await?;
    let shown = rows.iter().map(|route| {
        json!({"guid": route.guid, "host": route.host, "path": route.path,
               "domain": {"guid": route.domain_guid, "name": route.domain_name}})
    });
    Ok((
        shown.collect(),
        rows.iter().map(RouteRow::address).collect(),
    ))
}

/// Service instances in short, with the number of apps bound to each.
async fn services(view: &View<'_>, scope: &Scope) -> Outcome<Vec<Value>> {
    let store = &view.ctl.store;
    let mut shown = Vec::new();
    for row in store.all::<ServiceRow>(&SERVICES, scope).await? {
        let bound = store.count(&BINDINGS, &row.bindings()).await?;
        shown.push(json!({"guid": row.guid, "name": row.name, "bound_app_count": bound}));
    }
    Ok(shown)
}

/// One app.
pub(super) async fn of_app(view: &View<'_>, app: &AppRow, space: &SpaceRow) -> Outcome<Value> {
    let mut summary = attributes(app, view)?;
    let usable = domains::usable_by(&space.organization_guid);
    let domains: Vec<DomainRow> = view.ctl.store.all(&DOMAINS, &usable).await?;
    let bound = Scope::all().and(
        &[
            "t.guid IN (SELECT service_instance_guid FROM service_bindings WHERE app_guid = ",
            ")",
        ],
        &app.guid,
    );
    summary["guid"] = json!(app.guid);
    summary["routes"] = json!(routes(view, app).await?.0);
    summary["running_instances"] = json!(running(view, app));
    summary["services"] = json!(services(view, &bound).await?);
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
    let rows: Vec<AppRow> = view
        .ctl
        .store
        .all(&APPS, &Scope::in_space(&space.guid))
        .await?;
    let mut apps = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut app = attributes(row, view)?;
        let (shown, urls) = routes(view, row).await?;
        app["guid"] = json!(row.guid);
        app["urls"] = json!(urls);
        app["routes"] = json!(shown);
        let bindings = view.ctl.store.bindings_of(&row.guid).await?;
        let names: Vec<&str> = bindings.iter().map(|b| b.instance_name.as_str()).collect();
        app["service_count"] = json!(names.len());
        app["service_names"] = json!(names);
        app["running_instances"] = json!(running(view, row));
        apps.push(app);
    }
    let services = services(view, &Scope::in_space(&space.guid)).await?;
    Ok(json!({"guid": space.guid, "name": space.name, "apps": apps, "services": services}))
}
