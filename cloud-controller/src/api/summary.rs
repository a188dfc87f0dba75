//! Summaries: everything `cf app` and `cf apps` show, in one answer.

use std::time::Instant;

use serde_json::{Value, json};

use super::apps::{attributes, routes_of};
use super::lists::View;
use crate::failure::Outcome;
use crate::store::{APPS, AppRow, DOMAINS, DomainRow, ROUTES, RouteRow, Scope, SpaceRow};

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

/// One app.
pub(super) async fn of_app(view: &View<'_>, app: &AppRow, space: &SpaceRow) -> Outcome<Value> {
    let mut summary = attributes(app, view)?;
    let usable = Scope::all().and(
        &[
            "t.owning_organization_guid IS NULL OR t.owning_organization_guid = ",
            "",
        ],
        &space.organization_guid,
    );
    let domains: Vec<DomainRow> = view.ctl.store.all(&DOMAINS, &usable).await?;
    summary["guid"] = json!(app.guid);
    summary["routes"] = json!(routes(view, app).await?.0);
    summary["running_instances"] = json!(running(view, app));
    summary["services"] = json!([]);
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
        .all(
            &APPS,
            &Scope::all().and(&["t.space_guid = ", ""], &space.guid),
        )
        .await?;
    let mut apps = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut app = attributes(row, view)?;
        let (shown, urls) = routes(view, row).await?;
        app["guid"] = json!(row.guid);
        app["urls"] = json!(urls);
        app["routes"] = json!(shown);
        app["service_count"] = json!(0);
        app["service_names"] = json!([]);
        app["running_instances"] = json!(running(view, row));
        apps.push(app);
    }
    Ok(json!({"guid": space.guid, "name": space.name, "apps": apps, "services": []}))
}
