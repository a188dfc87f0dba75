//! How often the tokens of a user or client were revoked: its generation.

use std::collections::HashMap;

use database::{Tx, query, query_scalar};

use super::{Store, StoreError};

impl Store {
    /// All generations by subject (`user:ID`, `client:ID`); who is missing is in generation 0.
    pub(crate) async fn generations(&self) -> Result<HashMap<String, i64>, StoreError> {
        let rows = query("SELECT subject, generation FROM uaa_revocations")
            .fetch_all(self.db.reader())
            .await?;
        let pair = |row: &database::Row| Ok((row.try_get(0)?, row.try_get(1)?));
        rows.iter().map(pair).collect()
    }

    /// The generation a subject is in.
    pub(crate) async fn generation(&self, subject: &str) -> Result<i64, StoreError> {
        let found = query_scalar("SELECT generation FROM uaa_revocations WHERE subject = $1");
        let found: Option<i64> = found.bind(subject).fetch_optional(self.db.reader()).await?;
        Ok(found.unwrap_or(0))
    }

    /// Ends every access token of a subject, every refresh token and every code.
    pub(crate) async fn revoke(&self, of: Whose, id: &str) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        end(&mut tx, of, id).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// The generation a subject is in, as it will be when the write is done.
pub(super) async fn generation(tx: &mut Tx, subject: &str) -> Result<i64, StoreError> {
    let found = query_scalar("SELECT generation FROM uaa_revocations WHERE subject = $1");
    let found: Option<i64> = found.bind(subject).fetch_optional(tx).await?;
    Ok(found.unwrap_or(0))
}

/// Begins a subject's next generation: access tokens of before are refused. Refresh tokens stay.
pub(super) async fn begin_next(tx: &mut Tx, of: Whose, id: &str) -> Result<(), StoreError> {
    query(
        "INSERT INTO uaa_revocations (subject, generation) VALUES ($1, 1) \
         ON CONFLICT (subject) DO UPDATE SET generation = uaa_revocations.generation + 1",
    )
    .bind(of.subject(id))
    .execute(tx)
    .await?;
    Ok(())
}

/// Ends everything a subject was given.
pub(super) async fn end(tx: &mut Tx, of: Whose, id: &str) -> Result<(), StoreError> {
    begin_next(tx, of, id).await?;
    let deletes = match of {
        Whose::User => [
            "DELETE FROM uaa_refresh_tokens WHERE user_id = $1",
            "DELETE FROM uaa_codes WHERE user_id = $1",
        ],
        Whose::Client => [
            "DELETE FROM uaa_refresh_tokens WHERE client_id = $1",
            "DELETE FROM uaa_codes WHERE client_id = $1",
        ],
    };
    for delete in deletes {
        query(delete).bind(id).execute(&mut *tx).await?;
    }
    Ok(())
}

/// Whose tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    User,
    Client,
}

impl Whose {
    /// The subject of one of them.
    pub(crate) fn subject(self, id: &str) -> String {
        match self {
            Whose::User => format!("user:{id}"),
            Whose::Client => format!("client:{id}"),
        }
    }
}
