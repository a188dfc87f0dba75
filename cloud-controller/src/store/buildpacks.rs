//! Admin buildpacks, tried in position order.

use database::{query, query_scalar};

use super::listing::{Column, Table};
use super::record::{many, optional, record};
use super::{Store, StoreError, Tx};

record! {
    /// A row of `buildpacks`. Without `sha1` no bits were uploaded yet.
    BuildpackRow {
        guid: String, name: String, position: i64, enabled: bool, locked: bool, filename: Option<String>,
        sha1: Option<String>, created_at: i64, updated_at: Option<i64>,
    }
}

pub(crate) static BUILDPACKS: Table = Table {
    select: "SELECT t.*",
    from: "FROM buildpacks t",
    also: "",
    order: "t.position",
    name: Some("t.name_key"),
    filters: &[("name", Column::Name("t.name_key"))],
};

impl Store {
    /// Enabled buildpacks that have bits, in position order.
    pub(crate) async fn usable_buildpacks(&self) -> Result<Vec<BuildpackRow>, StoreError> {
        let sql = "SELECT * FROM buildpacks WHERE enabled = TRUE AND sha1 IS NOT NULL ORDER BY position, id";
        many(query(sql).fetch_all(self.db.reader()).await?)
    }

    pub(crate) async fn buildpack_by_name(
        &self,
        name: &str,
    ) -> Result<Option<BuildpackRow>, StoreError> {
        let row = query("SELECT * FROM buildpacks WHERE name_key = $1").bind(name.to_lowercase());
        optional(row.fetch_optional(self.db.reader()).await?)
    }
}

impl Tx {
    /// Inserts a buildpack, or updates the one with its guid, and shifts the others so that positions are 1, 2, 3 ….
    pub(crate) async fn save_buildpack(&mut self, row: &BuildpackRow) -> Result<(), StoreError> {
        let id = self.next_id().await?;
        query(
            "INSERT INTO buildpacks (id, guid, name, name_key, position, enabled, locked, filename, sha1, created_at, updated_at) \
             VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,NULL) \
             ON CONFLICT (guid) DO UPDATE SET name = $3, name_key = $4, position = $5, enabled = $6, locked = $7, \
             filename = $8, sha1 = $9, updated_at = $10",
        )
        .bind(id)
        .bind(&row.guid)
        .bind(&row.name)
        .bind(row.name.to_lowercase())
        .bind(row.position)
        .bind(row.enabled)
        .bind(row.locked)
        .bind(&row.filename)
        .bind(&row.sha1)
        .bind(self.now)
        .execute(&mut self.inner)
        .await?;
        self.renumber_buildpacks(&row.guid, row.position).await
    }

    pub(crate) async fn delete_buildpack(&mut self, guid: &str) -> Result<(), StoreError> {
        query("DELETE FROM buildpacks WHERE guid = $1")
            .bind(guid)
            .execute(&mut self.inner)
            .await?;
        self.renumber_buildpacks("", 0).await
    }

    async fn renumber_buildpacks(&mut self, moved: &str, wanted: i64) -> Result<(), StoreError> {
        let others: Vec<String> =
            query_scalar("SELECT guid FROM buildpacks WHERE guid <> $1 ORDER BY position, id")
                .bind(moved)
                .fetch_all(&mut self.inner)
                .await?;
        let mut order = others;
        if !moved.is_empty() {
            let at = usize::try_from(wanted - 1).unwrap_or(0).min(order.len());
            order.insert(at, moved.to_owned());
        }
        for (at, guid) in order.iter().enumerate() {
            query("UPDATE buildpacks SET position = $2 WHERE guid = $1")
                .bind(guid)
                .bind(at as i64 + 1)
                .execute(&mut self.inner)
                .await?;
        }
        Ok(())
    }
}
