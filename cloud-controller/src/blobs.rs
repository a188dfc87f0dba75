//! The blobstore: packages, droplets, buildpacks, caches and single app files, by hash, through `object_store`.
//!
//! A torn upload is never visible, and what is read is checked against its sha1.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _};
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use sha1::{Digest as _, Sha1};
use tokio::io::AsyncReadExt as _;

/// Size of the parts of an upload.
const PART: usize = 4 * 1024 * 1024;

/// Characters of a guid.
const GUID: usize = 36;

/// Why a blob could not be kept or fetched.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// The store refused.
    #[error("{0}")]
    Store(#[from] object_store::Error),
    /// The store could not keep a blob.
    #[error("cannot write below {place}: {source}")]
    Write {
        /// Where the store lies.
        place: String,
        /// Cause.
        source: object_store::Error,
    },
    /// A local file failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The content does not have the hash it is stored under.
    #[error("blob {key} is damaged: its sha1 is {found}")]
    Damaged {
        /// Key.
        key: String,
        /// Hash of what was read.
        found: String,
    },
}

/// Where a blob is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// One file of an app, by its sha1.
    Resource(String),
    /// An app package, by its sha1.
    Package(String),
    /// A droplet: app guid, sha1.
    Droplet(String, String),
    /// A build cache: app guid, stack name.
    BuildpackCache(String, String),
    /// A buildpack: guid, sha1.
    Buildpack(String, String),
}

impl Place {
    fn path(&self) -> object_store::path::Path {
        let (folder, key) = match self {
            Place::Resource(sha1) => ("cc-resources", sha1.clone()),
            Place::Package(sha1) => ("cc-packages", sha1.clone()),
            Place::Droplet(app, sha1) => ("cc-droplets", format!("{app}/{sha1}")),
            Place::BuildpackCache(app, stack) => {
                ("cc-droplets/buildpack_cache", format!("{app}-{stack}"))
            }
            Place::Buildpack(guid, sha1) => ("cc-buildpacks", format!("{guid}_{sha1}")),
        };
        let key = key.to_lowercase();
        let part = |from: usize| key.get(from..from + 2).unwrap_or("__").to_owned();
        object_store::path::Path::from(format!("{folder}/{}/{}/{key}", part(0), part(2)))
    }

    /// The place behind a stored path: what [`Place::path`] made of a package, droplet or build cache.
    fn parse(path: &str) -> Option<Place> {
        match path.split('/').collect::<Vec<_>>()[..] {
            ["cc-packages", _, _, sha1] => Some(Place::Package(sha1.to_owned())),
            ["cc-droplets", "buildpack_cache", _, _, key] => {
                let (app, stack) = key.split_at_checked(GUID)?;
                let stack = stack.strip_prefix('-')?;
                Some(Place::BuildpackCache(app.to_owned(), stack.to_owned()))
            }
            ["cc-droplets", _, _, app, sha1] => {
                Some(Place::Droplet(app.to_owned(), sha1.to_owned()))
            }
            _ => None,
        }
    }

    /// The sha1 the content must have, where the key says it.
    fn sha1(&self) -> Option<&str> {
        match self {
            Place::Resource(sha1)
            | Place::Package(sha1)
            | Place::Droplet(_, sha1)
            | Place::Buildpack(_, sha1) => Some(sha1),
            Place::BuildpackCache(..) => None,
        }
    }
}

/// The blobstore. Cheap to clone.
#[derive(Clone)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    /// Where it lies, for errors: the store's own do not always say.
    place: String,
}

impl Blobs {
    /// Blobs in a directory, made if missing.
    ///
    /// # Errors
    /// [`BlobError`] when the directory cannot be used.
    pub fn local(directory: &Path) -> Result<Blobs, BlobError> {
        std::fs::create_dir_all(directory)?;
        let store = LocalFileSystem::new_with_prefix(directory)?.with_fsync(true);
        Ok(Blobs {
            store: Arc::new(store),
            place: directory.display().to_string(),
        })
    }

    /// Keeps a file.
    ///
    /// # Errors
    /// [`BlobError`]; then nothing is visible.
    pub async fn put(&self, place: &Place, file: &Path) -> Result<(), BlobError> {
        let mut file = tokio::fs::File::open(file).await?;
        let failed = |source| BlobError::Write {
            place: self.place.clone(),
            source,
        };
        let mut upload = self
            .store
            .put_multipart(&place.path())
            .await
            .map_err(failed)?;
        loop {
            let part = read_part(&mut file).await?;
            if part.is_empty() {
                break;
            }
            let last = part.len() < PART;
            if let Err(error) = upload.put_part(PutPayload::from(part)).await {
                let _ = upload.abort().await;
                return Err(failed(error));
            }
            if last {
                break;
            }
        }
        upload.complete().await.map_err(failed)?;
        Ok(())
    }

    /// Whether a blob is there.
    ///
    /// # Errors
    /// [`BlobError`] when the store is away.
    pub async fn has(&self, place: &Place) -> Result<bool, BlobError> {
        match self.store.head(&place.path()).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Size and content; `None` when there is none. The stream ends in an error if the content is damaged.
    ///
    /// # Errors
    /// [`BlobError`] when the store is away.
    pub async fn get(
        &self,
        place: &Place,
    ) -> Result<Option<(u64, BoxStream<'static, Result<Bytes, BlobError>>)>, BlobError> {
        let found = match self.store.get(&place.path()).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let size = found.meta.size;
        Ok(Some((
            size,
            verified(found.into_stream(), place.sha1().map(str::to_owned)),
        )))
    }

    /// Fetches into a file; false when there is none.
    ///
    /// # Errors
    /// [`BlobError`], also when the content is damaged.
    pub async fn fetch(&self, place: &Place, file: &Path) -> Result<bool, BlobError> {
        let Some((_, mut content)) = self.get(place).await? else {
            return Ok(false);
        };
        let mut out = tokio::fs::File::create(file).await?;
        while let Some(chunk) = content.next().await {
            tokio::io::AsyncWriteExt::write_all(&mut out, &chunk?).await?;
        }
        tokio::io::AsyncWriteExt::flush(&mut out).await?;
        Ok(true)
    }

    /// Packages, droplets and build caches stored before this time, unix microseconds.
    ///
    /// # Errors
    /// [`BlobError`] when the store is away.
    pub async fn older_than(&self, limit: i64) -> Result<Vec<Place>, BlobError> {
        let mut old = Vec::new();
        for folder in ["cc-packages", "cc-droplets"] {
            let mut all = self.store.list(Some(&folder.into()));
            while let Some(found) = all.next().await {
                let found = found?;
                if found.last_modified.timestamp_micros() < limit {
                    old.extend(Place::parse(found.location.as_ref()));
                }
            }
        }
        Ok(old)
    }

    /// Whether a blob is there and was stored before this time, unix microseconds.
    ///
    /// # Errors
    /// [`BlobError`] when the store is away.
    pub async fn is_older(&self, place: &Place, limit: i64) -> Result<bool, BlobError> {
        match self.store.head(&place.path()).await {
            Ok(found) => Ok(found.last_modified.timestamp_micros() < limit),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a blob; a missing one is fine.
    ///
    /// # Errors
    /// [`BlobError`] when the store is away.
    pub async fn delete(&self, place: &Place) -> Result<(), BlobError> {
        match self.store.delete(&place.path()).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

async fn read_part(file: &mut tokio::fs::File) -> std::io::Result<Vec<u8>> {
    let mut part = Vec::with_capacity(PART);
    file.take(PART as u64).read_to_end(&mut part).await?;
    Ok(part)
}

fn verified(
    content: BoxStream<'static, object_store::Result<Bytes>>,
    expected: Option<String>,
) -> BoxStream<'static, Result<Bytes, BlobError>> {
    let state = (content, Sha1::new(), expected);
    futures_util::stream::unfold(state, |(mut content, mut hash, mut expected)| async move {
        match content.next().await {
            Some(Ok(chunk)) => {
                hash.update(&chunk);
                Some((Ok(chunk), (content, hash, expected)))
            }
            Some(Err(error)) => Some((Err(error.into()), (content, hash, None))),
            None => {
                let found = hex::encode(hash.finalize_reset());
                let key = expected.take().filter(|key| *key != found)?;
                Some((
                    Err(BlobError::Damaged { key, found }),
                    (content, hash, None),
                ))
            }
        }
    })
    .boxed()
}

/// sha1 of a file, hex; blocking.
///
/// # Errors
/// When the file cannot be read.
pub fn sha1_of_file(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?;
    let mut hash = Sha1::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = std::io::Read::read(&mut file, &mut buffer)?;
        if read == 0 {
            return Ok(hex::encode(hash.finalize()));
        }
        hash.update(&buffer[..read]);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_stored_path_leads_back_to_its_place() {
        let app = "0f0e0d0c-0000-4000-8000-000000000001".to_owned();
        for place in [
            Place::Package("ab".repeat(20)),
            Place::Droplet(app.clone(), "cd".repeat(20)),
            Place::BuildpackCache(app, "host".into()),
        ] {
            assert_eq!(Place::parse(place.path().as_ref()), Some(place));
        }
        let kept = Place::Resource("ab".repeat(20));
        assert_eq!(Place::parse(kept.path().as_ref()), None);
    }

    #[tokio::test]
    async fn a_damaged_blob_is_noticed_when_read() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::local(&dir.path().join("blobs")).unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, b"hello").unwrap();
        let good = Place::Package(sha1_of_file(&file).unwrap());
        let wrong = Place::Package("0".repeat(40));
        blobs.put(&good, &file).await.unwrap();
        blobs.put(&wrong, &file).await.unwrap();
        assert!(blobs.fetch(&good, &dir.path().join("out")).await.unwrap());
        assert!(matches!(
            blobs.fetch(&wrong, &dir.path().join("out")).await,
            Err(BlobError::Damaged { .. })
        ));
        assert!(
            !blobs
                .fetch(&Place::Resource("1".repeat(40)), &dir.path().join("out"))
                .await
                .unwrap()
        );
    }
}
