//! Routes.

use axum::Json;
use axum::extract::Path;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use v2_api::{ApiError, Code};

use super::body::Body;
use super::call::{Call, Created, required};
use super::jobs::Deleted;
use super::lists::{Present, View, envelope};
use super::relations::Relation;
use super::route_rules::{self, Ground};
use super::routing::{Routes, get};
use super::{room, spaces, taken};
use crate::authorize::{Action, Caller, SEEN_ROUTES};
use crate::conductor;
use crate::controller::Ctl;
use crate::failure::{Failure, Outcome, fail, fail_with};
use crate::store::{
    APPS_OF_ROUTE, AppRow, DOMAINS, DOMAINS_USABLE_BY_ORG, DomainRow, HostHolders, HostOwners,
    NewEvent, ROUTES, Reads as _, RouteRow, Scope, SpaceRow, Table, Tx,
};

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/v2/routes", get(list).post(create))
        .route("/v2/routes/{guid}", get(show).put(update).delete(delete))
        .route("/v2/routes/{guid}/apps", get(apps))
        .route(
            "/v2/routes/reserved/domain/{domain}",
            get(reserved_by_query),
        )
        .route(
            "/v2/routes/reserved/domain/{domain}/host/{host}",
            get(reserved),
        )
}

impl Present for RouteRow {
    const COLLECTION: &'static str = "routes";
    const SEEN: &'static [&'static str] = SEEN_ROUTES;
    const RELATIONS: &'static [Relation<RouteRow>] = &[
        Relation::one::<DomainRow>("domain", |route| Some(&route.domain_guid)),
        Relation::one::<SpaceRow>("space", |route| Some(&route.space_guid)),
        Relation::many::<AppRow>("apps", &APPS_OF_ROUTE, |route| Some(&route.guid)),
    ];

    fn table() -> &'static Table {
        &ROUTES
    }

    fn flat(&self, _view: &View<'_>) -> Outcome<Value> {
        let entity = json!({
            "host": self.host, "path": self.path, "domain_guid": self.domain_guid, "space_guid": self.space_guid,
            "service_instance_guid": null, "port": null,
            "domain_url": format!("/v2/domains/{}", self.domain_guid), "space_url": format!("/v2/spaces/{}", self.space_guid),
            "apps_url": format!("/v2/routes/{}/apps", self.guid),
        });
        Ok(envelope(
            Self::COLLECTION,
            &self.guid,
            (self.created_at, self.updated_at),
            entity,
        ))
    }

    /// Old clients read the domain of an app's embedded routes, one level deeper than they ask for.
    fn leaf(&self, view: &View<'_>) -> Outcome<Value> {
        let mut resource = self.flat(view)?;
        resource["entity"]["domain"] = envelope(
            "shared_domains",
            &self.domain_guid,
            (self.created_at, None),
            json!({"name": self.domain_name}),
        );
        Ok(resource)
    }
}

/// The route, if it exists and the caller may see it.
pub(super) async fn load(ctl: &Ctl, caller: &Caller, guid: &str) -> Outcome<RouteRow> {
    let route: Option<RouteRow> = ctl.store.find(&ROUTES, &Scope::all(), guid).await?;
    let route = route.ok_or_else(|| fail_with(Code::RouteNotFound, guid))?;
    let org = ctl
        .store
        .org_of_space(&route.space_guid)
        .await?
        .unwrap_or_default();
    caller.need(Action::ReadRoute(&route.space_guid, &org))?;
    Ok(route)
}

async fn list(call: Call) -> Outcome<Json<Value>> {
    call.list::<RouteRow>(call.seen::<RouteRow>()).await
}

async fn show(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    let route = load(&call.ctl, &call.caller, &guid).await?;
    call.show(&route).await
}

async fn apps(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    load(&call.ctl, &call.caller, &guid).await?;
    call.list::<AppRow>(APPS_OF_ROUTE.of(&guid)).await
}

/// Unknown keys (`port`, …) are ignored.
#[derive(Deserialize)]
struct RouteBody {
    host: Option<String>,
    path: Option<String>,
    domain_guid: Option<String>,
    space_guid: Option<String>,
}

fn event(call: &Call, kind: &'static str, route: &RouteRow, org: &str) -> NewEvent {
    call.event(
        kind,
        (&route.guid, "route", &route.address()),
        json!({"request": {"host": route.host, "path": route.path, "domain_guid": route.domain_guid}}),
        (Some(&route.space_guid), Some(org)),
    )
}

async fn org_of(call: &Call, route: &RouteRow) -> Outcome<String> {
    let org = call.ctl.store.org_of_space(&route.space_guid).await?;
    Ok(org.unwrap_or_default())
}

async fn create(call: Call, Body(sent): Body<RouteBody>) -> Created {
    let domain_guid = required(sent.domain_guid, "domain_guid")?;
    let space_guid = required(sent.space_guid, "space_guid")?;
    let space = spaces::visible(&call, &space_guid).await?;
    call.need(Action::Develop(&space.guid))?;
    call.need_feature("route_creation").await?;
    let domain: DomainRow = call.find(&domain_guid, Code::DomainNotFound).await?;
    let route = RouteRow {
        guid: bus::ids::guid(),
        host: sent.host.unwrap_or_default(),
        path: sent.path.unwrap_or_default(),
        domain_guid,
        domain_name: domain.name.clone(),
        space_guid: space.guid.clone(),
        created_at: crate::store::now_micros(),
        updated_at: None,
    };
    let mut tx = call.ctl.store.begin().await?;
    check_usable(&mut tx, &domain, &space.organization_guid).await?;
    check(&call, &route, &domain, &space.organization_guid)?;
    check_domain_of_same_name(&mut tx, &route).await?;
    check_host_is_free(&mut tx, &route, &domain, HostHolders::All).await?;
    room::for_route(&mut tx, &space).await?;
    tx.insert_route(&route)
        .await
        .map_err(|error| occupied(error, &route))?;
    let event = event(
        &call,
        "audit.route.create",
        &route,
        &space.organization_guid,
    );
    tx.record_event(&event).await?;
    tx.commit().await?;
    call.created(&route).await
}

/// A route's host and path may change, its domain and space not.
async fn update(call: Call, Path(guid): Path<String>, Body(sent): Body<RouteBody>) -> Created {
    let mut route = load(&call.ctl, &call.caller, &guid).await?;
    call.need(Action::Develop(&route.space_guid))?;
    let same = |sent: &Option<String>, known: &str| sent.as_deref().is_none_or(|s| s == known);
    if !same(&sent.domain_guid, &route.domain_guid) || !same(&sent.space_guid, &route.space_guid) {
        return Err(fail_with(
            Code::RouteInvalid,
            "domain and space of a route cannot change; make another route",
        ));
    }
    let before = route.host.to_lowercase();
    route.host = sent.host.unwrap_or(route.host);
    route.path = sent.path.unwrap_or(route.path);
    let domain: DomainRow = call.find(&route.domain_guid, Code::DomainNotFound).await?;
    let org = org_of(&call, &route).await?;
    check(&call, &route, &domain, &org)?;
    let event = event(&call, "audit.route.update", &route, &org);
    let mut tx = call.ctl.store.begin().await?;
    check_domain_of_same_name(&mut tx, &route).await?;
    let holders = match before == route.host.to_lowercase() {
        true => HostHolders::Earlier,
        false => HostHolders::All,
    };
    check_host_is_free(&mut tx, &route, &domain, holders).await?;
    tx.update_route(&route)
        .await
        .map_err(|error| occupied(error, &route))?;
    tx.record_event(&event).await?;
    let apps = tx.apps_on_route(&guid).await?;
    tx.commit().await?;
    for app in apps {
        conductor::keep_announcing_routes(&call.ctl, app);
    }
    call.created_guid::<RouteRow>(&guid, Code::RouteNotFound)
        .await
}

/// The rules of the route's parts.
fn check(call: &Call, route: &RouteRow, domain: &DomainRow, org: &str) -> Outcome<()> {
    let configured = &call.ctl.config.domains;
    let ground = Ground {
        domain,
        org,
        admin: call.caller.admin,
        is_configured: configured
            .iter()
            .any(|name| name.eq_ignore_ascii_case(&domain.name)),
    };
    Ok(route_rules::check(&route.host, &route.path, &ground)?)
}

/// The space's organization may use the domain: shared, its own, or lent to it.
async fn check_usable(tx: &mut Tx, domain: &DomainRow, org: &str) -> Outcome<()> {
    let usable = DOMAINS_USABLE_BY_ORG.of(org);
    let found: Option<DomainRow> = tx.find(&DOMAINS, &usable, &domain.guid).await?;
    if found.is_some() {
        return Ok(());
    }
    Err(fail_with(
        Code::RouteInvalid,
        "the domain belongs to another organization, which has not shared it",
    ))
}

/// A host belongs to whoever took it first, with every path: on a shared domain the space, on a private one the organization. Read
/// inside the write, so that of two requests at once one finds the other's route. Who holds it is not told.
pub(super) async fn check_host_is_free(
    tx: &mut Tx,
    route: &RouteRow,
    domain: &DomainRow,
    holders: HostHolders,
) -> Outcome<()> {
    let owners = match domain.owning_organization_guid {
        None => HostOwners::Spaces,
        Some(_) => HostOwners::Organizations,
    };
    if !tx.is_host_foreign(route, owners, holders).await? {
        return Ok(());
    }
    Err(ApiError::with(Code::RouteHostTaken, &route.host)
        .explain("(A host belongs to the space that took it first, with every path. Choose another one.)")
        .into())
}

fn occupied(error: crate::store::StoreError, route: &RouteRow) -> Failure {
    let (code, detail) = if route.path.is_empty() {
        (Code::RouteHostTaken, &route.host)
    } else {
        (Code::RoutePathTaken, &route.path)
    };
    taken(error, code, detail)
}

async fn check_domain_of_same_name(tx: &mut Tx, route: &RouteRow) -> Outcome<()> {
    // Whatever the path: the domain's own routes are below the same name.
    let address = format!("{}.{}", route.host, route.domain_name);
    if !route.host.is_empty() && tx.domain_by_name(&address).await?.is_some() {
        return Err(fail_with(
            Code::RouteInvalid,
            format!("{address} is a domain; choose another host"),
        ));
    }
    Ok(())
}

async fn delete(call: Call, Path(guid): Path<String>) -> Outcome<Deleted> {
    let route = load(&call.ctl, &call.caller, &guid).await?;
    call.need(Action::Develop(&route.space_guid))?;
    let org = org_of(&call, &route).await?;
    let event = event(&call, "audit.route.delete-request", &route, &org);
    let mut tx = call.ctl.store.begin().await?;
    let apps = tx.apps_on_route(&guid).await?;
    tx.delete_route(&guid).await?;
    tx.record_event(&event).await?;
    tx.commit().await?;
    for app in apps {
        conductor::keep_announcing_routes(&call.ctl, app);
    }
    call.deleted().await
}

async fn reserved(call: Call, Path((domain, host)): Path<(String, String)>) -> Outcome<StatusCode> {
    is_reserved(&call, &domain, &host).await
}

async fn reserved_by_query(call: Call, Path(domain): Path<String>) -> Outcome<StatusCode> {
    let host = call.parameter("host").unwrap_or_default();
    is_reserved(&call, &domain, &host).await
}

/// 204 = taken by somebody. Free = 404 with a JSON body: clients give up on an empty one.
async fn is_reserved(call: &Call, domain: &str, host: &str) -> Outcome<StatusCode> {
    let path = call.parameter("path").unwrap_or_default();
    if call.ctl.store.route_taken(domain, host, &path).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(fail(Code::NotFound))
    }
}
