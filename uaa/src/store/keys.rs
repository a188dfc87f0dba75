//! Signing keys: sealed with the key of the database's owner.

use database::query;

use super::{Store, StoreError};

/// What stands before a sealed key; without it a key is in clear, as all were once.
const SEALED: &str = "sealed:";

impl Store {
    /// All keys as `(kid, base64 of PKCS#8)`, newest first.
    pub(crate) async fn keys(&self) -> Result<Vec<(String, String)>, StoreError> {
        let rows = query("SELECT kid, pkcs8 FROM uaa_keys ORDER BY created_at DESC, kid")
            .fetch_all(self.db.reader())
            .await?;
        rows.iter()
            .map(|row| {
                let kept: String = row.try_get(1)?;
                Ok((row.try_get(0)?, self.open_key(&kept)?))
            })
            .collect()
    }

    /// Seals keys that lie in clear.
    pub(crate) async fn seal_keys(&self) -> Result<(), StoreError> {
        let rows = query("SELECT kid, pkcs8 FROM uaa_keys")
            .fetch_all(self.db.reader())
            .await?;
        for row in rows {
            let (kid, kept): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            if kept.starts_with(SEALED) {
                continue;
            }
            let update = query("UPDATE uaa_keys SET pkcs8 = $2 WHERE kid = $1")
                .bind(kid)
                .bind(self.seal_key(&kept)?);
            self.db.write(update).await?;
        }
        Ok(())
    }

    fn open_key(&self, kept: &str) -> Result<String, StoreError> {
        match kept.strip_prefix(SEALED) {
            None => Ok(kept.to_owned()),
            Some(sealed) => self.seal.open(sealed).map_err(StoreError::Seal),
        }
    }

    fn seal_key(&self, clear: &str) -> Result<String, StoreError> {
        let sealed = self.seal.seal(clear).map_err(StoreError::Seal)?;
        Ok(format!("{SEALED}{sealed}"))
    }

    /// Keeps a key unless there is one already (another controller was faster).
    pub(crate) async fn insert_first_key(
        &self,
        kid: &str,
        pkcs8: &str,
        now: i64,
    ) -> Result<(), StoreError> {
        let insert = query(
            "INSERT INTO uaa_keys (kid, pkcs8, created_at) \
             SELECT $1, $2, $3 WHERE NOT EXISTS (SELECT 1 FROM uaa_keys)",
        )
        .bind(kid)
        .bind(self.seal_key(pkcs8)?)
        .bind(now);
        self.db.write(insert).await?;
        Ok(())
    }

    /// Keeps a key that signs from now on, and forgets those that were replaced longer ago than any of their tokens lives.
    pub(crate) async fn insert_key(
        &self,
        kid: &str,
        pkcs8: &str,
        now: i64,
        lifetime: i64,
    ) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        query("INSERT INTO uaa_keys (kid, pkcs8, created_at) VALUES ($1,$2,$3)")
            .bind(kid)
            .bind(self.seal_key(pkcs8)?)
            .bind(now)
            .execute(&mut tx)
            .await?;
        query(
            "DELETE FROM uaa_keys WHERE created_at < (SELECT MAX(created_at) FROM uaa_keys WHERE created_at < $1)",
        )
        .bind(now - lifetime)
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }
}
