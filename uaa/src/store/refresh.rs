//! Refresh tokens: good until they expire or are revoked, however often they are used. Only hashes are kept; a family is all that came
//! from one login.
//!
//! A row lies here only in the generation of its user and client that is in force: writing one compares it, revoking deletes them and
//! begins the next generation, both in one transaction.

use database::query;

use super::{Store, StoreError, UserRow, Whose, revocations, users};

/// A row of `uaa_refresh_tokens`.
#[derive(Debug, Clone)]
pub(crate) struct RefreshRow {
    pub(crate) token_hash: String,
    pub(crate) family: String,
    pub(crate) user_id: String,
    pub(crate) client_id: String,
    /// The scopes that were granted; empty in a row of before they were kept: all of the user's.
    pub(crate) scope: String,
    pub(crate) expires_at: i64,
}

/// A refresh token in force, whose it is, and the generations of user and client.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) row: RefreshRow,
    pub(crate) user: UserRow,
    pub(crate) of_client: i64,
}

impl Store {
    async fn refresh_row(&self, hash: &str) -> Result<Option<RefreshRow>, StoreError> {
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
        }))
    }

    /// The session of a refresh token.
    pub(crate) async fn session(&self, hash: &str) -> Result<Option<Session>, StoreError> {
        let Some(known) = self.refresh_row(hash).await? else {
            return Ok(None);
        };
        // The generations before all else: what is revoked from here on has a later one, and a token made of these is refused.
        let of_user = self
            .generation(&Whose::User.subject(&known.user_id))
            .await?;
        let of_client = self
            .generation(&Whose::Client.subject(&known.client_id))
            .await?;
        let user = self.user_by_id(&known.user_id).await?;
        let row = self.refresh_row(hash).await?;
        let (Some(user), Some(row)) = (user, row) else {
            return Ok(None);
        };
        let user = UserRow {
            generation: of_user,
            ..user
        };
        Ok(Some(Session {
            row,
            user,
            of_client,
        }))
    }

    /// Keeps a new token if the user is there and in this generation still, and forgets expired ones. Gives the client's generation.
    pub(crate) async fn insert_refresh(
        &self,
        new: &RefreshRow,
        generation: i64,
        now: i64,
    ) -> Result<Option<i64>, StoreError> {
        let mut tx = self.db.begin().await?;
        if !users::is_in_generation(&mut tx, &new.user_id, generation).await? {
            return Ok(None);
        }
        let client = Whose::Client.subject(&new.client_id);
        let of_client = revocations::generation(&mut tx, &client).await?;
        query("DELETE FROM uaa_refresh_tokens WHERE expires_at < $1")
            .bind(now)
            .execute(&mut tx)
            .await?;
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
        Ok(Some(of_client))
    }
}
