//! Organizations.

use database::{Executor, query};

use super::listing::{Column, Table};
use super::record::record;
use super::{StoreError, Tx};

record! {
    /// A row of `organizations`.
    OrgRow {
        guid: String, name: String, quota_definition_guid: String, status: String, created_at: i64, updated_at: Option<i64>,
    }
}

/// The part of a role filter up to its user.
macro_rules! with_role {
    ($kind:literal) => {
        Column::Within(concat!(
            "t.guid IN (SELECT target_guid FROM roles WHERE kind = '",
            $kind,
            "' AND user_guid"
        ))
    };
}

pub(crate) static ORGS: Table = Table {
    select: "SELECT t.*",
    from: "FROM organizations t",
    also: "",
    order: "t.id",
    name: Some("t.name_key"),
    filters: &[
        ("name", Column::Name("t.name_key")),
        (
            "space_guid",
            Column::Within("t.guid IN (SELECT organization_guid FROM spaces WHERE guid"),
        ),
        ("user_guid", with_role!("org_user")),
        ("manager_guid", with_role!("org_manager")),
        ("billing_manager_guid", with_role!("org_billing_manager")),
        ("auditor_guid", with_role!("org_auditor")),
        ("status", Column::Text("t.status")),
    ],
};

/// Memory (MB) of all started apps and instances of all apps of an organization, without one app.
pub(super) async fn usage(
    on: impl Executor,
    org: &str,
    without_app: &str,
) -> Result<(i64, i64), StoreError> {
    let row = query(
            "SELECT CAST(COALESCE(SUM(CASE WHEN a.state = 'STARTED' THEN a.memory * p.instances END), 0) AS BIGINT) AS memory, \
             CAST(COALESCE(SUM(p.instances), 0) AS BIGINT) AS instances \
             FROM apps a JOIN processes p ON p.app_guid = a.guid JOIN spaces s ON s.guid = a.space_guid \
             WHERE s.organization_guid = $1 AND a.guid <> $2",
        )
        .bind(org)
        .bind(without_app)
        .fetch_one(on)
        .await?;
    Ok((row.try_get("memory")?, row.try_get("instances")?))
}

impl Tx {
    pub(crate) async fn insert_org(&mut self, row: &OrgRow) -> Result<(), StoreError> {
        let id = self.next_id().await?;
        query(
            "INSERT INTO organizations (id, guid, name, name_key, quota_definition_guid, status, created_at, updated_at) \
             VALUES ($1,$2,$3,$4,$5,$6,$7,NULL)",
        )
        .bind(id)
        .bind(&row.guid)
        .bind(&row.name)
        .bind(row.name.to_lowercase())
        .bind(&row.quota_definition_guid)
        .bind(&row.status)
        .bind(row.created_at)
        .execute(&mut self.inner)
        .await?;
        Ok(())
    }

    pub(crate) async fn update_org(&mut self, row: &OrgRow) -> Result<(), StoreError> {
        query(
            "UPDATE organizations SET name = $2, name_key = $3, quota_definition_guid = $4, status = $5, updated_at = $6 WHERE guid = $1",
        )
        .bind(&row.guid)
        .bind(&row.name)
        .bind(row.name.to_lowercase())
        .bind(&row.quota_definition_guid)
        .bind(&row.status)
        .bind(self.now)
        .execute(&mut self.inner)
        .await?;
        Ok(())
    }

    /// Deletes an organization with its roles, private domains and space quotas; its spaces must be gone.
    pub(crate) async fn delete_org(&mut self, guid: &str) -> Result<(), StoreError> {
        self.run_each(
            &[
                "DELETE FROM space_quota_definitions WHERE organization_guid = $1",
                "DELETE FROM domains WHERE owning_organization_guid = $1",
                "DELETE FROM roles WHERE target_guid = $1",
                "DELETE FROM organizations WHERE guid = $1",
            ],
            guid,
        )
        .await
    }
}
