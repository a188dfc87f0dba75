//! Routes.

use axum::extract::{Path, RawQuery, State};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use v2_api::Code;

use super::body::{self, Body};
use super::jobs::{self, Deleted};
use super::lists::{Present, View, embedded, envelope, page};
use super::{settings, spaces, taken};
use crate::authorize::{Action, Caller, SEEN_IN_SPACES};
use crate::conductor;
use crate::controller::Ctl;
use crate::failure::{Failure, Outcome, fail, fail_with};
use crate::store::{
    APPS, AppRow, DOMAINS, DomainRow, ORGS, OrgRow, QUOTAS, QuotaRow, ROUTES, RouteRow, SPACES,
    Scope, SpaceRow,
};

pub(super) fn routes() -> Router<Ctl> {
    Router::new()
        .route("/v2/routes", get(list).post(create))
        .route("/v2/routes/{guid}", get(show).delete(delete))
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
    fn flat(&self, _view: &View<'_>) -> Outcome<Value> {
        let entity = json!({
            "host": self.host, "path": self.path, "domain_guid": self.domain_guid, "space_guid": self.space_guid,
            "service_instance_guid": null, "port": null,
            "domain_url": format!("/v2/domains/{}", self.domain_guid), "space_url": format!("/v2/spaces/{}", self.space_guid),
            "apps_url": format!("/v2/routes/{}/apps", self.guid),
            // Old clients read the domain of an app's embedded routes here, one level deeper than they ask for.
            "domain": envelope("shared_domains", &self.domain_guid, (self.created_at, None), json!({"name": self.domain_name})),
        });
        Ok(envelope(
            "routes",
            &self.guid,
            (self.created_at, self.updated_at),
            entity,
        ))
    }

    async fn present(&self, view: &View<'_>, depth: u32) -> Outcome<Value> {
        let mut resource = self.flat(view)?;
        let entity = &mut resource["entity"];
        if depth == 0 {
            if let Some(entity) = entity.as_object_mut() {
                entity.remove("domain");
            }
            return Ok(resource);
        }
        let domain: Option<DomainRow> = view
            .ctl
            .store
            .find(&DOMAINS, &Scope::all(), &self.domain_guid)
            .await?;
        if let Some(domain) = domain {
            entity["domain"] = domain.flat(view)?;
        }
        let space: Option<SpaceRow> = view
            .ctl
            .store
            .find(&SPACES, &Scope::all(), &self.space_guid)
            .await?;
        if let Some(space) = space {
            entity["space"] = space.flat(view)?;
        }
        entity["apps"] = embedded::<AppRow>(view, &APPS, &apps_of(&self.guid)).await?;
        Ok(resource)
    }
}

fn apps_of(route: &str) -> Scope {
    Scope::all().and(
        &[
            "t.guid IN (SELECT app_guid FROM route_mappings WHERE route_guid = ",
            ")",
        ],
        route,
    )
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
    caller.need(Action::ReadSpace(&route.space_guid, &org))?;
    Ok(route)
}

async fn list(State(ctl): State<Ctl>, caller: Caller, raw: RawQuery) -> Outcome<Json<Value>> {
    let view = View {
        ctl: &ctl,
        caller: &caller,
    };
    page::<RouteRow>(
        &view,
        &ROUTES,
        &caller.visible(SEEN_IN_SPACES),
        &raw,
        "/v2/routes",
    )
    .await
}

async fn show(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
    raw: RawQuery,
) -> Outcome<Json<Value>> {
    let route = load(&ctl, &caller, &guid).await?;
    let depth = super::lists::query(&raw)?.depth;
    Ok(Json(
        route
            .present(
                &View {
                    ctl: &ctl,
                    caller: &caller,
                },
                depth,
            )
            .await?,
    ))
}

async fn apps(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
    raw: RawQuery,
) -> Outcome<Json<Value>> {
    load(&ctl, &caller, &guid).await?;
    let view = View {
        ctl: &ctl,
        caller: &caller,
    };
    page::<AppRow>(
        &view,
        &APPS,
        &apps_of(&guid),
        &raw,
        &format!("/v2/routes/{guid}/apps"),
    )
    .await
}

/// Unknown keys (`port`, …) are ignored.
#[derive(Deserialize)]
struct RouteBody {
    host: Option<String>,
    path: Option<String>,
    domain_guid: Option<String>,
    space_guid: Option<String>,
}

async fn create(
    State(ctl): State<Ctl>,
    caller: Caller,
    raw: RawQuery,
    Body(sent): Body<RouteBody>,
) -> Outcome<(StatusCode, Json<Value>)> {
    let missing = |key: &str| fail_with(Code::RouteInvalid, format!("{key} is missing"));
    let space = spaces::load(
        &ctl,
        &caller,
        &sent.space_guid.ok_or_else(|| missing("space_guid"))?,
    )
    .await?;
    caller.need(Action::Develop(&space.guid))?;
    if !caller.admin && !settings::is_enabled(&ctl, "route_creation").await? {
        return Err(fail_with(Code::FeatureDisabled, "route_creation"));
    }
    let domain_guid = sent.domain_guid.ok_or_else(|| missing("domain_guid"))?;
    let domain: Option<DomainRow> = ctl
        .store
        .find(&DOMAINS, &Scope::all(), &domain_guid)
        .await?;
    let domain = domain.ok_or_else(|| fail_with(Code::DomainNotFound, &domain_guid))?;
    let (host, path) = (sent.host.unwrap_or_default(), sent.path.unwrap_or_default());
    check(&host, &path, &domain, &space, caller.admin)?;
    check_quota(&ctl, &space).await?;
    let mut tx = ctl.store.begin().await?;
    let route = RouteRow {
        guid: bus::ids::guid(),
        host,
        path,
        domain_guid,
        domain_name: domain.name,
        space_guid: space.guid,
        created_at: tx.now(),
        updated_at: None,
    };
    if ctl.store.domain_by_name(&route.address()).await?.is_some() {
        return Err(fail_with(
            Code::RouteInvalid,
            format!("{} is a domain", route.address()),
        ));
    }
    let (code, detail) = if route.path.is_empty() {
        (Code::RouteHostTaken, &route.host)
    } else {
        (Code::RoutePathTaken, &route.path)
    };
    tx.insert_route(&route)
        .await
        .map_err(|error| taken(error, code, detail))?;
    tx.commit().await?;
    let depth = super::lists::query(&raw)?.depth;
    Ok((
        StatusCode::CREATED,
        Json(
            route
                .present(
                    &View {
                        ctl: &ctl,
                        caller: &caller,
                    },
                    depth,
                )
                .await?,
        ),
    ))
}

/// The rules of a route's parts. Pure.
fn check(
    host: &str,
    path: &str,
    domain: &DomainRow,
    space: &SpaceRow,
    admin: bool,
) -> Result<(), Failure> {
    let bad = |text: &str| Err(fail_with(Code::RouteInvalid, text));
    let is_shared = domain.owning_organization_guid.is_none();
    if domain
        .owning_organization_guid
        .as_ref()
        .is_some_and(|owner| *owner != space.organization_guid)
    {
        return bad("the domain belongs to another organization");
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

async fn check_quota(ctl: &Ctl, space: &SpaceRow) -> Outcome<()> {
    let org: Option<OrgRow> = ctl
        .store
        .find(&ORGS, &Scope::all(), &space.organization_guid)
        .await?;
    let Some(org) = org else { return Ok(()) };
    let quota: Option<QuotaRow> = ctl
        .store
        .find(&QUOTAS, &Scope::all(), &org.quota_definition_guid)
        .await?;
    match quota {
        Some(quota)
            if quota.total_routes >= 0
                && ctl.store.count_routes(&org.guid).await? >= quota.total_routes =>
        {
            Err(fail(Code::OrgQuotaTotalRoutesExceeded))
        }
        _ => Ok(()),
    }
}

async fn delete(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
    raw: RawQuery,
) -> Outcome<Deleted> {
    let route = load(&ctl, &caller, &guid).await?;
    caller.need(Action::Develop(&route.space_guid))?;
    let mut tx = ctl.store.begin().await?;
    let apps = tx.apps_on_route(&guid).await?;
    tx.delete_route(&guid).await?;
    tx.commit().await?;
    for app in apps {
        conductor::keep_announcing_routes(&ctl, app);
    }
    jobs::deleted(&ctl, &raw).await
}

async fn reserved(
    state: State<Ctl>,
    caller: Caller,
    Path((domain, host)): Path<(String, String)>,
    raw: RawQuery,
) -> Outcome<StatusCode> {
    is_reserved(state, caller, domain, host, raw).await
}

async fn reserved_by_query(
    state: State<Ctl>,
    caller: Caller,
    Path(domain): Path<String>,
    raw: RawQuery,
) -> Outcome<StatusCode> {
    let host = body::parameter(&raw, "host").unwrap_or_default();
    is_reserved(state, caller, domain, host, raw).await
}

/// 204 = taken by somebody. Free = 404 with a JSON body: clients give up on an empty one.
async fn is_reserved(
    State(ctl): State<Ctl>,
    _caller: Caller,
    domain: String,
    host: String,
    raw: RawQuery,
) -> Outcome<StatusCode> {
    let path = body::parameter(&raw, "path").unwrap_or_default();
    if ctl.store.route_taken(&domain, &host, &path).await? {
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
        let space = SpaceRow {
            guid: "s".into(),
            name: "s".into(),
            organization_guid: "o".into(),
            allow_ssh: true,
            created_at: 0,
            updated_at: None,
        };
        let table = [
            ("web", "", None, true),
            ("my_app-1", "/foo", None, true),
            ("", "", None, false),
            ("*", "", None, false),
            ("", "", Some("o"), true),
            ("web", "", Some("other"), false),
            ("a.b", "", None, false),
            ("web", "foo", None, false),
            ("web", "/", None, false),
            ("web", "/a?b", None, false),
        ];
        for (host, path, owner, allowed) in table {
            assert_eq!(
                check(host, path, &domain(owner), &space, false).is_ok(),
                allowed,
                "{host:?} {path:?} {owner:?}"
            );
        }
    }
}
