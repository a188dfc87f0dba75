//! Rows the claims begin with.

use crate::store::{AppRow, DomainRow, OrgRow, QuotaRow, RouteRow, SpaceRow, Store};

/// Guids of what [`seed`] made.
pub(super) const ORG: &str = "org-guid";
pub(super) const SPACE: &str = "space-guid";
pub(super) const DOMAIN: &str = "domain-guid";
const QUOTA: &str = "quota-guid";
const STACK: &str = "stack-guid";

pub(super) fn quota(name: &str) -> QuotaRow {
    QuotaRow {
        guid: format!("{name}-guid"),
        name: name.into(),
        non_basic_services_allowed: true,
        total_services: 10,
        total_routes: 10,
        total_private_domains: -1,
        memory_limit: 1_000,
        instance_memory_limit: -1,
        app_instance_limit: -1,
        created_at: 0,
        updated_at: None,
    }
}

pub(super) fn org(name: &str) -> OrgRow {
    OrgRow {
        guid: format!("{name}-guid"),
        name: name.into(),
        quota_definition_guid: QUOTA.into(),
        status: "active".into(),
        created_at: 0,
        updated_at: None,
    }
}

pub(super) fn space(name: &str) -> SpaceRow {
    SpaceRow {
        guid: format!("{name}-guid"),
        name: name.into(),
        organization_guid: ORG.into(),
        space_quota_definition_guid: None,
        allow_ssh: true,
        created_at: 0,
        updated_at: None,
    }
}

pub(super) fn route(host: &str) -> RouteRow {
    RouteRow {
        guid: format!("{host}-route"),
        host: host.into(),
        path: String::new(),
        domain_guid: DOMAIN.into(),
        domain_name: "apps.example.com".into(),
        space_guid: SPACE.into(),
        created_at: 0,
        updated_at: None,
    }
}

/// A started app of one instance with 10 MB.
pub(super) fn app(name: &str) -> AppRow {
    AppRow {
        guid: format!("{name}-app"),
        name: name.into(),
        space_guid: SPACE.into(),
        stack_guid: STACK.into(),
        memory: 10,
        ..crate::runner::tests::app("STARTED", "STAGED", 1)
    }
}

/// A quota, an organization, a space, a stack, a domain.
pub(super) async fn seed(store: &Store) {
    let mut tx = store.begin().await.unwrap();
    tx.save_quota(&quota("quota")).await.unwrap();
    tx.ensure_stack(STACK, "host", "").await.unwrap();
    tx.insert_org(&org("org")).await.unwrap();
    tx.insert_space(&space("space")).await.unwrap();
    let domain = DomainRow {
        guid: DOMAIN.into(),
        name: "apps.example.com".into(),
        owning_organization_guid: None,
        created_at: 0,
        updated_at: None,
    };
    tx.insert_domain(&domain).await.unwrap();
    tx.commit().await.unwrap();
}

/// Apps by name, each in a write of its own.
pub(super) async fn add_apps(store: &Store, names: &[&str]) {
    for name in names {
        let mut tx = store.begin().await.unwrap();
        tx.save_app(&app(name)).await.unwrap();
        tx.commit().await.unwrap();
    }
}
