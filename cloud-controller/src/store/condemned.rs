//! Files of apps that no package holds: clients are not told any more that we have them, and some time later they are deleted.

use std::collections::HashMap;

use database::{query, query_scalar};

use super::{Store, StoreError, Tx};

impl Store {
    /// Condemned files and since when, unix microseconds.
    pub(crate) async fn condemned(&self) -> Result<HashMap<String, i64>, StoreError> {
        let rows = query("SELECT sha1, since FROM condemned_blobs")
            .fetch_all(self.db.reader())
            .await?;
        rows.iter()
            .map(|row| Ok((row.try_get("sha1")?, row.try_get("since")?)))
            .collect()
    }

    /// The packages of all apps.
    pub(crate) async fn package_hashes(&self) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT DISTINCT package_hash FROM apps WHERE package_hash IS NOT NULL";
        Ok(query_scalar(sql).fetch_all(self.db.reader()).await?)
    }
}

impl Tx {
    /// Condemns a file from now on; one that is condemned already stays so since then.
    pub(crate) async fn condemn(&mut self, sha1: &str) -> Result<(), StoreError> {
        query("INSERT INTO condemned_blobs (sha1, since) VALUES ($1, $2) ON CONFLICT (sha1) DO NOTHING")
            .bind(sha1)
            .bind(self.now)
            .execute(&mut self.inner)
            .await?;
        Ok(())
    }

    /// Whether the file is condemned since before this time.
    pub(crate) async fn is_condemned(
        &mut self,
        sha1: &str,
        before: i64,
    ) -> Result<bool, StoreError> {
        Ok(
            query("SELECT 1 FROM condemned_blobs WHERE sha1 = $1 AND since < $2")
                .bind(sha1)
                .bind(before)
                .exists(&mut self.inner)
                .await?,
        )
    }

    /// The file is wanted again, or gone.
    pub(crate) async fn uncondemn(&mut self, sha1: &str) -> Result<(), StoreError> {
        self.run_each(&["DELETE FROM condemned_blobs WHERE sha1 = $1"], sha1)
            .await
    }

    /// Forgets what is condemned for so long that its blob must be gone (a controller died between the two).
    pub(crate) async fn forget_condemned(&mut self, before: i64) -> Result<(), StoreError> {
        query("DELETE FROM condemned_blobs WHERE since < $1")
            .bind(before)
            .execute(&mut self.inner)
            .await?;
        Ok(())
    }
}
