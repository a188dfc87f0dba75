//! Stagings. A task is current while the app names it; whatever arrives for another task is ignored.

use database::{query, query_scalar};

use super::record::{many, optional, record};
use super::{Store, StoreError, Tx};

record! {
    /// A row of `staging_tasks`. Without a stager it waits for its organization's turn. Its times are of the wall clock, because leases outlive the process. OPEN: no stager has confirmed it,
    /// so somebody must talk to one, the `driver`, until `driven_until`; SET_UP: it is in the stager's hands; UPLOADED: its droplet is
    /// there, and the build cache and the last word may follow; DONE: nothing is taken from it any more.
    StagingTask {
        task_id: String, app_guid: String, version: String, stager_id: String, state: String, deadline: i64,
        driver: String, driven_until: i64,
    }
}

/// Stagings under way, as one of them sees it. Memory in MB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StagingLoad {
    /// Organizations of the platform.
    pub(crate) organizations: i64,
    /// Memory of the organization's stagings that have a stager.
    pub(crate) held: i64,
    /// The part of it that stagers have confirmed.
    pub(crate) confirmed: i64,
    /// Stagings of the organization that wait for a stager and came earlier.
    pub(crate) before: i64,
}

/// Other stagings of the app's organization: the part of a query that they have in common.
macro_rules! of_organization {
    ($what:literal, $which:literal) => {
        concat!(
            "SELECT ",
            $what,
            " FROM staging_tasks t JOIN apps a ON a.guid = t.app_guid JOIN spaces s ON s.guid = a.space_guid \
             WHERE t.app_guid <> $1 AND t.state IN ('OPEN','SET_UP') AND s.organization_guid = \
             (SELECT own.organization_guid FROM apps me JOIN spaces own ON own.guid = me.space_guid WHERE me.guid = $1) AND ",
            $which
        )
    };
}

/// Memory of those that have a stager.
const HELD: &str = of_organization!(
    "CAST(COALESCE(SUM(CASE WHEN a.memory > $2 THEN a.memory ELSE $2 END), 0) AS BIGINT)",
    "t.stager_id <> ''"
);
const CONFIRMED: &str = of_organization!(
    "CAST(COALESCE(SUM(CASE WHEN a.memory > $2 THEN a.memory ELSE $2 END), 0) AS BIGINT)",
    "t.stager_id <> '' AND t.state = 'SET_UP'"
);
/// Those that wait and came before the task $2; all that wait when there is no such task yet.
const BEFORE: &str = of_organization!(
    "COUNT(*)",
    "t.stager_id = '' AND NOT EXISTS (SELECT 1 FROM staging_tasks mine WHERE mine.task_id = $2 AND \
     (mine.created_at < t.created_at OR mine.created_at = t.created_at AND mine.task_id < t.task_id))"
);

macro_rules! load {
    ($executor:expr, $task:expr, $least:expr) => {{
        let organizations: i64 = query_scalar("SELECT COUNT(*) FROM organizations")
            .fetch_one($executor)
            .await?;
        let (app, task) = ($task.app_guid.as_str(), $task.task_id.as_str());
        let held = query_scalar(HELD).bind(app).bind($least);
        let held: i64 = held.fetch_one($executor).await?;
        let confirmed = query_scalar(CONFIRMED).bind(app).bind($least);
        let confirmed: i64 = confirmed.fetch_one($executor).await?;
        let before = query_scalar(BEFORE).bind(app).bind(task);
        let before: i64 = before.fetch_one($executor).await?;
        StagingLoad {
            organizations,
            held,
            confirmed,
            before,
        }
    }};
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
        let sql = "SELECT * FROM staging_tasks WHERE state <> 'DONE' AND deadline < $1";
        many(query(sql).bind(now).fetch_all(self.db.reader()).await?)
    }

    /// What else the app's organization stages; `least` MB count for each.
    pub(crate) async fn staging_load(
        &self,
        task: &StagingTask,
        least: i64,
    ) -> Result<StagingLoad, StoreError> {
        Ok(load!(self.db.reader(), task, least))
    }

    /// A task by its id.
    pub(crate) async fn staging_task(&self, id: &str) -> Result<Option<StagingTask>, StoreError> {
        optional(
            query(BY_ID)
                .bind(id)
                .fetch_optional(self.db.reader())
                .await?,
        )
    }

    /// Whether a staging waits for somebody who drives it.
    pub(crate) async fn has_orphaned_stagings(&self) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM staging_tasks WHERE state = 'OPEN' AND driven_until < $1 AND deadline >= $1 LIMIT 1";
        Ok(query(sql)
            .bind(super::now_micros())
            .exists(self.db.reader())
            .await?)
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

/// One task.
const BY_ID: &str = "SELECT * FROM staging_tasks WHERE task_id = $1";

impl Tx {
    /// A task by its id.
    pub(crate) async fn staging_task(
        &mut self,
        id: &str,
    ) -> Result<Option<StagingTask>, StoreError> {
        optional(
            query(BY_ID)
                .bind(id)
                .fetch_optional(&mut self.inner)
                .await?,
        )
    }

    /// As [`Store::staging_load`], with the write lock held.
    pub(crate) async fn staging_load(
        &mut self,
        task: &StagingTask,
        least: i64,
    ) -> Result<StagingLoad, StoreError> {
        Ok(load!(&mut self.inner, task, least))
    }

    /// A task that waited for its turn has a stager from now on; false when it was given up.
    pub(crate) async fn give_stager(
        &mut self,
        task_id: &str,
        stager: &str,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE staging_tasks SET stager_id = $2 WHERE task_id = $1 AND state = 'OPEN'";
        let done = query(sql).bind(task_id).bind(stager);
        Ok(done.execute(&mut self.inner).await?.rows_affected() > 0)
    }

    /// Opens a task and closes every other of the app.
    pub(crate) async fn open_staging(&mut self, task: &StagingTask) -> Result<(), StoreError> {
        query("DELETE FROM staging_tasks WHERE app_guid = $1")
            .bind(&task.app_guid)
            .execute(&mut self.inner)
            .await?;
        query(
            "INSERT INTO staging_tasks (task_id, app_guid, version, stager_id, state, deadline, created_at, driver, driven_until) \
             VALUES ($1,$2,$3,$4,'OPEN',$5,$6,$7,$8)",
        )
        .bind(&task.task_id)
        .bind(&task.app_guid)
        .bind(&task.version)
        .bind(&task.stager_id)
        .bind(task.deadline)
        .bind(self.now)
        .bind(&task.driver)
        .bind(task.driven_until)
        .execute(&mut self.inner)
        .await?;
        Ok(())
    }

    /// Prolongs a driver's lease; false when it is somebody else's by now, or over.
    pub(crate) async fn renew_staging(
        &mut self,
        task_id: &str,
        driver: &str,
        until: i64,
    ) -> Result<bool, StoreError> {
        let done =
            query("UPDATE staging_tasks SET driven_until = $3 WHERE task_id = $1 AND driver = $2 AND state <> 'DONE'")
                .bind(task_id)
                .bind(driver)
                .bind(until)
                .execute(&mut self.inner)
                .await?;
        Ok(done.rows_affected() > 0)
    }

    /// A stager confirmed the task: it needs no driver any more.
    pub(crate) async fn confirm_staging(&mut self, task_id: &str) -> Result<(), StoreError> {
        let sql = "UPDATE staging_tasks SET state = 'SET_UP' WHERE task_id = $1 AND state = 'OPEN'";
        query(sql).bind(task_id).execute(&mut self.inner).await?;
        Ok(())
    }

    /// Takes over the unconfirmed tasks of drivers whose leases ran out.
    pub(crate) async fn adopt_stagings(
        &mut self,
        driver: &str,
        until: i64,
    ) -> Result<Vec<StagingTask>, StoreError> {
        let rows = query(
            "UPDATE staging_tasks SET driver = $1, driven_until = $2 \
             WHERE state = 'OPEN' AND driven_until < $3 AND deadline >= $3 RETURNING *",
        )
        .bind(driver)
        .bind(until)
        .bind(self.now)
        .fetch_all(&mut self.inner)
        .await?;
        many(rows)
    }

    /// The droplet is there; what the stager has still to say or send is awaited.
    pub(crate) async fn note_upload(&mut self, task_id: &str) -> Result<(), StoreError> {
        let sql = "UPDATE staging_tasks SET state = 'UPLOADED' WHERE task_id = $1";
        query(sql).bind(task_id).execute(&mut self.inner).await?;
        Ok(())
    }

    /// From now on nothing is taken from this task.
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
