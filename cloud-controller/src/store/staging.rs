//! Stagings. A task is current while the app names it; whatever arrives for another task is ignored.

use database::{query, query_scalar};

use super::record::{many, record};
use super::{Store, StoreError, Tx};

record! {
    /// A row of `staging_tasks`. `deadline` is a wall-clock time, because the lease outlives the process.
    StagingTask { task_id: String, app_guid: String, version: String, stager_id: String, state: String, deadline: i64 }
}

/// Why a staging failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StagingFailure {
    /// Name of a row of the error table; clients print it.
    pub(crate) reason: String,
    /// What happened, for people.
    pub(crate) text: String,
}

impl Store {
    /// Open stagings past their deadline.
    pub(crate) async fn overdue_stagings(&self, now: i64) -> Result<Vec<StagingTask>, StoreError> {
        let sql = "SELECT * FROM staging_tasks WHERE state = 'OPEN' AND deadline < $1";
        many(query(sql).bind(now).fetch_all(self.db.reader()).await?)
    }

    /// The app's droplet row with this sha1.
    pub(crate) async fn has_droplet(&self, app: &str, sha1: &str) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM droplets WHERE app_guid = $1 AND sha1 = $2";
        let found = query(sql)
            .bind(app)
            .bind(sha1)
            .exists(self.db.reader())
            .await?;
        Ok(found)
    }
}

impl Tx {
    /// Opens a task and closes every other of the app.
    pub(crate) async fn open_staging(&mut self, task: &StagingTask) -> Result<(), StoreError> {
        query("DELETE FROM staging_tasks WHERE app_guid = $1")
            .bind(&task.app_guid)
            .execute(&mut self.inner)
            .await?;
        query(
            "INSERT INTO staging_tasks (task_id, app_guid, version, stager_id, state, deadline, created_at) VALUES ($1,$2,$3,$4,'OPEN',$5,$6)",
        )
        .bind(&task.task_id)
        .bind(&task.app_guid)
        .bind(&task.version)
        .bind(&task.stager_id)
        .bind(task.deadline)
        .bind(self.now)
        .execute(&mut self.inner)
        .await?;
        Ok(())
    }

    pub(crate) async fn close_staging(&mut self, task_id: &str) -> Result<(), StoreError> {
        query("UPDATE staging_tasks SET state = 'DONE' WHERE task_id = $1")
            .bind(task_id)
            .execute(&mut self.inner)
            .await?;
        Ok(())
    }

    /// Notes a droplet and returns the sha1s of droplets beyond the newest `keep`.
    pub(crate) async fn add_droplet(
        &mut self,
        app: &str,
        sha1: &str,
        size: i64,
        keep: i64,
    ) -> Result<Vec<String>, StoreError> {
        query("DELETE FROM droplets WHERE app_guid = $1 AND sha1 = $2")
            .bind(app)
            .bind(sha1)
            .execute(&mut self.inner)
            .await?;
        query(
            "INSERT INTO droplets (guid, app_guid, sha1, size, created_at) VALUES ($1,$2,$3,$4,$5)",
        )
        .bind(bus::ids::guid())
        .bind(app)
        .bind(sha1)
        .bind(size)
        .bind(self.now)
        .execute(&mut self.inner)
        .await?;
        let old: Vec<String> = query_scalar("SELECT sha1 FROM droplets WHERE app_guid = $1 ORDER BY created_at DESC LIMIT 1000 OFFSET $2")
            .bind(app)
            .bind(keep)
            .fetch_all(&mut self.inner)
            .await?;
        for sha1 in &old {
            query("DELETE FROM droplets WHERE app_guid = $1 AND sha1 = $2")
                .bind(app)
                .bind(sha1)
                .execute(&mut self.inner)
                .await?;
        }
        Ok(old)
    }
}
