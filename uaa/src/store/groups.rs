//! Groups: a user's stand with the user; here are those that were made, with or without members.

use database::{query, query_scalar};

use super::{Store, StoreError, Whose, revocations};

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

    /// Takes a user into a group or out of it; false when there is no such user. Read and written in one: of two changes at once
    /// neither is lost. Whoever is taken out loses the access tokens that say otherwise; a refresh gives one without the scope.
    pub(crate) async fn change_membership(
        &self,
        id: &str,
        group: &str,
        member: bool,
    ) -> Result<bool, StoreError> {
        let mut tx = self.db.begin().await?;
        let kept: Option<String> = query_scalar("SELECT groups_list FROM uaa_users WHERE id = $1")
            .bind(id)
            .fetch_optional(&mut tx)
            .await?;
        let Some(kept) = kept else { return Ok(false) };
        let mut groups: Vec<&str> = kept.split_whitespace().collect();
        let was_member = groups.contains(&group);
        groups.retain(|known| *known != group);
        if member {
            groups.push(group);
        }
        query("UPDATE uaa_users SET groups_list = $2 WHERE id = $1")
            .bind(id)
            .bind(groups.join(" "))
            .execute(&mut tx)
            .await?;
        if was_member && !member {
            revocations::begin_next(&mut tx, Whose::User, id).await?;
        }
        tx.commit().await?;
        Ok(true)
    }
}
