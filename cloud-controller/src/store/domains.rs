//! Domains: shared ones belong to no organization.

use database::{Executor, query, query_scalar};

use super::listing::{Column, Table};
use super::record::{optional, record};
use super::{Store, StoreError, Tx};

record! {
    /// A row of `domains`.
    DomainRow {
        guid: String, name: String, owning_organization_guid: Option<String>, created_at: i64, updated_at: Option<i64>,
    }
}

pub(crate) static DOMAINS: Table = Table {
    select: "SELECT t.*",
    from: "FROM domains t",
    also: "",
    order: "t.id",
    name: Some("t.name_key"),
    filters: &[
        ("name", Column::Name("t.name_key")),
        (
            "owning_organization_guid",
            Column::Text("t.owning_organization_guid"),
        ),
        (
            "space_guid",
            Column::Within(
                "t.owning_organization_guid IN (SELECT organization_guid FROM spaces WHERE guid",
            ),
        ),
    ],
};

impl Store {
    pub(crate) async fn domain_by_name(&self, name: &str) -> Result<Option<DomainRow>, StoreError> {
        by_name(self.db.reader(), name).await
    }
}

pub(super) async fn by_name(
    on: impl Executor,
    name: &str,
) -> Result<Option<DomainRow>, StoreError> {
    let row = query("SELECT * FROM domains WHERE name_key = $1").bind(name.to_lowercase());
    optional(row.fetch_optional(on).await?)
}

impl Tx {
    pub(crate) async fn insert_domain(&mut self, row: &DomainRow) -> Result<(), StoreError> {
        let id = self.next_id().await?;
        query(
            "INSERT INTO domains (id, guid, name, name_key, owning_organization_guid, created_at, updated_at) VALUES ($1,$2,$3,$4,$5,$6,NULL)",
        )
        .bind(id)
        .bind(&row.guid)
        .bind(&row.name)
        .bind(row.name.to_lowercase())
        .bind(&row.owning_organization_guid)
        .bind(row.created_at)
        .execute(&mut self.inner)
        .await?;
        Ok(())
    }

    /// Apps with a route on a domain.
    pub(crate) async fn apps_on_domain(&mut self, domain: &str) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT DISTINCT m.app_guid FROM route_mappings m JOIN routes r ON r.guid = m.route_guid WHERE r.domain_guid = $1";
        Ok(query_scalar(sql)
            .bind(domain)
            .fetch_all(&mut self.inner)
            .await?)
    }

    /// Lends a private domain to an organization.
    pub(crate) async fn share_domain(&mut self, domain: &str, org: &str) -> Result<(), StoreError> {
        self.run_pair(
            "INSERT INTO domain_shares (domain_guid, organization_guid) VALUES ($1,$2) ON CONFLICT DO NOTHING",
            domain,
            org,
        )
        .await
    }

    pub(crate) async fn unshare_domain(
        &mut self,
        domain: &str,
        org: &str,
    ) -> Result<(), StoreError> {
        self.run_pair(
            "DELETE FROM domain_shares WHERE domain_guid = $1 AND organization_guid = $2",
            domain,
            org,
        )
        .await
    }

    /// Deletes a domain and the routes on it.
    pub(crate) async fn delete_domain(&mut self, guid: &str) -> Result<(), StoreError> {
        self.run_each(
            &[
                "DELETE FROM routes WHERE domain_guid = $1",
                "DELETE FROM domains WHERE guid = $1",
            ],
            guid,
        )
        .await
    }
}
