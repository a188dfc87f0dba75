//! Users.

use database::{Builder, Error, Row, query};

use super::{Store, StoreError};
use crate::filter::Term;
use crate::lockout::Attempts;

/// Users in one answer.
const MAX_LISTED: i64 = 500;

/// A row of `uaa_users`.
#[derive(Debug, Clone)]
pub(crate) struct UserRow {
    pub(crate) id: String,
    pub(crate) username: String,
    pub(crate) password_hash: String,
    pub(crate) email: String,
    pub(crate) given_name: String,
    pub(crate) family_name: String,
    pub(crate) groups: Vec<String>,
    pub(crate) attempts: Attempts,
}

impl UserRow {
    fn read(row: &Row) -> Result<UserRow, Error> {
        Ok(UserRow {
            id: row.try_get("id")?,
            username: row.try_get("username")?,
            password_hash: row.try_get("password_hash")?,
            email: row.try_get("email")?,
            given_name: row.try_get("given_name")?,
            family_name: row.try_get("family_name")?,
            groups: row
                .try_get::<String, _>("groups_list")?
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            attempts: Attempts {
                failures: row.try_get("failures")?,
                locked_until: row.try_get("locked_until")?,
            },
        })
    }
}

impl Store {
    pub(crate) async fn user_by_name(&self, name: &str) -> Result<Option<UserRow>, StoreError> {
        let row = query("SELECT * FROM uaa_users WHERE username_key = $1")
            .bind(name.to_lowercase())
            .fetch_optional(self.db.reader())
            .await?;
        Ok(row.as_ref().map(UserRow::read).transpose()?)
    }

    pub(crate) async fn user_by_id(&self, id: &str) -> Result<Option<UserRow>, StoreError> {
        let row = query("SELECT * FROM uaa_users WHERE id = $1")
            .bind(id)
            .fetch_optional(self.db.reader())
            .await?;
        Ok(row.as_ref().map(UserRow::read).transpose()?)
    }

    /// Users that match any term; all (up to a bound) when there is none.
    pub(crate) async fn users(&self, terms: &[Term]) -> Result<Vec<UserRow>, StoreError> {
        let mut query = Builder::new("SELECT * FROM uaa_users WHERE ");
        query.push(if terms.is_empty() { "1 = 1" } else { "1 = 0" });
        for term in terms {
            match term {
                Term::Id(id) => query.push(" OR id = ").push_bind(id.clone()),
                Term::Name(name) => query.push(" OR username_key = ").push_bind(name.clone()),
            };
        }
        query
            .push(" ORDER BY created_at, id LIMIT ")
            .push_bind(MAX_LISTED);
        let rows = query.build().fetch_all(self.db.reader()).await?;
        Ok(rows.iter().map(UserRow::read).collect::<Result<_, _>>()?)
    }

    pub(crate) async fn insert_user(&self, user: &UserRow, now: i64) -> Result<(), StoreError> {
        let insert = query(
            "INSERT INTO uaa_users (id, username, username_key, password_hash, email, given_name, family_name, \
             groups_list, failures, locked_until, created_at) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,0,0,$9)",
        )
        .bind(&user.id)
        .bind(&user.username)
        .bind(user.username.to_lowercase())
        .bind(&user.password_hash)
        .bind(&user.email)
        .bind(&user.given_name)
        .bind(&user.family_name)
        .bind(user.groups.join(" "))
        .bind(now);
        self.db.write(insert).await?;
        Ok(())
    }

    pub(crate) async fn set_attempts(
        &self,
        id: &str,
        attempts: Attempts,
    ) -> Result<(), StoreError> {
        let update = query("UPDATE uaa_users SET failures = $2, locked_until = $3 WHERE id = $1")
            .bind(id)
            .bind(attempts.failures)
            .bind(attempts.locked_until);
        self.db.write(update).await?;
        Ok(())
    }

    /// Sets a password and ends every session of the user.
    pub(crate) async fn set_password(&self, id: &str, hash: &str) -> Result<(), StoreError> {
        let mut tx = self.db.begin().await?;
        query(
            "UPDATE uaa_users SET password_hash = $2, failures = 0, locked_until = 0 WHERE id = $1",
        )
        .bind(id)
        .bind(hash)
        .execute(&mut tx)
        .await?;
        query("DELETE FROM uaa_refresh_tokens WHERE user_id = $1")
            .bind(id)
            .execute(&mut tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Deletes a user with all sessions; false when there was none.
    pub(crate) async fn delete_user(&self, id: &str) -> Result<bool, StoreError> {
        let mut tx = self.db.begin().await?;
        query("DELETE FROM uaa_refresh_tokens WHERE user_id = $1")
            .bind(id)
            .execute(&mut tx)
            .await?;
        let done = query("DELETE FROM uaa_users WHERE id = $1")
            .bind(id)
            .execute(&mut tx)
            .await?;
        tx.commit().await?;
        Ok(done.rows_affected() > 0)
    }
}
