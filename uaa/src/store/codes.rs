//! Authorization codes. Only hashes are kept; a code is gone once it was asked for.

use database::query;

use super::{Store, StoreError, UserRow, users};

/// A row of `uaa_codes`.
#[derive(Debug, Clone)]
pub(crate) struct CodeRow {
    pub(crate) code_hash: String,
    pub(crate) client_id: String,
    pub(crate) user_id: String,
    pub(crate) redirect_uri: String,
    pub(crate) scope: String,
    pub(crate) expires_at: i64,
}

impl Store {
    /// Keeps a code if the user is in this generation still, and forgets expired ones; false when it is not kept.
    pub(crate) async fn insert_code(
        &self,
        row: &CodeRow,
        generation: i64,
        now: i64,
    ) -> Result<bool, StoreError> {
        let mut tx = self.db.begin().await?;
        if !users::is_in_generation(&mut tx, &row.user_id, generation).await? {
            return Ok(false);
        }
        query("DELETE FROM uaa_codes WHERE expires_at < $1")
            .bind(now)
            .execute(&mut tx)
            .await?;
        query(
            "INSERT INTO uaa_codes (code_hash, client_id, user_id, redirect_uri, scope, expires_at) \
             VALUES ($1,$2,$3,$4,$5,$6)",
        )
        .bind(&row.code_hash)
        .bind(&row.client_id)
        .bind(&row.user_id)
        .bind(&row.redirect_uri)
        .bind(&row.scope)
        .bind(row.expires_at)
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Takes a code out: whoever asks first has it, nobody else. With its user, as of the same moment.
    pub(crate) async fn take_code(
        &self,
        hash: &str,
    ) -> Result<Option<(CodeRow, UserRow)>, StoreError> {
        let mut tx = self.db.begin().await?;
        let row = query("SELECT * FROM uaa_codes WHERE code_hash = $1")
            .bind(hash)
            .fetch_optional(&mut tx)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let code = CodeRow {
            code_hash: row.try_get("code_hash")?,
            client_id: row.try_get("client_id")?,
            user_id: row.try_get("user_id")?,
            redirect_uri: row.try_get("redirect_uri")?,
            scope: row.try_get("scope")?,
            expires_at: row.try_get("expires_at")?,
        };
        query("DELETE FROM uaa_codes WHERE code_hash = $1")
            .bind(hash)
            .execute(&mut tx)
            .await?;
        let user = users::by_id(&mut tx, &code.user_id).await?;
        tx.commit().await?;
        Ok(user.map(|user| (code, user)))
    }
}
