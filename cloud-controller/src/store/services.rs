//! Service instances and their bindings to apps.

use database::query;

use super::listing::{Column, Table};
use super::record::{many, record};
use super::{BINDINGS_OF_APP, Store, StoreError, Tx};

/// The kind of an instance whose credentials a user gave.
pub(crate) const USER_PROVIDED: &str = "user_provided";

record! {
    /// A row of `service_instances`. Tags are a JSON array.
    ServiceRow {
        guid: String, kind: String, name: String, space_guid: String, credentials_sealed: String,
        syslog_drain_sealed: Option<String>, tags: String, created_at: i64, updated_at: Option<i64>,
    }
}

record! {
    /// A row of `service_bindings` with its instance: credentials are the instance's own, so that an update reaches every binding.
    BindingRow {
        guid: String, app_guid: String, service_instance_guid: String, instance_name: String, kind: String, space_guid: String,
        credentials_sealed: String, syslog_drain_sealed: Option<String>, tags: String, created_at: i64, updated_at: Option<i64>,
    }
}

record! {
    /// A drain of a bound app; `app_id` is the app's place in the default order.
    DrainRow { app_id: i64, app_guid: String, syslog_drain_sealed: String }
}

/// A key clients may filter by, of something that does not exist here: only the empty value matches.
const NEVER: Column = Column::Text("''");

pub(crate) static SERVICES: Table = Table {
    select: "SELECT t.*",
    from: "FROM service_instances t",
    also: "",
    order: "t.id",
    name: Some("t.name_key"),
    filters: &[
        ("name", Column::Name("t.name_key")),
        ("space_guid", Column::Text("t.space_guid")),
        (
            "organization_guid",
            Column::Within("t.space_guid IN (SELECT guid FROM spaces WHERE organization_guid"),
        ),
        (
            "service_binding_guid",
            Column::Within(
                "t.guid IN (SELECT service_instance_guid FROM service_bindings WHERE guid",
            ),
        ),
        ("service_plan_guid", NEVER),
        ("service_key_guid", NEVER),
        ("gateway_name", NEVER),
    ],
};

pub(crate) static BINDINGS: Table = Table {
    select: "SELECT t.*, i.name AS instance_name, i.kind, i.space_guid, i.credentials_sealed, i.syslog_drain_sealed, i.tags",
    from: "FROM service_bindings t JOIN service_instances i ON i.guid = t.service_instance_guid",
    also: "",
    order: "t.id",
    name: None,
    filters: &[
        ("app_guid", Column::Text("t.app_guid")),
        (
            "service_instance_guid",
            Column::Text("t.service_instance_guid"),
        ),
    ],
};

impl Store {
    /// What an app is bound to, oldest first: the order of `VCAP_SERVICES`.
    pub(crate) async fn bindings_of(&self, app: &str) -> Result<Vec<BindingRow>, StoreError> {
        self.all(&BINDINGS, &BINDINGS_OF_APP.of(app)).await
    }

    /// Drains of the next `limit` apps that have any, after the app with this place in the default order.
    pub(crate) async fn drains(&self, after: i64, limit: i64) -> Result<Vec<DrainRow>, StoreError> {
        let rows = query(
            "SELECT a.id AS app_id, b.app_guid, i.syslog_drain_sealed FROM service_bindings b \
             JOIN service_instances i ON i.guid = b.service_instance_guid JOIN apps a ON a.guid = b.app_guid \
             WHERE i.syslog_drain_sealed IS NOT NULL AND a.id IN (SELECT DISTINCT x.id FROM apps x \
             JOIN service_bindings y ON y.app_guid = x.guid JOIN service_instances z ON z.guid = y.service_instance_guid \
             WHERE z.syslog_drain_sealed IS NOT NULL AND x.id > $1 ORDER BY x.id LIMIT $2) ORDER BY a.id, b.id",
        )
        .bind(after)
        .bind(limit)
        .fetch_all(self.db.reader())
        .await?;
        many(rows)
    }
}

impl Tx {
    /// Inserts an instance, or updates the one with its guid.
    pub(crate) async fn save_service(&mut self, row: &ServiceRow) -> Result<(), StoreError> {
        let id = self.next_id().await?;
        query(
            "INSERT INTO service_instances (id, guid, kind, name, name_key, space_guid, credentials_sealed, syslog_drain_sealed, \
             tags, created_at, updated_at) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,NULL) \
             ON CONFLICT (guid) DO UPDATE SET name = $4, name_key = $5, credentials_sealed = $7, syslog_drain_sealed = $8, \
             tags = $9, updated_at = $10",
        )
        .bind(id)
        .bind(&row.guid)
        .bind(&row.kind)
        .bind(&row.name)
        .bind(row.name.to_lowercase())
        .bind(&row.space_guid)
        .bind(&row.credentials_sealed)
        .bind(&row.syslog_drain_sealed)
        .bind(&row.tags)
        .bind(self.now)
        .execute(&mut self.inner)
        .await?;
        Ok(())
    }

    /// Deletes an instance with its bindings.
    pub(crate) async fn delete_service(&mut self, guid: &str) -> Result<(), StoreError> {
        self.run_each(
            &[
                "DELETE FROM service_bindings WHERE service_instance_guid = $1",
                "DELETE FROM service_instances WHERE guid = $1",
            ],
            guid,
        )
        .await
    }

    pub(crate) async fn insert_binding(
        &mut self,
        guid: &str,
        app: &str,
        instance: &str,
    ) -> Result<(), StoreError> {
        let id = self.next_id().await?;
        query(
            "INSERT INTO service_bindings (id, guid, app_guid, service_instance_guid, created_at, updated_at) VALUES ($1,$2,$3,$4,$5,NULL)",
        )
        .bind(id)
        .bind(guid)
        .bind(app)
        .bind(instance)
        .bind(self.now)
        .execute(&mut self.inner)
        .await?;
        Ok(())
    }

    pub(crate) async fn delete_binding(&mut self, guid: &str) -> Result<(), StoreError> {
        self.run_each(&["DELETE FROM service_bindings WHERE guid = $1"], guid)
            .await
    }
}
