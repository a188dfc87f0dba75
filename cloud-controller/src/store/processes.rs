//! The desired rows the health manager reads.

use database::{query, query_scalar};

use super::record::{many, record};
use super::{Store, StoreError};

record! {
    /// One desired process. `id` is the batch cursor.
    BulkRow {
        id: i64, guid: String, instances: i64, state: String, memory: i64, package_state: String, version: String, updated_at: i64,
    }
}

impl Store {
    /// Processes with an id greater than `after`, in id order.
    pub(crate) async fn bulk(&self, after: i64, limit: i64) -> Result<Vec<BulkRow>, StoreError> {
        let sql = "SELECT p.id, p.guid, p.instances, a.state, a.memory, a.package_state, p.version, p.updated_at \
                   FROM processes p JOIN apps a ON a.guid = p.app_guid WHERE p.id > $1 ORDER BY p.id LIMIT $2";
        many(
            query(sql)
                .bind(after)
                .bind(limit)
                .fetch_all(self.db.reader())
                .await?,
        )
    }

    /// The app a process belongs to.
    pub(crate) async fn app_of_process(&self, process: &str) -> Result<Option<String>, StoreError> {
        let sql = "SELECT app_guid FROM processes WHERE guid = $1";
        Ok(query_scalar(sql)
            .bind(process)
            .fetch_optional(self.db.reader())
            .await?)
    }
}
