//! Blobs nobody refers to any more: packages of earlier pushes and of deleted apps, their droplets and build caches, and files that
//! no package holds.
//!
//! Also what uploads left in flight when a controller was killed.
//!
//! Looked for now and then. What is younger than the configured grace stays, because a blob is stored before the row that refers to
//! it. A blob is deleted inside a write transaction, and whoever begins to refer to one looks inside theirs whether it is there: so no
//! row ever refers to a blob that is gone.
//!
//! Files (what the next push does not have to send) are referred to by the manifests of packages. One that no live package holds is
//! first condemned: clients are not told any more that we have it. A grace later, when every upload that was told so before is over,
//! it is deleted. Who sends it meanwhile saves it.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::blobs::Place;
use crate::controller::{Ctl, UPLOAD_PREFIX};
use crate::failure::Outcome;
use crate::store::now_micros;

/// What one look does with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sentence {
    /// A package holds it, or it is condemned not long enough.
    Keep,
    /// Nobody is told of it from now on.
    Condemn,
    /// It goes.
    Delete,
}

/// Pure. `since` is when it was condemned, `limit` a grace ago; both unix microseconds.
fn sentence(is_held: bool, since: Option<i64>, limit: i64) -> Sentence {
    match (is_held, since) {
        (true, _) => Sentence::Keep,
        (false, None) => Sentence::Condemn,
        (false, Some(since)) if since < limit => Sentence::Delete,
        (false, Some(_)) => Sentence::Keep,
    }
}

/// Deletes what is old enough and referred to by nothing; gives the number.
pub(crate) async fn collect(ctl: &Ctl) -> Outcome<usize> {
    let grace = Duration::from_secs(ctl.config.blob_grace_seconds.into());
    let limit = now_micros() - i64::try_from(grace.as_micros()).unwrap_or(i64::MAX / 2);
    let (files, others): (Vec<_>, Vec<_>) = ctl
        .blobs
        .older_than(limit)
        .await?
        .into_iter()
        .partition(|place| matches!(place, Place::Resource(_)));
    let mut deleted = 0;
    for place in others {
        if !ctl.store.refers_to(&place).await? && delete(ctl, &place, limit).await? {
            deleted += 1;
        }
    }
    deleted += collect_files(ctl, files, limit).await?;
    let (uploads, before) = (ctl.config.uploads(), SystemTime::now() - grace);
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

/// Judges files: first condemned, a grace later deleted.
async fn collect_files(ctl: &Ctl, files: Vec<Place>, limit: i64) -> Outcome<usize> {
    let condemned = ctl.store.condemned().await?;
    if files.is_empty() && condemned.is_empty() {
        return Ok(0);
    }
    let held = held_files(ctl).await?;
    let mut deleted = 0;
    for place in files {
        let Place::Resource(sha1) = &place else {
            continue;
        };
        match sentence(held.contains(sha1), since(&condemned, sha1), limit) {
            Sentence::Keep => {}
            Sentence::Condemn => {
                let mut tx = ctl.store.begin().await?;
                tx.condemn(sha1).await?;
                tx.commit().await?;
            }
            Sentence::Delete => {
                deleted += usize::from(delete_file(ctl, &place, sha1, limit).await?)
            }
        }
    }
    // Twice the grace: whoever deleted a blob and died before its row went.
    let grace = now_micros() - limit;
    if condemned.values().any(|since| *since < limit - grace) {
        let mut tx = ctl.store.begin().await?;
        tx.forget_condemned(limit - grace).await?;
        tx.commit().await?;
    }
    Ok(deleted)
}

fn since(condemned: &HashMap<String, i64>, sha1: &str) -> Option<i64> {
    condemned.get(sha1).copied()
}

/// Deletes a condemned file, unless somebody sent it meanwhile.
async fn delete_file(ctl: &Ctl, place: &Place, sha1: &str, limit: i64) -> Outcome<bool> {
    let mut tx = ctl.store.begin().await?;
    if !tx.is_condemned(sha1, limit).await? || !ctl.blobs.is_older(place, limit).await? {
        return Ok(false);
    }
    ctl.blobs.delete(place).await?;
    tx.uncondemn(sha1).await?;
    tx.disown(sha1).await?;
    tx.commit().await?;
    Ok(true)
}

/// The files in the packages of all apps. A package without a manifest (stored by an earlier version) protects none: its files are
/// in it all the same, only the next push sends them again.
async fn held_files(ctl: &Ctl) -> Outcome<HashSet<String>> {
    let mut held = HashSet::new();
    for package in ctl.store.package_hashes().await? {
        if let Some(manifest) = ctl.blobs.get_bytes(&Place::Manifest(package)).await? {
            let text = String::from_utf8_lossy(&manifest);
            held.extend(text.lines().map(str::to_owned));
        }
    }
    Ok(held)
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

    const AGE: Duration = Duration::from_secs(24 * 3600);

    #[test]
    fn a_file_no_package_holds_is_condemned_first_and_deleted_a_grace_later() {
        let table = [
            (true, None, Sentence::Keep),
            (true, Some(5), Sentence::Keep),
            (false, None, Sentence::Condemn),
            (false, Some(10), Sentence::Keep),
            (false, Some(9), Sentence::Delete),
        ];
        for (is_held, since, expected) in table {
            assert_eq!(
                sentence(is_held, since, 10),
                expected,
                "{is_held} {since:?}"
            );
        }
    }

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
