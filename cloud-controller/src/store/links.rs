//! Which collection's members belong to which rows, and reading the members of many rows at once.

use std::collections::HashMap;

use database::Builder;

use super::listing::{Scope, Table, conditions};
use super::record::Record;
use super::{
    APPS, BINDINGS, DOMAINS, ROUTES, SECURITY_GROUPS, SERVICES, SPACE_QUOTAS, SPACES, Store,
    StoreError,
};

/// How members of a collection are found by a row they belong to, their parent.
#[derive(Clone, Copy)]
pub(crate) struct Link {
    table: &'static Table,
    /// ` JOIN …`, of a table called `m`, where no column of the member names its parent.
    pub(super) join: &'static str,
    /// The parent's guid.
    pub(super) parent: &'static str,
}

pub(crate) static APPS_OF_SPACE: Link = Link::by(&APPS, "t.space_guid");
pub(crate) static APPS_OF_ROUTE: Link = Link::through(
    &APPS,
    " JOIN route_mappings m ON m.app_guid = t.guid",
    "m.route_guid",
);
pub(crate) static ROUTES_OF_SPACE: Link = Link::by(&ROUTES, "t.space_guid");
pub(crate) static ROUTES_OF_APP: Link = Link::through(
    &ROUTES,
    " JOIN route_mappings m ON m.route_guid = t.guid",
    "m.app_guid",
);
pub(crate) static SERVICES_OF_SPACE: Link = Link::by(&SERVICES, "t.space_guid");
pub(crate) static SERVICES_OF_APP: Link = Link::through(
    &SERVICES,
    " JOIN service_bindings m ON m.service_instance_guid = t.guid",
    "m.app_guid",
);
pub(crate) static BINDINGS_OF_APP: Link = Link::by(&BINDINGS, "t.app_guid");
pub(crate) static BINDINGS_OF_SERVICE: Link = Link::by(&BINDINGS, "t.service_instance_guid");
/// App and service instance of a binding are in one space.
pub(crate) static BINDINGS_OF_SPACE: Link = Link::by(&BINDINGS, "i.space_guid");
pub(crate) static SPACES_OF_ORG: Link = Link::by(&SPACES, "t.organization_guid");
pub(crate) static SPACES_OF_QUOTA: Link = Link::by(&SPACES, "t.space_quota_definition_guid");
pub(crate) static SPACES_OF_GROUP: Link = Link::through(
    &SPACES,
    " JOIN security_group_spaces m ON m.space_guid = t.guid",
    "m.group_guid",
);
pub(crate) static SPACE_QUOTAS_OF_ORG: Link = Link::by(&SPACE_QUOTAS, "t.organization_guid");
/// Groups that hold for the running containers of a space: its own and the defaults.
pub(crate) static RUNNING_GROUPS_OF_SPACE: Link = Link::through(
    &SECURITY_GROUPS,
    " JOIN spaces m ON t.running_default = TRUE OR EXISTS \
     (SELECT 1 FROM security_group_spaces g WHERE g.group_guid = t.guid AND g.space_guid = m.guid)",
    "m.guid",
);
/// Private domains an organization owns.
pub(crate) static DOMAINS_OWNED_BY_ORG: Link = Link::by(&DOMAINS, "t.owning_organization_guid");
/// Domains an organization's routes may be on: shared, its own, or lent to it.
pub(crate) static DOMAINS_USABLE_BY_ORG: Link = Link::through(
    &DOMAINS,
    " JOIN organizations m ON t.owning_organization_guid IS NULL OR t.owning_organization_guid = m.guid \
     OR EXISTS (SELECT 1 FROM domain_shares h WHERE h.domain_guid = t.guid AND h.organization_guid = m.guid)",
    "m.guid",
);

impl Link {
    /// A column of the member names its parent.
    const fn by(table: &'static Table, parent: &'static str) -> Link {
        Link::through(table, "", parent)
    }

    /// Another table knows both.
    pub(super) const fn through(
        table: &'static Table,
        join: &'static str,
        parent: &'static str,
    ) -> Link {
        Link {
            table,
            join,
            parent,
        }
    }

    /// Members by their own guids.
    pub(crate) const fn itself(table: &'static Table) -> Link {
        Link::by(table, "t.guid")
    }

    /// Members of this parent.
    pub(crate) fn of(&self, parent: &str) -> Scope {
        self.of_each(&[parent])
    }

    /// Members of any of these parents, of which there are at most [`super::MOST_AMONG`].
    pub(crate) fn of_each(&self, parents: &[&str]) -> Scope {
        Scope::all().linked(self).among(self.parent, parents)
    }
}

impl Store {
    /// Members in scope behind their parents' guids, in default order. Who has several parents is there once for each.
    pub(crate) async fn members<R: Record>(
        &self,
        link: &Link,
        scope: &Scope,
    ) -> Result<Vec<(String, R)>, StoreError> {
        let table = link.table;
        let mut sql = Builder::new(table.select);
        sql.push(", ").push(link.parent).push(" AS parent_guid ");
        sql.push(table.from).push(table.also);
        conditions(&mut sql, table, &scope.clone().linked(link), &[])?;
        sql.push(" ORDER BY ").push(table.order).push(", t.guid");
        let rows = sql.build().fetch_all(self.db.reader()).await?;
        let read = rows
            .iter()
            .map(|row| Ok((row.try_get("parent_guid")?, R::read(row)?)));
        read.collect()
    }

    /// How many members in scope each parent has; who has none is not named.
    pub(crate) async fn tally(
        &self,
        link: &Link,
        scope: &Scope,
    ) -> Result<HashMap<String, i64>, StoreError> {
        let mut sql = Builder::new("SELECT ");
        sql.push(link.parent)
            .push(" AS parent_guid, COUNT(*) AS members ")
            .push(link.table.from);
        conditions(&mut sql, link.table, &scope.clone().linked(link), &[])?;
        sql.push(" GROUP BY ").push(link.parent);
        let rows = sql.build().fetch_all(self.db.reader()).await?;
        let read = rows
            .iter()
            .map(|row| Ok((row.try_get("parent_guid")?, row.try_get("members")?)));
        read.collect()
    }
}
