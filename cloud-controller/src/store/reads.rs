//! What is read either of committed rows or inside a write, by the same text.
//!
//! What a write depends on (a quota, say) is read inside it: committed rows lack what others wrote in the same breath.

use database::{Executor, Reader};

use super::listing::{self, Scope, Table};
use super::record::Record;
use super::{DomainRow, Store, StoreError, Tx, domains, orgs, routes, space_quotas};

/// A side rows are read from.
pub(crate) trait Reads: Send {
    /// Where statements are run.
    fn on(&mut self) -> impl Executor;

    /// The member with this guid, if it is in scope.
    fn find<R: Record>(
        &mut self,
        table: &Table,
        scope: &Scope,
        guid: &str,
    ) -> impl Future<Output = Result<Option<R>, StoreError>> + Send {
        async move { listing::find(self.on(), table, scope, guid).await }
    }

    /// How many members are in scope.
    fn count(
        &mut self,
        table: &Table,
        scope: &Scope,
    ) -> impl Future<Output = Result<i64, StoreError>> + Send {
        async move { listing::count(self.on(), table, scope).await }
    }

    /// All members in scope, in default order.
    fn all<R: Record>(
        &mut self,
        table: &Table,
        scope: &Scope,
    ) -> impl Future<Output = Result<Vec<R>, StoreError>> + Send {
        async move { listing::all(self.on(), table, scope).await }
    }

    /// A domain by its name.
    fn domain_by_name(
        &mut self,
        name: &str,
    ) -> impl Future<Output = Result<Option<DomainRow>, StoreError>> + Send {
        async move { domains::by_name(self.on(), name).await }
    }

    /// Memory (MB) of all started apps and instances of all apps of an organization, without one app.
    fn org_usage(
        &mut self,
        org: &str,
        without_app: &str,
    ) -> impl Future<Output = Result<(i64, i64), StoreError>> + Send {
        async move { orgs::usage(self.on(), org, without_app).await }
    }

    /// Memory (MB) of all started apps and instances of all apps of a space, without one app.
    fn space_usage(
        &mut self,
        space: &str,
        without_app: &str,
    ) -> impl Future<Output = Result<(i64, i64), StoreError>> + Send {
        async move { space_quotas::usage(self.on(), space, without_app).await }
    }

    /// Routes of an organization, for its quota.
    fn count_routes(&mut self, org: &str) -> impl Future<Output = Result<i64, StoreError>> + Send {
        async move { routes::count(self.on(), org).await }
    }
}

impl Reads for &Store {
    fn on(&mut self) -> impl Executor {
        let reader: &Reader = self.db.reader();
        reader
    }
}

impl Reads for Tx {
    fn on(&mut self) -> impl Executor {
        &mut self.inner
    }
}
