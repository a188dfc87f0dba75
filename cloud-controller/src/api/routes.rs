//! Routes.

use axum::Json;
use axum::extract::Path;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use v2_api::Code;

use super::body::Body;
use super::call::{Call, Created, required};
use super::jobs::Deleted;
use super::lists::{Present, View, envelope};
use super::relations::Relation;
use super::routing::{Routes, get};
use super::{room, spaces, taken};
use crate::authorize::{Action, Caller, SEEN_ROUTES};
use crate::conductor;
use crate::controller::Ctl;
use crate::failure::{Failure, Outcome, fail, fail_with};
use crate::store::{
    APPS_OF_ROUTE, AppRow, DOMAINS, DOMAINS_USABLE_BY_ORG, DomainRow, NewEvent, ROUTES, Reads as _,
    RouteRow, Scope, SpaceRow, Store, Table, Tx,
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
    let (host, path) = (sent.host.unwrap_or_default(), sent.path.unwrap_or_default());
    let usable = is_usable(&call.ctl.store, &domain, &space).await?;
    check(&host, &path, &domain, usable, call.caller.admin)?;
    let route = RouteRow {
        guid: bus::ids::guid(),
        host,
        path,
        domain_guid,
        domain_name: domain.name,
        space_guid: space.guid.clone(),
        created_at: crate::store::now_micros(),
        updated_at: None,
    };
    let mut tx = call.ctl.store.begin().await?;
    check_domain_of_same_name(&mut tx, &route).await?;
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
    route.host = sent.host.unwrap_or(route.host);
    route.path = sent.path.unwrap_or(route.path);
    let domain: DomainRow = call.find(&route.domain_guid, Code::DomainNotFound).await?;
    check(&route.host, &route.path, &domain, true, call.caller.admin)?;
    let event = event(
        &call,
        "audit.route.update",
        &route,
        &org_of(&call, &route).await?,
    );
    let mut tx = call.ctl.store.begin().await?;
    check_domain_of_same_name(&mut tx, &route).await?;
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

fn occupied(error: crate::store::StoreError, route: &RouteRow) -> Failure {
    let (code, detail) = if route.path.is_empty() {
        (Code::RouteHostTaken, &route.host)
    } else {
        (Code::RoutePathTaken, &route.path)
    };
    taken(error, code, detail)
}

async fn check_domain_of_same_name(tx: &mut Tx, route: &RouteRow) -> Outcome<()> {
    let address = route.address();
    if !route.host.is_empty() && tx.domain_by_name(&address).await?.is_some() {
        return Err(fail_with(
            Code::RouteInvalid,
            format!("{address} is a domain; choose another host"),
        ));
    }
    Ok(())
}

/// Whether the space's organization may use the domain: shared, its own, or lent to it.
async fn is_usable(store: &Store, domain: &DomainRow, space: &SpaceRow) -> Outcome<bool> {
    let usable = DOMAINS_USABLE_BY_ORG.of(&space.organization_guid);
    let found: Option<DomainRow> = store.find(&DOMAINS, &usable, &domain.guid).await?;
    Ok(found.is_some())
}

/// The rules of a route's parts. Pure.
fn check(
    host: &str,
    path: &str,
    domain: &DomainRow,
    usable: bool,
    admin: bool,
) -> Result<(), Failure> {
    let bad = |text: &str| Err(fail_with(Code::RouteInvalid, text));
    let is_shared = domain.owning_organization_guid.is_none();
    if !usable {
        return bad("the domain belongs to another organization, which has not shared it");
    }
    let is_word = host.len() <= 63
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    match host {
        "" if is_shared => return bad("host is required for shared domains"),
        "*" if is_shared && !admin => {
            return bad("wildcard hosts on shared domains are for administrators");
        }
        "" | "*" => {}
        _ if !is_word => return bad("host must be made of letters, digits, - and _, at most 63"),
        _ => {}
    }
    let path_ok = path.is_empty()
        || (path.starts_with('/') && path.len() > 1 && path.len() <= 128 && !path.contains('?'));
    if path_ok {
        Ok(())
    } else {
        Err(fail_with(Code::PathInvalid, path))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(owner: Option<&str>) -> DomainRow {
        DomainRow {
            guid: "d".into(),
            name: "example.com".into(),
            owning_organization_guid: owner.map(Into::into),
            created_at: 0,
            updated_at: None,
        }
    }

    #[test]
    fn the_parts_of_a_route_follow_the_rules() {
        let table = [
            ("web", "", None, true),
            ("my_app-1", "/foo", None, true),
            ("", "", None, false),
            ("*", "", None, false),
            ("", "", Some("o"), true),
            ("a.b", "", None, false),
            ("web", "foo", None, false),
            ("web", "/", None, false),
            ("web", "/a?b", None, false),
        ];
        for (host, path, owner, allowed) in table {
            assert_eq!(
                check(host, path, &domain(owner), true, false).is_ok(),
                allowed,
                "{host:?} {path:?} {owner:?}"
            );
        }
        assert!(check("web", "", &domain(Some("o")), false, false).is_err());
    }
}
