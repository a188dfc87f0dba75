//! Refresh tokens. Only hashes are kept. Each use replaces the token; a family is all that came from one login.

use database::query;

use super::{Store, StoreError};

/// A row of `uaa_refresh_tokens`.
#[derive(Debug, Clone)]
pub(crate) struct RefreshRow {
    pub(crate) token_hash: String,
    pub(crate) family: String,
    pub(crate) user_id: String,
    pub(crate) client_id: String,
    pub(crate) scope: String,
    pub(crate) expires_at: i64,
    pub(crate) used_at: Option<i64>,
}

impl Store {
    pub(crate) async fn refresh_token(&self, hash: &str) -> Result<Option<RefreshRow>, StoreError> {
        let row = query("SELECT * FROM uaa_refresh_tokens WHERE token_hash = $1")
            .bind(hash)
            .fetch_optional(self.db.reader())
            .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(RefreshRow {
            token_hash: row.try_get("token_hash")?,
            family: row.try_get("family")?,
            user_id: row.try_get("user_id")?,
            client_id: row.try_get("client_id")?,
            scope: row.try_get("scope")?,
            expires_at: row.try_get("expires_at")?,
            used_at: row.try_get("used_at")?,
        }))
    }

    /// Keeps a new token, marks the one it replaces as used, and forgets expired ones.
    pub(crate) async fn rotate_refresh(
        &self,
        new: &RefreshRow,
        replaces: Option<&str>,
        now: i64,
    ) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        query("DELETE FROM uaa_refresh_tokens WHERE expires_at < $1")
            .bind(now)
            .execute(&mut tx)
            .await?;
        if let Some(old) = replaces {
            query("UPDATE uaa_refresh_tokens SET used_at = $2 WHERE token_hash = $1 AND used_at IS NULL")
                .bind(old)
                .bind(now)
                .execute(&mut tx)
                .await?;
        }
        query(
            "INSERT INTO uaa_refresh_tokens (token_hash, family, user_id, client_id, scope, expires_at, used_at) \
             VALUES ($1,$2,$3,$4,$5,$6,NULL)",
        )
        .bind(&new.token_hash)
        .bind(&new.family)
        .bind(&new.user_id)
        .bind(&new.client_id)
        .bind(&new.scope)
        .bind(new.expires_at)
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Ends every session of one login.
    pub(crate) async fn revoke_family(&self, family: &str) -> Result<(), StoreError> {
        let delete = query("DELETE FROM uaa_refresh_tokens WHERE family = $1").bind(family);
        self.db.write(delete).await?;
        Ok(())
    }
}
