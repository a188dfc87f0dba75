//! Signing keys.

use sqlx::Row as _;

use super::{Store, StoreError};

impl Store {
    /// All keys as `(kid, base64 of PKCS#8)`, newest first.
    pub(crate) async fn keys(&self) -> Result<Vec<(String, String)>, StoreError> {
        let rows = sqlx::query("SELECT kid, pkcs8 FROM uaa_keys ORDER BY created_at DESC, kid")
            .fetch_all(&self.writer)
            .await?;
        rows.iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect()
    }

    /// Keeps a key unless there is one already (another controller was faster).
    pub(crate) async fn insert_first_key(
        &self,
        kid: &str,
        pkcs8: &str,
        now: i64,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO uaa_keys (kid, pkcs8, created_at) \
             SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT 1 FROM uaa_keys)",
        )
        .bind(kid)
        .bind(pkcs8)
        .bind(now)
        .execute(&self.writer)
        .await?;
        Ok(())
    }
}
