//! Shared and private domains.

use axum::extract::{Path, RawQuery, State};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use v2_api::{ApiError, Code};

use super::body::{self, Body};
use super::jobs::{self, Deleted};
use super::lists::{Present, View, envelope, page};
use super::{orgs, settings, taken};
use crate::authorize::{Action, Caller, SEEN_DOMAINS};
use crate::controller::Ctl;
use crate::failure::{Failure, Outcome, fail_with};
use crate::store::{DOMAINS, DomainRow, ROUTES, RouteRow, Scope};

pub(super) fn routes() -> Router<Ctl> {
    Router::new()
        .route("/v2/domains", get(list_all))
        .route("/v2/domains/{guid}", get(show_any))
        .route("/v2/shared_domains", get(list_shared).post(create_shared))
        .route(
            "/v2/shared_domains/{guid}",
            get(show_shared).delete(delete_shared),
        )
        .route(
            "/v2/private_domains",
            get(list_private).post(create_private),
        )
        .route(
            "/v2/private_domains/{guid}",
            get(show_private).delete(delete_private),
        )
}

impl Present for DomainRow {
    fn flat(&self, _view: &View<'_>) -> Outcome<Value> {
        // Clients tell the two kinds apart by the presence of the owner: shared domains must not carry these keys.
        let (collection, entity) = match &self.owning_organization_guid {
            None => ("shared_domains", json!({"name": self.name})),
            Some(owner) => (
                "private_domains",
                json!({
                    "name": self.name, "owning_organization_guid": owner,
                    "owning_organization_url": format!("/v2/organizations/{owner}"),
                    "shared_organizations_url": format!("/v2/private_domains/{}/shared_organizations", self.guid),
                }),
            ),
        };
        Ok(envelope(
            collection,
            &self.guid,
            (self.created_at, self.updated_at),
            entity,
        ))
    }
}

/// Which of the two kinds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Any,
    Shared,
    Private,
}

impl Kind {
    fn scope(self, caller: &Caller) -> Scope {
        let seen = caller.visible(SEEN_DOMAINS);
        let owned: &[&str] = &[
            "CASE WHEN t.owning_organization_guid IS NULL THEN 'shared' ELSE 'private' END = ",
            "",
        ];
        match self {
            Kind::Any => seen,
            Kind::Shared => seen.and(owned, "shared"),
            Kind::Private => seen.and(owned, "private"),
        }
    }
}

async fn list(
    ctl: Ctl,
    caller: Caller,
    raw: RawQuery,
    kind: Kind,
    path: &str,
) -> Outcome<Json<Value>> {
    page::<DomainRow>(
        &View {
            ctl: &ctl,
            caller: &caller,
        },
        &DOMAINS,
        &kind.scope(&caller),
        &raw,
        path,
    )
    .await
}

async fn list_all(State(ctl): State<Ctl>, caller: Caller, raw: RawQuery) -> Outcome<Json<Value>> {
    list(ctl, caller, raw, Kind::Any, "/v2/domains").await
}

async fn list_shared(
    State(ctl): State<Ctl>,
    caller: Caller,
    raw: RawQuery,
) -> Outcome<Json<Value>> {
    list(ctl, caller, raw, Kind::Shared, "/v2/shared_domains").await
}

async fn list_private(
    State(ctl): State<Ctl>,
    caller: Caller,
    raw: RawQuery,
) -> Outcome<Json<Value>> {
    list(ctl, caller, raw, Kind::Private, "/v2/private_domains").await
}

async fn load(ctl: &Ctl, caller: &Caller, guid: &str, kind: Kind) -> Outcome<DomainRow> {
    let found: Option<DomainRow> = ctl.store.find(&DOMAINS, &kind.scope(caller), guid).await?;
    found.ok_or_else(|| fail_with(Code::DomainNotFound, guid))
}

async fn show(ctl: Ctl, caller: Caller, guid: String, kind: Kind) -> Outcome<Json<Value>> {
    let domain = load(&ctl, &caller, &guid, kind).await?;
    Ok(Json(domain.flat(&View {
        ctl: &ctl,
        caller: &caller,
    })?))
}

async fn show_any(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
) -> Outcome<Json<Value>> {
    show(ctl, caller, guid, Kind::Any).await
}

async fn show_shared(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
) -> Outcome<Json<Value>> {
    show(ctl, caller, guid, Kind::Shared).await
}

async fn show_private(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
) -> Outcome<Json<Value>> {
    show(ctl, caller, guid, Kind::Private).await
}

#[derive(Deserialize)]
struct DomainBody {
    name: Option<String>,
    owning_organization_guid: Option<String>,
}

/// 3 to 255 characters, at least two labels of letters, digits and inner dashes.
fn check_name(name: Option<&str>) -> Result<String, Failure> {
    let name = name.unwrap_or_default().trim().to_lowercase();
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if (3..=255).contains(&name.len()) && name.contains('.') && name.split('.').all(label_ok) {
        Ok(name)
    } else {
        Err(fail_with(
            Code::DomainInvalid,
            format!("{name:?} is not a domain name like example.com"),
        ))
    }
}

async fn create(
    ctl: Ctl,
    caller: Caller,
    name: String,
    owner: Option<String>,
) -> Outcome<(StatusCode, Json<Value>)> {
    let routes: Vec<RouteRow> = ctl
        .store
        .all(
            &ROUTES,
            &Scope::all().and(&["t.host_key || '.' || d.name_key = ", ""], &name),
        )
        .await?;
    if !routes.is_empty() {
        return Err(fail_with(
            Code::DomainInvalid,
            format!("{name} is the address of a route"),
        ));
    }
    let mut tx = ctl.store.begin().await?;
    let row = DomainRow {
        guid: bus::ids::guid(),
        name: name.clone(),
        owning_organization_guid: owner,
        created_at: tx.now(),
        updated_at: None,
    };
    tx.insert_domain(&row)
        .await
        .map_err(|error| taken(error, Code::DomainNameTaken, &name))?;
    tx.commit().await?;
    Ok((
        StatusCode::CREATED,
        Json(row.flat(&View {
            ctl: &ctl,
            caller: &caller,
        })?),
    ))
}

async fn create_shared(
    State(ctl): State<Ctl>,
    caller: Caller,
    Body(sent): Body<DomainBody>,
) -> Outcome<(StatusCode, Json<Value>)> {
    caller.need(Action::Administer)?;
    let name = check_name(sent.name.as_deref())?;
    create(ctl, caller, name, None).await
}

async fn create_private(
    State(ctl): State<Ctl>,
    caller: Caller,
    Body(sent): Body<DomainBody>,
) -> Outcome<(StatusCode, Json<Value>)> {
    let owner = sent
        .owning_organization_guid
        .ok_or_else(|| fail_with(Code::DomainInvalid, "owning_organization_guid is missing"))?;
    orgs::load(&ctl, &caller, &owner).await?;
    caller.need(Action::ManageOrg(&owner))?;
    if !caller.admin && !settings::is_enabled(&ctl, "private_domain_creation").await? {
        return Err(fail_with(Code::FeatureDisabled, "private_domain_creation"));
    }
    let name = check_name(sent.name.as_deref())?;
    check_neighbours(&ctl, &name, &owner).await?;
    create(ctl, caller, name, Some(owner)).await
}

/// A private domain must neither lie below nor above another organization's.
async fn check_neighbours(ctl: &Ctl, name: &str, owner: &str) -> Outcome<()> {
    let foreign: Vec<DomainRow> = ctl
        .store
        .all(
            &DOMAINS,
            &Scope::all().and(&["t.owning_organization_guid <> ", ""], owner),
        )
        .await?;
    let below = |inner: &str, outer: &str| inner.ends_with(&format!(".{outer}"));
    match foreign
        .iter()
        .find(|other| below(name, &other.name) || below(&other.name, name))
    {
        Some(other) => Err(fail_with(
            Code::DomainInvalid,
            format!(
                "{name} overlaps {}, which belongs to another organization",
                other.name
            ),
        )),
        None => Ok(()),
    }
}

async fn delete_shared(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
    raw: RawQuery,
) -> Outcome<Deleted> {
    caller.need(Action::Administer)?;
    delete(ctl, caller, guid, raw, Kind::Shared).await
}

async fn delete_private(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
    raw: RawQuery,
) -> Outcome<Deleted> {
    let domain = load(&ctl, &caller, &guid, Kind::Private).await?;
    caller.need(Action::ManageOrg(
        domain
            .owning_organization_guid
            .as_deref()
            .unwrap_or_default(),
    ))?;
    delete(ctl, caller, guid, raw, Kind::Private).await
}

async fn delete(
    ctl: Ctl,
    caller: Caller,
    guid: String,
    raw: RawQuery,
    kind: Kind,
) -> Outcome<Deleted> {
    let domain = load(&ctl, &caller, &guid, kind).await?;
    let routes: Vec<RouteRow> = ctl
        .store
        .all(&ROUTES, &Scope::all().and(&["t.domain_guid = ", ""], &guid))
        .await?;
    if !routes.is_empty() && !body::flag(&raw, "recursive") {
        return Err(
            ApiError::with_details(Code::AssociationNotEmpty, &["routes", "domains"]).into(),
        );
    }
    let mut tx = ctl.store.begin().await?;
    tx.delete_domain(&domain.guid).await?;
    tx.commit().await?;
    jobs::deleted(&ctl, &raw).await
}
