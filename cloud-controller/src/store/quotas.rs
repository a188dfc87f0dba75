//! Quota definitions of organizations.

use database::query;

use super::listing::{Column, Table};
use super::record::record;
use super::{StoreError, Tx};

record! {
    /// A row of `quota_definitions`. Memory in MB; -1 means no limit where the name says limit.
    QuotaRow {
        guid: String, name: String, non_basic_services_allowed: bool, total_services: i64, total_routes: i64,
        total_private_domains: i64, memory_limit: i64, instance_memory_limit: i64, app_instance_limit: i64,
        created_at: i64, updated_at: Option<i64>,
    }
}

pub(crate) static QUOTAS: Table = Table {
    select: "SELECT t.*",
    from: "FROM quota_definitions t",
    also: "",
    order: "t.id",
    name: Some("t.name_key"),
    filters: &[("name", Column::Name("t.name_key"))],
};

impl Tx {
    /// Inserts or, for a known guid, updates a quota.
    pub(crate) async fn save_quota(&mut self, row: &QuotaRow) -> Result<(), StoreError> {
        let id = self.next_id().await?;
        query(
            "INSERT INTO quota_definitions (id, guid, name, name_key, non_basic_services_allowed, total_services, total_routes, \
             total_private_domains, memory_limit, instance_memory_limit, app_instance_limit, created_at, updated_at) \
             VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,NULL) \
             ON CONFLICT (guid) DO UPDATE SET name = $3, name_key = $4, non_basic_services_allowed = $5, total_services = $6, \
             total_routes = $7, total_private_domains = $8, memory_limit = $9, instance_memory_limit = $10, \
             app_instance_limit = $11, updated_at = $12",
        )
        .bind(id)
        .bind(&row.guid)
        .bind(&row.name)
        .bind(row.name.to_lowercase())
        .bind(row.non_basic_services_allowed)
        .bind(row.total_services)
        .bind(row.total_routes)
        .bind(row.total_private_domains)
        .bind(row.memory_limit)
        .bind(row.instance_memory_limit)
        .bind(row.app_instance_limit)
        .bind(self.now)
        .execute(&mut self.inner)
        .await?;
        Ok(())
    }

    /// Deletes a quota; an organization that has it still refers to it, and the database refuses.
    pub(crate) async fn delete_quota(&mut self, guid: &str) -> Result<(), StoreError> {
        self.run_each(&["DELETE FROM quota_definitions WHERE guid = $1"], guid)
            .await
    }
}
