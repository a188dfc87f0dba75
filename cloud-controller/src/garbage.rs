//! Blobs nobody refers to any more: packages of earlier pushes and of deleted apps, their droplets and build caches.
//!
//! Looked for now and then. What is younger than [`AGE`] stays, because a blob is stored before the row that refers to it. A blob is
//! deleted inside a write transaction, and whoever begins to refer to one looks inside theirs whether it is there: so no row
//! ever refers to a blob that is gone. Resources stay: they are what the next push does not have to send.

use crate::blobs::Place;
use crate::controller::Ctl;
use crate::failure::Outcome;
use crate::store::now_micros;

/// Age below which nothing is collected, microseconds: a day.
const AGE: i64 = 24 * 3600 * 1_000_000;

/// Deletes what is old enough and referred to by no row; gives the number.
pub(crate) async fn collect(ctl: &Ctl) -> Outcome<usize> {
    let limit = now_micros() - AGE;
    let mut deleted = 0;
    for place in ctl.blobs.older_than(limit).await? {
        if !ctl.store.refers_to(&place).await? && delete(ctl, &place, limit).await? {
            deleted += 1;
        }
    }
    if deleted > 0 {
        tracing::info!(deleted, "blobs nobody referred to");
    }
    Ok(deleted)
}

/// Looks again with the write lock held: meanwhile somebody may have stored the same content anew.
async fn delete(ctl: &Ctl, place: &Place, limit: i64) -> Outcome<bool> {
    let mut tx = ctl.store.begin().await?;
    if tx.refers_to(place).await? || !ctl.blobs.is_older(place, limit).await? {
        return Ok(false);
    }
    ctl.blobs.delete(place).await?;
    tx.commit().await?;
    Ok(true)
}
