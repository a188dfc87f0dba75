//! Attempts at passwords: counted before they are tested, in one with the reading of what they are tested against.

use database::query;

use super::{Store, StoreError, UserRow, users};
use crate::lockout::{Attempts, LOCK_MICROS};

/// What an attempt may be tested against.
#[derive(Debug)]
pub(crate) enum Attempted {
    /// Not at all: the account is locked for so many seconds.
    Locked(i64),
    /// It is counted; this is the user of that name, if there is one.
    Counted(Option<UserRow>),
}

impl Store {
    /// Counts an attempt at the password of a name. `account` is the name's hash: names that nobody has are counted too, and may be anything.
    pub(crate) async fn count_attempt(
        &self,
        account: &str,
        name: Option<&str>,
        now: i64,
    ) -> Result<Attempted, StoreError> {
        let mut tx = self.db.begin().await?;
        query("DELETE FROM uaa_attempts WHERE last_at < $1")
            .bind(now - LOCK_MICROS)
            .execute(&mut tx)
            .await?;
        let row = query("SELECT counted, locked_until FROM uaa_attempts WHERE account = $1")
            .bind(account)
            .fetch_optional(&mut tx)
            .await?;
        let before = match row {
            Some(row) => Attempts {
                counted: row.try_get(0)?,
                locked_until: row.try_get(1)?,
            },
            None => Attempts::default(),
        };
        if let Some(seconds) = before.locked_for(now) {
            return Ok(Attempted::Locked(seconds));
        }
        let after = before.with_another(now);
        query(
            "INSERT INTO uaa_attempts (account, counted, locked_until, last_at) VALUES ($1,$2,$3,$4) \
             ON CONFLICT (account) DO UPDATE SET counted = $2, locked_until = $3, last_at = $4",
        )
        .bind(account)
        .bind(after.counted)
        .bind(after.locked_until)
        .bind(now)
        .execute(&mut tx)
        .await?;
        let user = match name {
            Some(name) => users::by_name(&mut tx, name).await?,
            None => None,
        };
        tx.commit().await?;
        Ok(Attempted::Counted(user))
    }

    /// Takes all attempts back: one was right.
    pub(crate) async fn forget_attempts(&self, account: &str) -> Result<(), StoreError> {
        let delete = query("DELETE FROM uaa_attempts WHERE account = $1");
        self.db.write(delete.bind(account)).await?;
        Ok(())
    }
}
