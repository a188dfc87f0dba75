//! Blobs nobody refers to any more: packages of earlier pushes and of deleted apps, their droplets and build caches.
//!
//! Also what uploads left in flight when a controller was killed.
//!
//! Looked for now and then. What is younger than [`AGE`] stays, because a blob is stored before the row that refers to it. A blob is
//! deleted inside a write transaction, and whoever begins to refer to one looks inside theirs whether it is there: so no row
//! ever refers to a blob that is gone. Resources stay: they are what the next push does not have to send.

use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::blobs::Place;
use crate::controller::{Ctl, UPLOAD_PREFIX};
use crate::failure::Outcome;
use crate::store::now_micros;

/// Age below which nothing is collected: a day.
const AGE: Duration = Duration::from_secs(24 * 3600);

/// Deletes what is old enough and referred to by no row; gives the number.
pub(crate) async fn collect(ctl: &Ctl) -> Outcome<usize> {
    let limit = now_micros() - AGE.as_micros() as i64;
    let mut deleted = 0;
    for place in ctl.blobs.older_than(limit).await? {
        if !ctl.store.refers_to(&place).await? && delete(ctl, &place, limit).await? {
            deleted += 1;
        }
    }
    let (uploads, before) = (ctl.config.uploads(), SystemTime::now() - AGE);
    tokio::task::spawn_blocking(move || remove_uploads(&uploads, before))
        .await
        .map_err(std::io::Error::other)??;
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

/// Removes directories of uploads begun before this time. Blocking.
fn remove_uploads(directory: &Path, before: SystemTime) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let is_ours = entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(UPLOAD_PREFIX.as_bytes());
        let meta = entry.metadata()?;
        if is_ours && meta.is_dir() && meta.modified()? < before {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_old_directories_of_uploads_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["cc-left", "cc-new", "other"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        std::fs::write(dir.path().join("cc-file"), b"x").unwrap();
        let limit = SystemTime::now() - AGE;
        for name in ["cc-left", "other", "cc-file"] {
            let file = std::fs::File::open(dir.path().join(name)).unwrap();
            file.set_modified(limit - AGE).unwrap();
        }
        remove_uploads(dir.path(), limit).unwrap();
        let mut left: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["cc-file", "cc-new", "other"]);
        remove_uploads(&dir.path().join("missing"), limit).unwrap();
    }
}
