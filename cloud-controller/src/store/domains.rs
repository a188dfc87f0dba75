//! Domains: shared ones belong to no organization.

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
        let row =
            sqlx::query("SELECT * FROM domains WHERE name_key = $1").bind(name.to_lowercase());
        optional(row.fetch_optional(&self.reader).await?)
    }
}

impl Tx {
    pub(crate) async fn insert_domain(&mut self, row: &DomainRow) -> Result<(), StoreError> {
        let id = self.next_id().await?;
        sqlx::query(
            "INSERT INTO domains (id, guid, name, name_key, owning_organization_guid, created_at, updated_at) VALUES ($1,$2,$3,$4,$5,$6,NULL)",
        )
        .bind(id)
        .bind(&row.guid)
        .bind(&row.name)
        .bind(row.name.to_lowercase())
        .bind(&row.owning_organization_guid)
        .bind(row.created_at)
        .execute(&mut *self.inner)
        .await?;
        Ok(())
    }

    /// Deletes a domain and the routes on it.
    pub(crate) async fn delete_domain(&mut self, guid: &str) -> Result<(), StoreError> {
        for sql in [
            "DELETE FROM routes WHERE domain_guid = $1",
            "DELETE FROM domains WHERE guid = $1",
        ] {
            sqlx::query(sql)
                .bind(guid)
                .execute(&mut *self.inner)
                .await?;
        }
        Ok(())
    }
}
