//! Which rows refer to which blobs.

use database::query;

use super::{Store, StoreError, Tx};
use crate::blobs::Place;

/// The question for a kind of blob, and its two parameters; none: that kind is referred to as long as it exists.
fn question(place: &Place) -> Option<(&'static str, &str, &str)> {
    match place {
        Place::Package(sha1) => Some((
            "SELECT 1 FROM apps WHERE package_hash = $1 AND $2 = '' LIMIT 1",
            sha1,
            "",
        )),
        Place::Droplet(app, sha1) => Some((
            "SELECT 1 FROM droplets WHERE app_guid = $1 AND sha1 = $2 \
             UNION ALL SELECT 1 FROM processes WHERE app_guid = $1 AND droplet_hash = $2 LIMIT 1",
            app,
            sha1,
        )),
        Place::BuildpackCache(app, _) => Some((
            "SELECT 1 FROM apps WHERE guid = $1 AND $2 = '' LIMIT 1",
            app,
            "",
        )),
        Place::Resource(_) | Place::Buildpack(..) => None,
    }
}

impl Store {
    /// Whether a row refers to the blob.
    pub(crate) async fn refers_to(&self, place: &Place) -> Result<bool, StoreError> {
        let Some((sql, first, second)) = question(place) else {
            return Ok(true);
        };
        let found = query(sql)
            .bind(first)
            .bind(second)
            .exists(self.db.reader())
            .await?;
        Ok(found)
    }
}

impl Tx {
    /// As [`Store::refers_to`], with the write lock held.
    pub(crate) async fn refers_to(&mut self, place: &Place) -> Result<bool, StoreError> {
        let Some((sql, first, second)) = question(place) else {
            return Ok(true);
        };
        let found = query(sql)
            .bind(first)
            .bind(second)
            .exists(&mut self.inner)
            .await?;
        Ok(found)
    }
}
