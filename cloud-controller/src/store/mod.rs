//! The only SQL of the controller: portable text with `$N`, for SQLite and PostgreSQL alike (crate [`database`] says what that means).
//!
//! Reads take `self.db.reader()`; writes go through [`Tx`], one at a time across all controllers, so that a
//! read-modify-write never loses to another.

mod apps;
mod buildpacks;
mod condemned;
mod domains;
mod events;
mod jobs;
mod links;
mod listing;
mod open;
mod orgs;
mod processes;
mod quotas;
mod reads;
mod record;
mod references;
mod resources;
mod routes;
mod security;
mod services;
mod settings;
mod space_quotas;
mod spaces;
mod stacks;
mod staging;
mod usage;
mod users;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use database::{Db, Kind, query, query_scalar};
use serde_json::{Map, Value};

use component::{Cipher, CipherError};

pub(crate) use apps::{APPS, AppRow};
pub(crate) use buildpacks::{BUILDPACKS, BuildpackRow};
pub(crate) use domains::{DOMAINS, DomainRow};
pub(crate) use events::{EVENTS, EventRow, NewEvent};
pub(crate) use links::{
    APPS_OF_ROUTE, APPS_OF_SPACE, BINDINGS_OF_APP, BINDINGS_OF_SERVICE, BINDINGS_OF_SPACE,
    DOMAINS_OWNED_BY_ORG, DOMAINS_USABLE_BY_ORG, Link, ROUTES_OF_APP, ROUTES_OF_SPACE,
    RUNNING_GROUPS_OF_SPACE, SERVICES_OF_APP, SERVICES_OF_SPACE, SPACE_QUOTAS_OF_ORG,
    SPACES_OF_GROUP, SPACES_OF_ORG, SPACES_OF_QUOTA,
};
pub(crate) use listing::{MOST_AMONG, Scope, Table};
pub(crate) use orgs::{ORGS, OrgRow};
pub(crate) use quotas::{QUOTAS, QuotaRow};
pub(crate) use reads::Reads;
pub(crate) use record::Record;
pub(crate) use resources::{File, Whose};
pub(crate) use routes::{HostHolders, HostOwners, ROUTES, RouteRow};
pub(crate) use security::{GroupDefault, SECURITY_GROUPS, SecurityGroupRow};
pub(crate) use services::{BINDINGS, BindingRow, SERVICES, ServiceRow, USER_PROVIDED};
pub(crate) use settings::LeaseRow;
pub(crate) use space_quotas::{SPACE_QUOTAS, SpaceQuotaRow};
pub(crate) use spaces::{SPACES, SpaceRow};
pub(crate) use stacks::{STACKS, StackRow};
pub(crate) use staging::{StagingFailure, StagingLoad, StagingTask};
pub(crate) use usage::{USAGE, UsageRow};
pub(crate) use users::{Role, RoleRow, USERS, UserRow};

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The database refused or is away.
    #[error("database: {0}")]
    Database(#[from] database::Error),
    /// A sealed value could not be read or written.
    #[error(transparent)]
    Cipher(#[from] CipherError),
    /// A filter names an unknown key or a value of the wrong kind.
    #[error("{0}")]
    Filter(String),
}

impl StoreError {
    /// Whether a unique column already held the value.
    pub(crate) fn is_duplicate(&self) -> bool {
        self.kind() == Some(Kind::Duplicate)
    }

    /// Whether something still refers to the row.
    pub(crate) fn is_referenced(&self) -> bool {
        self.kind() == Some(Kind::Referenced)
    }

    /// What the database failed of, if it was the database.
    pub(crate) fn kind(&self) -> Option<Kind> {
        match self {
            StoreError::Database(error) => Some(error.kind()),
            _ => None,
        }
    }
}

/// The database of the desired state.
#[derive(Clone)]
pub(crate) struct Store {
    db: Db,
    cipher: Cipher,
}

/// One write transaction; dropped without [`Tx::commit`], nothing happened.
pub(crate) struct Tx {
    inner: database::Tx,
    now: i64,
}

impl Store {
    /// Begins a write.
    pub(crate) async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(Tx {
            inner: self.db.begin().await?,
            now: now_micros(),
        })
    }

    /// How many statements have read committed rows so far.
    pub(crate) fn reads(&self) -> u64 {
        self.db.reader().statements()
    }

    /// Whether the database answers.
    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        query("SELECT last FROM row_counter")
            .fetch_one(self.db.reader())
            .await?;
        Ok(())
    }

    /// Encrypts a JSON object for a `*_sealed` column.
    pub(crate) fn seal(&self, vars: &Map<String, Value>) -> Result<String, StoreError> {
        Ok(self.cipher.seal(&Value::Object(vars.clone()).to_string())?)
    }

    /// Opens a `*_sealed` column.
    pub(crate) fn unseal(&self, sealed: &str) -> Result<Map<String, Value>, StoreError> {
        let clear = self.cipher.open(sealed)?;
        serde_json::from_str(&clear).map_err(|_| StoreError::Cipher(CipherError::Open))
    }

    /// Encrypts a text for a `*_sealed` column.
    pub(crate) fn seal_text(&self, text: &str) -> Result<String, StoreError> {
        Ok(self.cipher.seal(text)?)
    }

    /// Opens what [`Store::seal_text`] made.
    pub(crate) fn unseal_text(&self, sealed: &str) -> Result<String, StoreError> {
        Ok(self.cipher.open(sealed)?)
    }

    /// The same database for `uaa`, whose tables live in it.
    pub(crate) fn uaa(&self) -> uaa::store::Store {
        let seal = Arc::new(self.cipher.clone());
        uaa::store::Store::mounted(self.db.clone(), seal)
    }
}

impl Tx {
    /// Makes the write durable.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        Ok(self.inner.commit().await?)
    }

    /// The time this transaction began, unix microseconds; every row it writes carries it.
    pub(crate) fn now(&self) -> i64 {
        self.now
    }

    /// Runs statements whose one parameter is the same, in order.
    async fn run_each(
        &mut self,
        statements: &[&'static str],
        value: &str,
    ) -> Result<(), StoreError> {
        for sql in statements {
            query(sql).bind(value).execute(&mut self.inner).await?;
        }
        Ok(())
    }

    /// Runs one statement with two parameters.
    async fn run_pair(
        &mut self,
        sql: &'static str,
        first: &str,
        second: &str,
    ) -> Result<(), StoreError> {
        query(sql)
            .bind(first)
            .bind(second)
            .execute(&mut self.inner)
            .await?;
        Ok(())
    }

    /// The next place in the default order.
    async fn next_id(&mut self) -> Result<i64, StoreError> {
        let id = query_scalar("UPDATE row_counter SET last = last + 1 RETURNING last")
            .fetch_one(&mut self.inner)
            .await?;
        Ok(id)
    }
}

/// Wall clock, unix microseconds.
pub(crate) fn now_micros() -> i64 {
    chrono::Utc::now().timestamp_micros()
}
