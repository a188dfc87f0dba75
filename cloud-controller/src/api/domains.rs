//! Shared and private domains; private ones may be lent to other organizations.

use axum::Json;
use axum::extract::Path;
use serde::Deserialize;
use serde_json::{Value, json};
use v2_api::{ApiError, Code};

use super::body::Body;
use super::call::{Call, Created, required};
use super::jobs::Deleted;
use super::lists::{Present, View, envelope};
use super::routing::{Routes, get};
use super::{orgs, room, taken};
use crate::authorize::{Action, SEEN_DOMAINS};
use crate::conductor;
use crate::controller::Ctl;
use crate::failure::{Failure, Outcome, fail_with};
use crate::store::{
    DOMAINS, DomainRow, NewEvent, OrgRow, ROUTES, Reads as _, RouteRow, Scope, Table, Tx,
};

pub(super) fn routes() -> Routes {
    Routes::new()
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
        .route(
            "/v2/private_domains/{guid}/shared_organizations",
            get(shared_organizations),
        )
}

impl Present for DomainRow {
    const COLLECTION: &'static str = "domains";
    const SEEN: &'static [&'static str] = SEEN_DOMAINS;

    fn table() -> &'static Table {
        &DOMAINS
    }

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

/// Private domains an organization owns or was lent.
pub(super) fn private_of(org: &str) -> Scope {
    Scope::all().and(
        &[
            "t.owning_organization_guid = ",
            " OR t.guid IN (SELECT domain_guid FROM domain_shares WHERE organization_guid = ",
            ")",
        ],
        org,
    )
}

/// Which of the two kinds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Any,
    Shared,
    Private,
}

impl Kind {
    /// Members of this kind within a scope.
    fn of(self, scope: Scope) -> Scope {
        match self {
            Kind::Any => scope,
            Kind::Shared => scope.holding(&["t.owning_organization_guid IS NULL"]),
            Kind::Private => scope.holding(&["t.owning_organization_guid IS NOT NULL"]),
        }
    }

    /// Those of them the caller may see.
    fn scope(self, call: &Call) -> Scope {
        self.of(call.seen::<DomainRow>())
    }
}

async fn list_all(call: Call) -> Outcome<Json<Value>> {
    call.list::<DomainRow>(Kind::Any.scope(&call)).await
}

async fn list_shared(call: Call) -> Outcome<Json<Value>> {
    call.list::<DomainRow>(Kind::Shared.scope(&call)).await
}

async fn list_private(call: Call) -> Outcome<Json<Value>> {
    call.list::<DomainRow>(Kind::Private.scope(&call)).await
}

/// The domain, if there is one of this kind and the caller may see it.
async fn load(call: &Call, guid: &str, kind: Kind) -> Outcome<DomainRow> {
    let there = kind.of(Scope::all()).and(&["t.guid = ", ""], guid);
    if call.count::<DomainRow>(&there).await? == 0 {
        return Err(fail_with(Code::DomainNotFound, guid));
    }
    call.find_visible(guid, &kind.scope(call), Code::DomainNotFound)
        .await
}

async fn show_any(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    call.show(&load(&call, &guid, Kind::Any).await?).await
}

async fn show_shared(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    call.show(&load(&call, &guid, Kind::Shared).await?).await
}

async fn show_private(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    call.show(&load(&call, &guid, Kind::Private).await?).await
}

/// Unknown keys (`wildcard`) are ignored.
#[derive(Deserialize)]
struct DomainBody {
    name: Option<String>,
    owning_organization_guid: Option<String>,
}

/// 3 to 255 characters, at least two labels of letters, digits and inner dashes. Spelled one way: lower case, without a dot at the end,
/// and what is not ASCII as names are sent over the network (IDNA), so that two spellings of one name are one.
fn check_name(name: &str) -> Result<String, Failure> {
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_name = |name: &String| {
        (3..=255).contains(&name.len()) && name.contains('.') && name.split('.').all(label_ok)
    };
    let sent = name.trim();
    let spelled = match url::Host::parse(sent.strip_suffix('.').unwrap_or(sent)) {
        // The reader takes percent escapes too; nobody writes a name so.
        Ok(url::Host::Domain(name)) if !sent.contains('%') => Some(name),
        // An address is not a name.
        Ok(_) | Err(_) => None,
    };
    spelled.filter(is_name).ok_or_else(|| {
        let excerpt: String = name.chars().take(255).collect();
        fail_with(
            Code::DomainInvalid,
            format!("{excerpt:?} is not a domain name like example.com"),
        )
    })
}

/// What happened to a domain; it is told where its owner sees it, or the borrower.
pub(super) fn event(
    call: &Call,
    kind: &'static str,
    domain: &DomainRow,
    org: Option<&str>,
) -> NewEvent {
    let org = org.or(domain.owning_organization_guid.as_deref());
    let actee = (domain.guid.as_str(), "domain", domain.name.as_str());
    call.event(
        kind,
        actee,
        json!({"request": {"name": domain.name}}),
        (None, org),
    )
}

/// Makes a domain. What its rules depend on is read inside the write: two that exclude each other are not both made.
async fn create(call: &Call, name: String, owner: Option<&OrgRow>) -> Created {
    let mut tx = call.ctl.store.begin().await?;
    if tx.domain_by_name(&name).await?.is_some() {
        return Err(ApiError::with(Code::DomainNameTaken, &name)
            .explain("(Choose another name.)")
            .into());
    }
    check_routes(&mut tx, &name).await?;
    check_neighbours(&mut tx, &name, owner).await?;
    if let Some(org) = owner {
        room::for_domain(&mut tx, org).await?;
    }
    let row = DomainRow {
        guid: bus::ids::guid(),
        name: name.clone(),
        owning_organization_guid: owner.map(|org| org.guid.clone()),
        created_at: tx.now(),
        updated_at: None,
    };
    tx.insert_domain(&row)
        .await
        .map_err(|error| taken(error, Code::DomainNameTaken, &name))?;
    tx.record_event(&event(call, "audit.domain.create", &row, None))
        .await?;
    tx.commit().await?;
    call.created(&row).await
}

async fn create_shared(call: Call, Body(sent): Body<DomainBody>) -> Created {
    call.need(Action::Administer)?;
    let name = check_name(&required(sent.name, "name")?)?;
    create(&call, name, None).await
}

async fn create_private(call: Call, Body(sent): Body<DomainBody>) -> Created {
    let owner = required(sent.owning_organization_guid, "owning_organization_guid")?;
    let org = orgs::visible(&call, &owner).await?;
    call.need(Action::ManageOrg(&owner))?;
    call.need_feature("private_domain_creation").await?;
    let name = check_name(&required(sent.name, "name")?)?;
    create(&call, name, Some(&org)).await
}

/// A domain must not be the whole address of a route.
async fn check_routes(tx: &mut Tx, name: &str) -> Outcome<()> {
    let same = Scope::all().and(&["t.host_key || '.' || d.name_key = ", ""], name);
    let there: Vec<RouteRow> = tx.all(&ROUTES, &same).await?;
    if there.is_empty() {
        return Ok(());
    }
    Err(fail_with(
        Code::DomainInvalid,
        format!("{name} is the address of a route; delete that route first"),
    ))
}

/// A private domain must lie neither below nor above a shared one or another organization's, and a shared one neither below nor above
/// a private one: whoever has the one would answer for hosts of the other.
async fn check_neighbours(tx: &mut Tx, name: &str, owner: Option<&OrgRow>) -> Outcome<()> {
    let foreign = match owner {
        Some(org) => Scope::all().and(
            &[
                "t.owning_organization_guid IS NULL OR t.owning_organization_guid <> ",
                "",
            ],
            &org.guid,
        ),
        None => Scope::all().holding(&["t.owning_organization_guid IS NOT NULL"]),
    };
    let below = |inner: &str, outer: &str| inner.ends_with(&format!(".{outer}"));
    let foreign: Vec<DomainRow> = tx.all(&DOMAINS, &foreign).await?;
    let other = foreign.iter().find(|other| {
        let other = other.name.to_lowercase();
        below(name, &other) || below(&other, name)
    });
    let Some(other) = other else {
        return Ok(());
    };
    let whose = match other.owning_organization_guid {
        None => "is shared by all organizations",
        Some(_) if owner.is_none() => "belongs to an organization",
        Some(_) => "belongs to another organization",
    };
    Err(fail_with(
        Code::DomainInvalid,
        format!(
            "{name} overlaps {}, which {whose}; choose another name",
            other.name
        ),
    ))
}

async fn delete_shared(call: Call, Path(guid): Path<String>) -> Outcome<Deleted> {
    call.need(Action::Administer)?;
    let domain = load(&call, &guid, Kind::Shared).await?;
    delete(&call, &domain).await
}

async fn delete_private(call: Call, Path(guid): Path<String>) -> Outcome<Deleted> {
    let domain = load(&call, &guid, Kind::Private).await?;
    call.need(Action::ManageOrg(owner_of(&domain)))?;
    delete(&call, &domain).await
}

fn owner_of(domain: &DomainRow) -> &str {
    domain
        .owning_organization_guid
        .as_deref()
        .unwrap_or_default()
}

async fn delete(call: &Call, domain: &DomainRow) -> Outcome<Deleted> {
    let routes = Scope::all().and(&["t.domain_guid = ", ""], &domain.guid);
    let routes = call.count::<RouteRow>(&routes).await?;
    call.need_empty(&[("routes", routes)], "domains")?;
    let event = event(call, "audit.domain.delete-request", domain, None);
    remove(&call.ctl, domain, &event).await?;
    call.deleted().await
}

/// Deletes a domain with its routes, and tells running apps the addresses they have left.
pub(super) async fn remove(ctl: &Ctl, domain: &DomainRow, event: &NewEvent) -> Outcome<()> {
    let mut tx = ctl.store.begin().await?;
    let apps = tx.apps_on_domain(&domain.guid).await?;
    tx.delete_domain(&domain.guid).await?;
    tx.record_event(event).await?;
    tx.commit().await?;
    for app in apps {
        conductor::keep_announcing_routes(ctl, app);
    }
    Ok(())
}

/// The domain and the organization it is lent to; both managers must agree.
async fn to_share(call: &Call, org: &str, domain: &str) -> Outcome<(OrgRow, DomainRow)> {
    let org = orgs::visible(call, org).await?;
    let domain = load(call, domain, Kind::Private).await?;
    call.need(Action::ManageOrg(&org.guid))?;
    Ok((org, domain))
}

/// Lends a private domain to an organization; its own owner needs no loan.
pub(super) async fn share(call: Call, Path((org, domain)): Path<(String, String)>) -> Created {
    let (org, domain) = to_share(&call, &org, &domain).await?;
    call.need(Action::ManageOrg(owner_of(&domain)))?;
    if owner_of(&domain) != org.guid {
        let mut tx = call.ctl.store.begin().await?;
        tx.share_domain(&domain.guid, &org.guid).await?;
        let event = event(&call, "audit.domain.share", &domain, Some(&org.guid));
        tx.record_event(&event).await?;
        tx.commit().await?;
    }
    call.created(&org).await
}

/// Ends a loan, unless routes of the borrower still use it.
pub(super) async fn unshare(call: Call, Path((org, domain)): Path<(String, String)>) -> Created {
    let (org, domain) = to_share(&call, &org, &domain).await?;
    if owner_of(&domain) == org.guid {
        return Err(fail_with(
            Code::DomainInvalid,
            format!(
                "{} belongs to this organization; delete it instead",
                domain.name
            ),
        ));
    }
    let used = Scope::all()
        .and(&["t.domain_guid = ", ""], &domain.guid)
        .and(
            &[
                "t.space_guid IN (SELECT guid FROM spaces WHERE organization_guid = ",
                ")",
            ],
            &org.guid,
        );
    let used = call.count::<RouteRow>(&used).await?;
    call.need_empty(&[("routes", used)], "shared domains")?;
    let mut tx = call.ctl.store.begin().await?;
    tx.unshare_domain(&domain.guid, &org.guid).await?;
    let event = event(&call, "audit.domain.unshare", &domain, Some(&org.guid));
    tx.record_event(&event).await?;
    tx.commit().await?;
    call.created(&org).await
}

async fn shared_organizations(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    let domain = load(&call, &guid, Kind::Private).await?;
    let borrowers: &[&str] = &[
        "t.guid IN (SELECT organization_guid FROM domain_shares WHERE domain_guid = ",
        ")",
    ];
    call.list::<OrgRow>(call.seen::<OrgRow>().and(borrowers, domain.guid))
        .await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_domain_has_one_spelling() {
        for (sent, kept) in [
            ("Example.COM", "example.com"),
            ("example.com.", "example.com"),
            (" example.com ", "example.com"),
            ("b\u{fc}cher.example", "xn--bcher-kva.example"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("\u{ff45}xample\u{3002}com", "example.com"),
        ] {
            assert_eq!(check_name(sent).unwrap(), kept, "{sent}");
        }
        let long = format!("{}.example.com", "a".repeat(64));
        let very_long = "a.".repeat(200) + "com";
        for bad in [
            "ab",
            "nodots",
            "a..b.c",
            ".example.com",
            "example.com..",
            "-a.example.com",
            "a-.example.com",
            "under_score.example.com",
            "a b.example.com",
            "a/b.example.com",
            "10.0.0.1",
            "0x7f.1",
            "[::1]",
            "xn--\u{fc}.example",
            "a%2eb.example.com",
            "*.example.com",
            &long,
            &very_long,
        ] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
