//! Groups: a user's stand with the user; here are those that were made, with or without members.

use database::query;

use super::{Store, StoreError};

impl Store {
    /// Names of the groups somebody made.
    pub(crate) async fn made_groups(&self) -> Result<Vec<String>, StoreError> {
        let rows = query("SELECT name FROM uaa_groups ORDER BY name")
            .fetch_all(self.db.reader())
            .await?;
        let name = |row: &database::Row| Ok(row.try_get(0)?);
        rows.iter().map(name).collect()
    }

    pub(crate) async fn insert_group(&self, name: &str, now: i64) -> Result<(), StoreError> {
        let insert = query("INSERT INTO uaa_groups (name, created_at) VALUES ($1,$2)");
        self.db.write(insert.bind(name).bind(now)).await?;
        Ok(())
    }

    pub(crate) async fn delete_group(&self, name: &str) -> Result<(), StoreError> {
        let delete = query("DELETE FROM uaa_groups WHERE name = $1");
        self.db.write(delete.bind(name)).await?;
        Ok(())
    }

    /// Writes the groups of a user.
    pub(crate) async fn set_groups(&self, id: &str, groups: &[String]) -> Result<(), StoreError> {
        let update = query("UPDATE uaa_users SET groups_list = $2 WHERE id = $1");
        self.db
            .write(update.bind(id).bind(groups.join(" ")))
            .await?;
        Ok(())
    }
}
