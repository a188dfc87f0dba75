//! Security groups: egress rules of containers.

use database::query;

use super::listing::{Column, Table};
use super::record::{many, record};
use super::{Store, StoreError, Tx};

record! {
    /// A row of `security_groups`; `rules` is a JSON array.
    SecurityGroupRow {
        guid: String, name: String, rules: String, running_default: bool, staging_default: bool, created_at: i64, updated_at: Option<i64>,
    }
}

pub(crate) static SECURITY_GROUPS: Table = Table {
    select: "SELECT t.*",
    from: "FROM security_groups t",
    order: "t.id",
    name: Some("t.name_key"),
    filters: &[("name", Column::Name("t.name_key"))],
};

impl Store {
    pub(crate) async fn running_groups(&self) -> Result<Vec<SecurityGroupRow>, StoreError> {
        let sql = "SELECT * FROM security_groups WHERE running_default = TRUE ORDER BY id";
        many(query(sql).fetch_all(self.db.reader()).await?)
    }

    pub(crate) async fn staging_groups(&self) -> Result<Vec<SecurityGroupRow>, StoreError> {
        let sql = "SELECT * FROM security_groups WHERE staging_default = TRUE ORDER BY id";
        many(query(sql).fetch_all(self.db.reader()).await?)
    }
}

impl Tx {
    /// Makes a group that is a default for running and staging, or brings its rules up to date.
    pub(crate) async fn ensure_security_group(
        &mut self,
        name: &str,
        rules: &str,
        running: bool,
        staging: bool,
    ) -> Result<(), StoreError> {
        let id = self.next_id().await?;
        query(
            "INSERT INTO security_groups (id, guid, name, name_key, rules, running_default, staging_default, created_at, updated_at) \
             VALUES ($1,$2,$3,$4,$5,$6,$7,$8,NULL) ON CONFLICT (name_key) DO UPDATE SET rules = $5",
        )
        .bind(id)
        .bind(bus::ids::guid())
        .bind(name)
        .bind(name.to_lowercase())
        .bind(rules)
        .bind(running)
        .bind(staging)
        .bind(self.now)
        .execute(&mut self.inner)
        .await?;
        Ok(())
    }
}
