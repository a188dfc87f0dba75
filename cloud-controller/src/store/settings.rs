//! Feature flags, environment variable groups, leases.

use database::{query, query_scalar};
use serde_json::{Map, Value};

use super::record::{optional, record};
use super::{Store, StoreError, Tx};

record! {
    /// A row of `leases`. `expires_at` is unix microseconds.
    LeaseRow { name: String, holder: String, epoch: i64, expires_at: i64 }
}

impl Store {
    /// Flags somebody set: (enabled, message).
    pub(crate) async fn flag(
        &self,
        name: &str,
    ) -> Result<Option<(bool, Option<String>)>, StoreError> {
        let row =
            query("SELECT enabled, error_message FROM feature_flags WHERE name = $1").bind(name);
        let Some(row) = row.fetch_optional(self.db.reader()).await? else {
            return Ok(None);
        };
        Ok(Some((row.try_get(0)?, row.try_get(1)?)))
    }

    /// An environment variable group: `running` or `staging`.
    pub(crate) async fn env_group(&self, name: &str) -> Result<Map<String, Value>, StoreError> {
        let sealed: Option<String> =
            query_scalar("SELECT vars_sealed FROM env_groups WHERE name = $1")
                .bind(name)
                .fetch_optional(self.db.reader())
                .await?;
        sealed.map_or_else(|| Ok(Map::new()), |sealed| self.unseal(&sealed))
    }

    pub(crate) async fn lease(&self, name: &str) -> Result<Option<LeaseRow>, StoreError> {
        optional(
            query("SELECT * FROM leases WHERE name = $1")
                .bind(name)
                .fetch_optional(self.db.reader())
                .await?,
        )
    }
}

impl Tx {
    pub(crate) async fn set_flag(
        &mut self,
        name: &str,
        enabled: bool,
        message: Option<&str>,
    ) -> Result<(), StoreError> {
        query(
            "INSERT INTO feature_flags (name, enabled, error_message) VALUES ($1,$2,$3) \
             ON CONFLICT (name) DO UPDATE SET enabled = $2, error_message = $3",
        )
        .bind(name)
        .bind(enabled)
        .bind(message)
        .execute(&mut self.inner)
        .await?;
        Ok(())
    }

    /// Writes an already sealed group.
    pub(crate) async fn set_env_group(
        &mut self,
        name: &str,
        sealed: &str,
    ) -> Result<(), StoreError> {
        query("INSERT INTO env_groups (name, vars_sealed) VALUES ($1,$2) ON CONFLICT (name) DO UPDATE SET vars_sealed = $2")
            .bind(name)
            .bind(sealed)
            .execute(&mut self.inner)
            .await?;
        Ok(())
    }

    pub(crate) async fn lease(&mut self, name: &str) -> Result<Option<LeaseRow>, StoreError> {
        optional(
            query("SELECT * FROM leases WHERE name = $1")
                .bind(name)
                .fetch_optional(&mut self.inner)
                .await?,
        )
    }

    pub(crate) async fn save_lease(&mut self, lease: &LeaseRow) -> Result<(), StoreError> {
        query(
            "INSERT INTO leases (name, holder, epoch, expires_at) VALUES ($1,$2,$3,$4) \
             ON CONFLICT (name) DO UPDATE SET holder = $2, epoch = $3, expires_at = $4",
        )
        .bind(&lease.name)
        .bind(&lease.holder)
        .bind(lease.epoch)
        .bind(lease.expires_at)
        .execute(&mut self.inner)
        .await?;
        Ok(())
    }
}
