//! Quota definitions of spaces; each belongs to an organization.

use database::{Executor, query};

use super::listing::{Column, Table};
use super::record::record;
use super::{StoreError, Tx};

record! {
    /// A row of `space_quota_definitions`. Memory in MB; -1 means no limit.
    SpaceQuotaRow {
        guid: String, name: String, organization_guid: String, non_basic_services_allowed: bool, total_services: i64,
        total_routes: i64, memory_limit: i64, instance_memory_limit: i64, app_instance_limit: i64, created_at: i64,
        updated_at: Option<i64>,
    }
}

pub(crate) static SPACE_QUOTAS: Table = Table {
    select: "SELECT t.*",
    from: "FROM space_quota_definitions t",
    also: "",
    order: "t.id",
    name: Some("t.name_key"),
    filters: &[
        ("name", Column::Name("t.name_key")),
        ("organization_guid", Column::Text("t.organization_guid")),
    ],
};

/// Memory (MB) of all started apps and instances of all apps of a space, without one app.
pub(super) async fn usage(
    on: impl Executor,
    space: &str,
    without_app: &str,
) -> Result<(i64, i64), StoreError> {
    let row = query(
        "SELECT CAST(COALESCE(SUM(CASE WHEN a.state = 'STARTED' THEN a.memory * p.instances END), 0) AS BIGINT) AS memory, \
             CAST(COALESCE(SUM(p.instances), 0) AS BIGINT) AS instances \
             FROM apps a JOIN processes p ON p.app_guid = a.guid \
             WHERE a.space_guid = $1 AND a.guid <> $2",
    )
    .bind(space)
    .bind(without_app)
    .fetch_one(on)
    .await?;
    Ok((row.try_get("memory")?, row.try_get("instances")?))
}

impl Tx {
    /// Inserts or, for a known guid, updates a space quota.
    pub(crate) async fn save_space_quota(&mut self, row: &SpaceQuotaRow) -> Result<(), StoreError> {
        let id = self.next_id().await?;
        query(
            "INSERT INTO space_quota_definitions (id, guid, name, name_key, organization_guid, non_basic_services_allowed, \
             total_services, total_routes, memory_limit, instance_memory_limit, app_instance_limit, created_at, updated_at) \
             VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,NULL) \
             ON CONFLICT (guid) DO UPDATE SET name = $3, name_key = $4, non_basic_services_allowed = $6, total_services = $7, \
             total_routes = $8, memory_limit = $9, instance_memory_limit = $10, app_instance_limit = $11, updated_at = $12",
        )
        .bind(id)
        .bind(&row.guid)
        .bind(&row.name)
        .bind(row.name.to_lowercase())
        .bind(&row.organization_guid)
        .bind(row.non_basic_services_allowed)
        .bind(row.total_services)
        .bind(row.total_routes)
        .bind(row.memory_limit)
        .bind(row.instance_memory_limit)
        .bind(row.app_instance_limit)
        .bind(self.now)
        .execute(&mut self.inner)
        .await?;
        Ok(())
    }

    /// Deletes a space quota; its spaces are without one afterwards.
    pub(crate) async fn delete_space_quota(&mut self, guid: &str) -> Result<(), StoreError> {
        self.run_each(
            &[
                "UPDATE spaces SET space_quota_definition_guid = NULL WHERE space_quota_definition_guid = $1",
                "DELETE FROM space_quota_definitions WHERE guid = $1",
            ],
            guid,
        )
        .await
    }
}
