//! Routes and which apps they lead to.

use database::{Executor, query, query_scalar};

use super::listing::{Column, Table};
use super::record::record;
use super::{ROUTES_OF_APP, Store, StoreError, Tx};

record! {
    /// A row of `routes` with its domain's name.
    RouteRow {
        guid: String, host: String, path: String, domain_guid: String, domain_name: String, space_guid: String,
        created_at: i64, updated_at: Option<i64>,
    }
}

impl RouteRow {
    /// The address without scheme: `host.domain/path`.
    pub(crate) fn address(&self) -> String {
        if self.host.is_empty() {
            format!("{}{}", self.domain_name, self.path)
        } else {
            format!("{}.{}{}", self.host, self.domain_name, self.path)
        }
    }
}

pub(crate) static ROUTES: Table = Table {
    select: "SELECT t.*, d.name AS domain_name",
    from: "FROM routes t",
    also: " JOIN domains d ON d.guid = t.domain_guid",
    order: "t.id",
    name: Some("t.host_key"),
    filters: &[
        ("host", Column::Name("t.host_key")),
        ("path", Column::Name("t.path_key")),
        ("domain_guid", Column::Text("t.domain_guid")),
        ("space_guid", Column::Text("t.space_guid")),
        (
            "organization_guid",
            Column::Within("t.space_guid IN (SELECT guid FROM spaces WHERE organization_guid"),
        ),
    ],
};

impl Store {
    /// Addresses of an app's routes, in mapping order: the `uris` of start and update messages.
    pub(crate) async fn uris_of(&self, app: &str) -> Result<Vec<String>, StoreError> {
        let routes: Vec<RouteRow> = self.all(&ROUTES, &ROUTES_OF_APP.of(app)).await?;
        Ok(routes.iter().map(RouteRow::address).collect())
    }

    /// Whether a route with these parts exists anywhere.
    pub(crate) async fn route_taken(
        &self,
        domain: &str,
        host: &str,
        path: &str,
    ) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM routes WHERE domain_guid = $1 AND host_key = $2 AND path_key = $3";
        let found = query(sql)
            .bind(domain)
            .bind(host.to_lowercase())
            .bind(path.to_lowercase())
            .exists(self.db.reader())
            .await?;
        Ok(found)
    }
}

/// What holds a host on a domain, with all paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostOwners {
    /// The first space.
    Spaces,
    /// The first organization.
    Organizations,
}

/// Which other routes count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostHolders {
    /// Every one: the route is to get this host now.
    All,
    /// Those made before it: it has the host already.
    Earlier,
}

/// Routes of an organization, for its quota.
pub(super) async fn count(on: impl Executor, org: &str) -> Result<i64, StoreError> {
    let sql = "SELECT COUNT(*) FROM routes r JOIN spaces s ON s.guid = r.space_guid WHERE s.organization_guid = $1";
    Ok(query_scalar(sql).bind(org).fetch_one(on).await?)
}

impl Tx {
    pub(crate) async fn insert_route(&mut self, row: &RouteRow) -> Result<(), StoreError> {
        let id = self.next_id().await?;
        query(
            "INSERT INTO routes (id, guid, host, host_key, path, path_key, domain_guid, space_guid, created_at, updated_at) \
             VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,NULL)",
        )
        .bind(id)
        .bind(&row.guid)
        .bind(&row.host)
        .bind(row.host.to_lowercase())
        .bind(&row.path)
        .bind(row.path.to_lowercase())
        .bind(&row.domain_guid)
        .bind(&row.space_guid)
        .bind(row.created_at)
        .execute(&mut self.inner)
        .await?;
        Ok(())
    }

    /// Whether somebody else has a route with this host on this domain, whatever its path.
    pub(crate) async fn is_host_foreign(
        &mut self,
        route: &RouteRow,
        owners: HostOwners,
        holders: HostHolders,
    ) -> Result<bool, StoreError> {
        let sql = match owners {
            HostOwners::Spaces => {
                "SELECT 1 FROM routes r WHERE r.domain_guid = $1 AND r.host_key = $2 AND r.space_guid <> $3 \
                 AND r.id < COALESCE((SELECT o.id FROM routes o WHERE o.guid = $4), r.id + 1)"
            }
            HostOwners::Organizations => {
                "SELECT 1 FROM routes r JOIN spaces s ON s.guid = r.space_guid WHERE r.domain_guid = $1 AND r.host_key = $2 \
                 AND s.organization_guid <> (SELECT m.organization_guid FROM spaces m WHERE m.guid = $3) \
                 AND r.id < COALESCE((SELECT o.id FROM routes o WHERE o.guid = $4), r.id + 1)"
            }
        };
        let than = match holders {
            HostHolders::All => "",
            HostHolders::Earlier => &route.guid,
        };
        let found = query(sql)
            .bind(&route.domain_guid)
            .bind(route.host.to_lowercase())
            .bind(&route.space_guid)
            .bind(than)
            .exists(&mut self.inner)
            .await?;
        Ok(found)
    }

    /// Writes host and path.
    pub(crate) async fn update_route(&mut self, row: &RouteRow) -> Result<(), StoreError> {
        query(
            "UPDATE routes SET host = $2, host_key = $3, path = $4, path_key = $5, updated_at = $6 WHERE guid = $1",
        )
        .bind(&row.guid)
        .bind(&row.host)
        .bind(row.host.to_lowercase())
        .bind(&row.path)
        .bind(row.path.to_lowercase())
        .bind(self.now)
        .execute(&mut self.inner)
        .await?;
        Ok(())
    }

    pub(crate) async fn delete_route(&mut self, guid: &str) -> Result<(), StoreError> {
        query("DELETE FROM routes WHERE guid = $1")
            .bind(guid)
            .execute(&mut self.inner)
            .await?;
        Ok(())
    }

    /// Apps a route leads to.
    pub(crate) async fn apps_on_route(&mut self, route: &str) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT app_guid FROM route_mappings WHERE route_guid = $1";
        Ok(query_scalar(sql)
            .bind(route)
            .fetch_all(&mut self.inner)
            .await?)
    }

    /// Maps; false when it was mapped already.
    pub(crate) async fn map_route(&mut self, app: &str, route: &str) -> Result<bool, StoreError> {
        let done = query("INSERT INTO route_mappings (app_guid, route_guid, created_at) VALUES ($1,$2,$3) ON CONFLICT DO NOTHING")
            .bind(app)
            .bind(route)
            .bind(self.now)
            .execute(&mut self.inner)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Unmaps; false when it was not mapped.
    pub(crate) async fn unmap_route(&mut self, app: &str, route: &str) -> Result<bool, StoreError> {
        let done = query("DELETE FROM route_mappings WHERE app_guid = $1 AND route_guid = $2")
            .bind(app)
            .bind(route)
            .execute(&mut self.inner)
            .await?;
        Ok(done.rows_affected() > 0)
    }
}
