//! Users.

use database::{Builder, Error, Row, Tx, query};

use super::{Store, StoreError, Whose, revocations};
use crate::filter::Term;
use crate::limits::LISTED_USERS;

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
    /// Of the user's tokens, where the row was read to give some; 0 elsewhere.
    pub(crate) generation: i64,
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
            generation: 0,
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

    /// Users that match any term; all (up to a bound) when there is none. `only` is the one user who may be among them, if not all may.
    pub(crate) async fn users(
        &self,
        terms: &[Term],
        only: Option<&str>,
    ) -> Result<Vec<UserRow>, StoreError> {
        let mut query = Builder::new("SELECT * FROM uaa_users WHERE (");
        query.push(if terms.is_empty() { "1 = 1" } else { "1 = 0" });
        for term in terms {
            match term {
                Term::Id(id) => query.push(" OR id = ").push_bind(id.clone()),
                Term::Name(name) => query.push(" OR username_key = ").push_bind(name.clone()),
            };
        }
        query.push(")");
        if let Some(id) = only {
            query.push(" AND id = ").push_bind(id.to_owned());
        }
        query
            .push(" ORDER BY created_at, id LIMIT ")
            .push_bind(i64::try_from(LISTED_USERS).unwrap_or(i64::MAX));
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

    /// Sets a password and ends every session of the user; false, and nothing is changed, when there is no such user, or none in the
    /// generation in which the old password was tested.
    pub(crate) async fn set_password(
        &self,
        id: &str,
        hash: &str,
        tested_in: Option<i64>,
    ) -> Result<bool, StoreError> {
        let mut tx = self.db.begin().await?;
        if let Some(generation) = tested_in
            && !is_in_generation(&mut tx, id, generation).await?
        {
            return Ok(false);
        }
        let done = query("UPDATE uaa_users SET password_hash = $2 WHERE id = $1")
            .bind(id)
            .bind(hash)
            .execute(&mut tx)
            .await?;
        revocations::end(&mut tx, Whose::User, id).await?;
        tx.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// Deletes a user with all sessions; false when there was none.
    pub(crate) async fn delete_user(&self, id: &str) -> Result<bool, StoreError> {
        let mut tx = self.db.begin().await?;
        let done = query("DELETE FROM uaa_users WHERE id = $1")
            .bind(id)
            .execute(&mut tx)
            .await?;
        revocations::end(&mut tx, Whose::User, id).await?;
        tx.commit().await?;
        Ok(done.rows_affected() > 0)
    }
}

/// The user of that name, with the generation.
pub(super) async fn by_name(tx: &mut Tx, name: &str) -> Result<Option<UserRow>, StoreError> {
    let row = query("SELECT * FROM uaa_users WHERE username_key = $1")
        .bind(name.to_lowercase())
        .fetch_optional(&mut *tx)
        .await?;
    with_generation(tx, row).await
}

/// The user with that id, with the generation.
pub(super) async fn by_id(tx: &mut Tx, id: &str) -> Result<Option<UserRow>, StoreError> {
    let row = query("SELECT * FROM uaa_users WHERE id = $1")
        .bind(id)
        .fetch_optional(&mut *tx)
        .await?;
    with_generation(tx, row).await
}

async fn with_generation(tx: &mut Tx, row: Option<Row>) -> Result<Option<UserRow>, StoreError> {
    let Some(row) = row else { return Ok(None) };
    let mut user = UserRow::read(&row)?;
    user.generation = revocations::generation(tx, &Whose::User.subject(&user.id)).await?;
    Ok(Some(user))
}

/// Whether the user is there, and what was found out about it in a generation still holds.
pub(super) async fn is_in_generation(
    tx: &mut Tx,
    id: &str,
    generation: i64,
) -> Result<bool, StoreError> {
    let user = by_id(tx, id).await?;
    Ok(user.is_some_and(|user| user.generation == generation))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures_util::future::join_all;

    use super::*;
    use crate::config::Config;

    #[tokio::test]
    async fn a_list_of_users_is_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            database: dir.path().join("uaa.db").into(),
            ..Config::default()
        };
        let store = Store::open(&config).await.unwrap();
        let user = |n: usize| UserRow {
            id: n.to_string(),
            username: format!("user {n}"),
            password_hash: String::new(),
            email: String::new(),
            given_name: String::new(),
            family_name: String::new(),
            groups: Vec::new(),
            generation: 0,
        };
        let users: Vec<_> = (0..=LISTED_USERS).map(user).collect();
        let inserted = join_all(users.iter().map(|user| store.insert_user(user, 0))).await;
        assert!(inserted.iter().all(Result::is_ok));
        let listed = async |only| store.users(&[], only).await.unwrap().len();
        assert_eq!(listed(None).await, LISTED_USERS);
        assert_eq!(listed(Some("500")).await, 1);
        assert_eq!(listed(Some("")).await, 0);
    }
}
