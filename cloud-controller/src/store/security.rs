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
    also: "",
    order: "t.id",
    name: Some("t.name_key"),
    filters: &[("name", Column::Name("t.name_key"))],
};

/// Which containers a default is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GroupDefault {
    Running,
    Staging,
}

impl GroupDefault {
    /// The word in events.
    pub(crate) fn word(self) -> &'static str {
        match self {
            GroupDefault::Running => "running",
            GroupDefault::Staging => "staging",
        }
    }
}

impl Store {
    /// Groups that hold for running containers of a space: the defaults, and its own.
    pub(crate) async fn running_groups(
        &self,
        space: &str,
    ) -> Result<Vec<SecurityGroupRow>, StoreError> {
        let sql = "SELECT * FROM security_groups WHERE running_default = TRUE OR guid IN \
                   (SELECT group_guid FROM security_group_spaces WHERE space_guid = $1) ORDER BY id";
        many(query(sql).bind(space).fetch_all(self.db.reader()).await?)
    }

    pub(crate) async fn staging_groups(&self) -> Result<Vec<SecurityGroupRow>, StoreError> {
        let sql = "SELECT * FROM security_groups WHERE staging_default = TRUE ORDER BY id";
        many(query(sql).fetch_all(self.db.reader()).await?)
    }
}

impl Tx {
    /// Makes a group that is a default for running and staging, unless there is one of its name: what an operator made of it stays.
    /// With `refresh` the rules of an existing one are brought up to date.
    pub(crate) async fn ensure_security_group(
        &mut self,
        name: &str,
        rules: &str,
        refresh: bool,
    ) -> Result<(), StoreError> {
        let id = self.next_id().await?;
        let sql = if refresh {
            "INSERT INTO security_groups (id, guid, name, name_key, rules, running_default, staging_default, created_at, updated_at) \
             VALUES ($1,$2,$3,$4,$5,TRUE,TRUE,$6,NULL) ON CONFLICT (name_key) DO UPDATE SET rules = $5"
        } else {
            "INSERT INTO security_groups (id, guid, name, name_key, rules, running_default, staging_default, created_at, updated_at) \
             VALUES ($1,$2,$3,$4,$5,TRUE,TRUE,$6,NULL) ON CONFLICT (name_key) DO NOTHING"
        };
        query(sql)
            .bind(id)
            .bind(bus::ids::guid())
            .bind(name)
            .bind(name.to_lowercase())
            .bind(rules)
            .bind(self.now)
            .execute(&mut self.inner)
            .await?;
        Ok(())
    }

    /// Puts other rules in the place of what an earlier version made, unless somebody has changed them.
    pub(crate) async fn renew_security_group(
        &mut self,
        name: &str,
        old: &str,
        rules: &str,
    ) -> Result<(), StoreError> {
        query("UPDATE security_groups SET rules = $3 WHERE name_key = $1 AND rules = $2")
            .bind(name)
            .bind(old)
            .bind(rules)
            .execute(&mut self.inner)
            .await?;
        Ok(())
    }

    /// Inserts a group, or changes name and rules of the one with its guid.
    pub(crate) async fn save_security_group(
        &mut self,
        row: &SecurityGroupRow,
    ) -> Result<(), StoreError> {
        let id = self.next_id().await?;
        query(
            "INSERT INTO security_groups (id, guid, name, name_key, rules, running_default, staging_default, created_at, updated_at) \
             VALUES ($1,$2,$3,$4,$5,FALSE,FALSE,$6,NULL) \
             ON CONFLICT (guid) DO UPDATE SET name = $3, name_key = $4, rules = $5, updated_at = $6",
        )
        .bind(id)
        .bind(&row.guid)
        .bind(&row.name)
        .bind(row.name.to_lowercase())
        .bind(&row.rules)
        .bind(self.now)
        .execute(&mut self.inner)
        .await?;
        Ok(())
    }

    pub(crate) async fn set_group_default(
        &mut self,
        guid: &str,
        kind: GroupDefault,
        on: bool,
    ) -> Result<(), StoreError> {
        let sql = match kind {
            GroupDefault::Running => {
                "UPDATE security_groups SET running_default = $2 WHERE guid = $1"
            }
            GroupDefault::Staging => {
                "UPDATE security_groups SET staging_default = $2 WHERE guid = $1"
            }
        };
        query(sql)
            .bind(guid)
            .bind(on)
            .execute(&mut self.inner)
            .await?;
        Ok(())
    }

    /// Makes a group hold in a space.
    pub(crate) async fn bind_group(&mut self, group: &str, space: &str) -> Result<(), StoreError> {
        let sql = "INSERT INTO security_group_spaces (group_guid, space_guid) VALUES ($1,$2) ON CONFLICT DO NOTHING";
        self.run_pair(sql, group, space).await
    }

    pub(crate) async fn unbind_group(
        &mut self,
        group: &str,
        space: &str,
    ) -> Result<(), StoreError> {
        let sql = "DELETE FROM security_group_spaces WHERE group_guid = $1 AND space_guid = $2";
        self.run_pair(sql, group, space).await
    }

    pub(crate) async fn delete_security_group(&mut self, guid: &str) -> Result<(), StoreError> {
        self.run_each(
            &[
                "DELETE FROM security_group_spaces WHERE group_guid = $1",
                "DELETE FROM security_groups WHERE guid = $1",
            ],
            guid,
        )
        .await
    }
}
