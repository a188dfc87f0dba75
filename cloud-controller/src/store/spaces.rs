//! Spaces.

use database::query;

use super::listing::{Column, Table};
use super::record::record;
use super::{StoreError, Tx};

record! {
    /// A row of `spaces`.
    SpaceRow {
        guid: String, name: String, organization_guid: String, space_quota_definition_guid: Option<String>, allow_ssh: bool,
        created_at: i64, updated_at: Option<i64>,
    }
}

pub(crate) static SPACES: Table = Table {
    select: "SELECT t.*",
    from: "FROM spaces t",
    also: "",
    order: "t.id",
    name: Some("t.name_key"),
    filters: &[
        ("name", Column::Name("t.name_key")),
        ("organization_guid", Column::Text("t.organization_guid")),
        (
            "developer_guid",
            Column::Within(
                "t.guid IN (SELECT target_guid FROM roles WHERE kind = 'space_developer' AND user_guid",
            ),
        ),
        (
            "app_guid",
            Column::Within("t.guid IN (SELECT space_guid FROM apps WHERE guid"),
        ),
    ],
};

impl Tx {
    pub(crate) async fn insert_space(&mut self, row: &SpaceRow) -> Result<(), StoreError> {
        let id = self.next_id().await?;
        query(
            "INSERT INTO spaces (id, guid, name, name_key, organization_guid, space_quota_definition_guid, allow_ssh, created_at, updated_at) \
             VALUES ($1,$2,$3,$4,$5,$6,$7,$8,NULL)",
        )
        .bind(id)
        .bind(&row.guid)
        .bind(&row.name)
        .bind(row.name.to_lowercase())
        .bind(&row.organization_guid)
        .bind(&row.space_quota_definition_guid)
        .bind(row.allow_ssh)
        .bind(row.created_at)
        .execute(&mut self.inner)
        .await?;
        Ok(())
    }

    pub(crate) async fn update_space(&mut self, row: &SpaceRow) -> Result<(), StoreError> {
        query(
            "UPDATE spaces SET name = $2, name_key = $3, allow_ssh = $4, space_quota_definition_guid = $5, updated_at = $6 \
             WHERE guid = $1",
        )
        .bind(&row.guid)
        .bind(&row.name)
        .bind(row.name.to_lowercase())
        .bind(row.allow_ssh)
        .bind(&row.space_quota_definition_guid)
        .bind(self.now)
        .execute(&mut self.inner)
        .await?;
        Ok(())
    }

    /// Deletes a space with its roles, routes and services; its apps must be gone.
    pub(crate) async fn delete_space(&mut self, guid: &str) -> Result<(), StoreError> {
        self.run_each(
            &[
                "DELETE FROM service_bindings WHERE service_instance_guid IN \
                 (SELECT guid FROM service_instances WHERE space_guid = $1)",
                "DELETE FROM service_instances WHERE space_guid = $1",
                "DELETE FROM routes WHERE space_guid = $1",
                "DELETE FROM roles WHERE target_guid = $1",
                "DELETE FROM resource_owners WHERE space_guid = $1",
                "DELETE FROM spaces WHERE guid = $1",
            ],
            guid,
        )
        .await
    }
}
