//! Files of apps, and the spaces that have sent them.

use std::collections::HashSet;

use database::Builder;

use super::listing::{LENGTHS, MOST_AMONG, among};
use super::{Store, StoreError, Tx};

/// A file: sha1 in lower-case digits, bytes.
pub(crate) type File = (String, i64);

/// Whose files are looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Whose<'a> {
    /// Everybody's: an administrator may read all of them anyway.
    Anybodys,
    /// Those of the spaces where this user may read and write the bits of apps.
    Developers(&'a str),
}

impl Store {
    /// Which of these files, at most [`MOST_AMONG`], have been sent to a space of these, each with its size. With `to_tell` without
    /// those that are about to be deleted: whoever was told before may still use them.
    pub(crate) async fn owned_files(
        &self,
        whose: Whose<'_>,
        sha1s: &[&str],
        to_tell: bool,
    ) -> Result<HashSet<File>, StoreError> {
        let values: Vec<String> = sha1s.iter().map(|sha1| (*sha1).to_owned()).collect();
        let mut sql = Builder::new("SELECT DISTINCT o.sha1, o.size FROM resource_owners o WHERE ");
        among(&mut sql, "o.sha1", &values);
        if to_tell {
            sql.push(" AND o.sha1 NOT IN (SELECT sha1 FROM condemned_blobs)");
        }
        if let Whose::Developers(user) = whose {
            sql.push(" AND o.space_guid IN (SELECT target_guid FROM roles WHERE kind = 'space_developer' AND user_guid = ")
                .push_bind(user)
                .push(")");
        }
        let rows = sql.build().fetch_all(self.db.reader()).await?;
        rows.iter()
            .map(|row| Ok((row.try_get("sha1")?, row.try_get("size")?)))
            .collect()
    }

    /// Notes that a space has sent these files, in writes that are short, however many they are.
    pub(crate) async fn own_files(&self, space: &str, files: &[File]) -> Result<(), StoreError> {
        // Each takes its turn with what others write.
        const AT_ONCE: usize = 20 * MOST_AMONG;
        for part in files.chunks(AT_ONCE) {
            let mut tx = self.begin().await?;
            for rows in part.chunks(MOST_AMONG) {
                tx.own(space, rows).await?;
            }
            tx.commit().await?;
        }
        Ok(())
    }
}

impl Tx {
    async fn own(&mut self, space: &str, files: &[File]) -> Result<(), StoreError> {
        let length = LENGTHS.into_iter().find(|length| *length >= files.len());
        let missing = length.map_or(0, |length| length - files.len());
        let repeated = files.last().into_iter().cycle().take(missing);
        let mut sql = Builder::new("INSERT INTO resource_owners (space_guid, sha1, size) VALUES ");
        for (at, (sha1, size)) in files.iter().chain(repeated).enumerate() {
            sql.push(if at > 0 { ",(" } else { "(" })
                .push_bind(space)
                .push(",")
                .push_bind(sha1)
                .push(",")
                .push_bind(*size)
                .push(")");
        }
        sql.push(" ON CONFLICT DO NOTHING");
        sql.build().execute(&mut self.inner).await?;
        Ok(())
    }

    /// The file is gone: nobody has it.
    pub(crate) async fn disown(&mut self, sha1: &str) -> Result<(), StoreError> {
        self.run_each(&["DELETE FROM resource_owners WHERE sha1 = $1"], sha1)
            .await
    }
}
