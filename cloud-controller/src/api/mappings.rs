//! Which app answers on which route; both forms of the URL are used by clients.

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use http::StatusCode;
use serde_json::{Value, json};
use v2_api::Code;

use super::lists::{Present, View};
use super::routing::{Routes, put};
use super::{apps, audit, routes};
use crate::authorize::Caller;
use crate::conductor;
use crate::controller::Ctl;
use crate::failure::{Outcome, fail_with};
use crate::store::{AppRow, DOMAINS, HostHolders, Reads as _, RouteRow, Scope};

pub(super) fn routes() -> Routes {
    Routes::new()
        .route(
            "/v2/apps/{guid}/routes/{other}",
            put(map_by_app).delete(unmap_by_app),
        )
        .route(
            "/v2/routes/{guid}/apps/{other}",
            put(map_by_route).delete(unmap_by_route),
        )
}

type Answer = Outcome<(StatusCode, Json<Value>)>;

async fn map_by_app(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path((app, route)): Path<(String, String)>,
    raw: RawQuery,
) -> Answer {
    let (app, _) = change(&ctl, &caller, &app, &route, true).await?;
    present(&ctl, &caller, &app, &raw).await
}

async fn unmap_by_app(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path((app, route)): Path<(String, String)>,
    raw: RawQuery,
) -> Answer {
    let (app, _) = change(&ctl, &caller, &app, &route, false).await?;
    present(&ctl, &caller, &app, &raw).await
}

async fn map_by_route(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path((route, app)): Path<(String, String)>,
    raw: RawQuery,
) -> Answer {
    let (_, route) = change(&ctl, &caller, &app, &route, true).await?;
    present(&ctl, &caller, &route, &raw).await
}

async fn unmap_by_route(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path((route, app)): Path<(String, String)>,
    raw: RawQuery,
) -> Answer {
    let (_, route) = change(&ctl, &caller, &app, &route, false).await?;
    present(&ctl, &caller, &route, &raw).await
}

/// The parent resource, as the original answers for relations.
async fn present<R: Present>(ctl: &Ctl, caller: &Caller, row: &R, raw: &RawQuery) -> Answer {
    let depth = super::lists::query(raw)?.depth;
    Ok((
        StatusCode::CREATED,
        Json(row.present(&View { ctl, caller }, depth).await?),
    ))
}

/// Maps or unmaps. The version stays: running instances are told their new list of addresses and keep running.
async fn change(
    ctl: &Ctl,
    caller: &Caller,
    app: &str,
    route: &str,
    map: bool,
) -> Outcome<(AppRow, RouteRow)> {
    let (app, space) = apps::load_to_change(ctl, caller, app).await?;
    let route = routes::load(ctl, caller, route).await?;
    if route.space_guid != space.guid {
        return Err(fail_with(
            Code::InvalidRelation,
            format!(
                "app {} and route {} are in different spaces",
                app.guid, route.guid
            ),
        ));
    }
    let kind = if map {
        "audit.app.map-route"
    } else {
        "audit.app.unmap-route"
    };
    let event = audit::of_app(ctl, caller, kind, &app, json!({"route_guid": route.guid})).await?;
    let mut tx = ctl.store.begin().await?;
    if map {
        // Routes that older versions let in beside the host's owner lead nowhere new.
        let domain = tx.find(&DOMAINS, &Scope::all(), &route.domain_guid).await?;
        let domain = domain.ok_or_else(|| fail_with(Code::DomainNotFound, &route.domain_guid))?;
        routes::check_host_is_free(&mut tx, &route, &domain, HostHolders::Earlier).await?;
    }
    let changed = if map {
        tx.map_route(&app.guid, &route.guid).await?
    } else {
        tx.unmap_route(&app.guid, &route.guid).await?
    };
    if changed {
        tx.record_event(&event).await?;
    }
    tx.commit().await?;
    if changed && app.is_started() {
        conductor::keep_announcing_routes(ctl, app.guid.clone());
    }
    Ok((app, route))
}
