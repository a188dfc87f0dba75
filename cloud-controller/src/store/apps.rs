//! Apps, joined with their first process (which has the app's guid).

use database::{query, query_scalar};

use super::listing::{Column, Table};
use super::record::{optional, record};
use super::{Store, StoreError, Tx};

record! {
    /// An app with version, instances and droplet of its first process. Memory and disk in MB.
    AppRow {
        guid: String, name: String, space_guid: String, stack_guid: String, production: bool, buildpack: Option<String>,
        detected_buildpack: Option<String>, environment_sealed: String, memory: i64, disk_quota: i64, state: String,
        command: Option<String>, enable_ssh: bool, health_check_type: String, health_check_timeout: Option<i64>,
        health_check_http_endpoint: Option<String>,
        package_state: String, package_hash: Option<String>, package_updated_at: Option<i64>, staging_task_id: Option<String>,
        staging_failed_reason: Option<String>, staging_failed_description: Option<String>, detected_start_command: String,
        created_at: i64, updated_at: Option<i64>,
        version: String, instances: i64, droplet_hash: Option<String>,
    }
}

impl AppRow {
    /// Desired state is STARTED.
    pub(crate) fn is_started(&self) -> bool {
        self.state == "STARTED"
    }

    /// The staging that is under way, if one is.
    pub(crate) fn staging_under_way(&self) -> Option<&str> {
        let task = self.staging_task_id.as_deref();
        task.filter(|_| self.package_state == "PENDING")
    }

    /// A droplet of the current bits exists.
    pub(crate) fn is_staged(&self) -> bool {
        self.package_state == "STAGED" && self.droplet_hash.is_some()
    }
}

pub(crate) static APPS: Table = Table {
    select: "SELECT t.*, p.version, p.instances, p.droplet_hash",
    from: "FROM apps t",
    also: " JOIN processes p ON p.guid = t.guid",
    order: "t.id",
    name: Some("t.name_key"),
    filters: &[
        ("name", Column::Name("t.name_key")),
        ("space_guid", Column::Text("t.space_guid")),
        (
            "organization_guid",
            Column::Within("t.space_guid IN (SELECT guid FROM spaces WHERE organization_guid"),
        ),
        ("stack_guid", Column::Text("t.stack_guid")),
        // No app here is a Diego app: `diego:false` is everything, `diego:true` nothing.
        ("diego", Column::Bool("(1 = 0)")),
    ],
};

const BY_GUID: &str = "SELECT t.*, p.version, p.instances, p.droplet_hash FROM apps t JOIN processes p ON p.guid = t.guid WHERE t.guid = $1";

impl Store {
    pub(crate) async fn app(&self, guid: &str) -> Result<Option<AppRow>, StoreError> {
        optional(
            query(BY_GUID)
                .bind(guid)
                .fetch_optional(self.db.reader())
                .await?,
        )
    }

    /// Organization of an app's space.
    pub(crate) async fn org_of_space(&self, space: &str) -> Result<Option<String>, StoreError> {
        let sql = "SELECT organization_guid FROM spaces WHERE guid = $1";
        Ok(query_scalar(sql)
            .bind(space)
            .fetch_optional(self.db.reader())
            .await?)
    }
}

impl Tx {
    pub(crate) async fn app(&mut self, guid: &str) -> Result<Option<AppRow>, StoreError> {
        optional(
            query(BY_GUID)
                .bind(guid)
                .fetch_optional(&mut self.inner)
                .await?,
        )
    }

    /// Writes an app and its first process; a new guid makes new rows. What the change means for billing is noted with it.
    pub(crate) async fn save_app(&mut self, row: &AppRow) -> Result<(), StoreError> {
        let before = self.app(&row.guid).await?;
        self.note_usage(before.as_ref(), row).await?;
        let id = self.next_id().await?;
        query(
            "INSERT INTO apps (id, guid, name, name_key, space_guid, stack_guid, production, buildpack, detected_buildpack, \
             environment_sealed, memory, disk_quota, state, command, enable_ssh, health_check_type, health_check_timeout, \
             package_state, package_hash, package_updated_at, staging_task_id, staging_failed_reason, staging_failed_description, \
             detected_start_command, created_at, health_check_http_endpoint, updated_at) \
             VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20,$21,$22,$23,$24,$25,$27,NULL) \
             ON CONFLICT (guid) DO UPDATE SET name = $3, name_key = $4, stack_guid = $6, production = $7, buildpack = $8, \
             detected_buildpack = $9, environment_sealed = $10, memory = $11, disk_quota = $12, state = $13, command = $14, \
             enable_ssh = $15, health_check_type = $16, health_check_timeout = $17, package_state = $18, package_hash = $19, \
             package_updated_at = $20, staging_task_id = $21, staging_failed_reason = $22, staging_failed_description = $23, \
             detected_start_command = $24, health_check_http_endpoint = $27, updated_at = $26",
        )
        .bind(id)
        .bind(&row.guid)
        .bind(&row.name)
        .bind(row.name.to_lowercase())
        .bind(&row.space_guid)
        .bind(&row.stack_guid)
        .bind(row.production)
        .bind(&row.buildpack)
        .bind(&row.detected_buildpack)
        .bind(&row.environment_sealed)
        .bind(row.memory)
        .bind(row.disk_quota)
        .bind(&row.state)
        .bind(&row.command)
        .bind(row.enable_ssh)
        .bind(&row.health_check_type)
        .bind(row.health_check_timeout)
        .bind(&row.package_state)
        .bind(&row.package_hash)
        .bind(row.package_updated_at)
        .bind(&row.staging_task_id)
        .bind(&row.staging_failed_reason)
        .bind(&row.staging_failed_description)
        .bind(&row.detected_start_command)
        .bind(row.created_at)
        .bind(self.now)
        .bind(&row.health_check_http_endpoint)
        .execute(&mut self.inner)
        .await?;
        self.save_process(row).await
    }

    async fn save_process(&mut self, row: &AppRow) -> Result<(), StoreError> {
        query(
            "INSERT INTO processes (guid, app_guid, version, instances, droplet_hash, updated_at) VALUES ($1,$1,$2,$3,$4,$5) \
             ON CONFLICT (guid) DO UPDATE SET version = $2, instances = $3, droplet_hash = $4, updated_at = $5",
        )
        .bind(&row.guid)
        .bind(&row.version)
        .bind(row.instances)
        .bind(&row.droplet_hash)
        .bind(self.now)
        .execute(&mut self.inner)
        .await?;
        Ok(())
    }

    /// Deletes an app with processes, mappings, bindings, droplet rows and stagings; its events stay.
    pub(crate) async fn delete_app(&mut self, guid: &str) -> Result<(), StoreError> {
        if let Some(app) = self.app(guid).await?.filter(AppRow::is_started) {
            self.insert_usage("STOPPED", &app).await?;
        }
        self.run_each(
            &[
                "DELETE FROM staging_tasks WHERE app_guid = $1",
                "DELETE FROM droplets WHERE app_guid = $1",
                "DELETE FROM route_mappings WHERE app_guid = $1",
                "DELETE FROM service_bindings WHERE app_guid = $1",
                "DELETE FROM processes WHERE app_guid = $1",
                "DELETE FROM apps WHERE guid = $1",
            ],
            guid,
        )
        .await
    }
}
