//! Jobs: work whose end a client polls.
use database::query;
use v2_api::{ApiError, Job, JobStatus};

use super::{Store, StoreError, Tx};
use crate::api::times::rfc3339;

impl Store {
    pub(crate) async fn job(&self, guid: &str) -> Result<Option<Job>, StoreError> {
        let row = query("SELECT * FROM jobs WHERE guid = $1")
            .bind(guid)
            .fetch_optional(self.db.reader())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let code: Option<i64> = row.try_get("error_code")?;
        let name: Option<String> = row.try_get("error_name")?;
        let text: Option<String> = row.try_get("error_text")?;
        Ok(Some(Job {
            guid: row.try_get("guid")?,
            status: JobStatus::parse(&row.try_get::<String, _>("status")?),
            created_at: rfc3339(row.try_get("created_at")?),
            error: code.map(|code| {
                (
                    u32::try_from(code).unwrap_or(10001),
                    name.unwrap_or_default(),
                    text.unwrap_or_default(),
                )
            }),
        }))
    }
}

impl Tx {
    /// Writes a job's state; the first write makes it.
    pub(crate) async fn save_job(
        &mut self,
        guid: &str,
        status: JobStatus,
        error: Option<&ApiError>,
    ) -> Result<(), StoreError> {
        query(
            "INSERT INTO jobs (guid, status, error_code, error_name, error_text, created_at) VALUES ($1,$2,$3,$4,$5,$6) \
             ON CONFLICT (guid) DO UPDATE SET status = $2, error_code = $3, error_name = $4, error_text = $5",
        )
        .bind(guid)
        .bind(status.as_str())
        .bind(error.map(|e| i64::from(e.row().code)))
        .bind(error.map(|e| format!("CF-{}", e.row().name)))
        .bind(error.map(|e| e.description.clone()))
        .bind(self.now)
        .execute(&mut self.inner)
        .await?;
        Ok(())
    }

    /// Jobs a dead process left unfinished fail with this text; old ones are forgotten.
    pub(crate) async fn sweep_jobs(
        &mut self,
        unfinished_before: i64,
        forget_before: i64,
    ) -> Result<(), StoreError> {
        query(
            "UPDATE jobs SET status = 'failed', error_code = 290006, error_name = 'CF-JobTimeout', \
             error_text = 'The controller was restarted or the job took too long. Try again.' \
             WHERE status IN ('queued', 'running') AND created_at < $1",
        )
        .bind(unfinished_before)
        .execute(&mut self.inner)
        .await?;
        query("DELETE FROM jobs WHERE created_at < $1")
            .bind(forget_before)
            .execute(&mut self.inner)
            .await?;
        Ok(())
    }
}
