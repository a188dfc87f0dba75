//! How often the tokens of a user or client were revoked: its generation.

use std::collections::HashMap;

use database::{query, query_scalar};

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

    /// Ends every access token of a subject, and every refresh token: `column` says whose.
    pub(crate) async fn revoke(
        &self,
        subject: &str,
        id: &str,
        of: Whose,
    ) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        query(
            "INSERT INTO uaa_revocations (subject, generation) VALUES ($1, 1) \
             ON CONFLICT (subject) DO UPDATE SET generation = uaa_revocations.generation + 1",
        )
        .bind(subject)
        .execute(&mut tx)
        .await?;
        query(match of {
            Whose::User => "DELETE FROM uaa_refresh_tokens WHERE user_id = $1",
            Whose::Client => "DELETE FROM uaa_refresh_tokens WHERE client_id = $1",
        })
        .bind(id)
        .execute(&mut tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }
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
