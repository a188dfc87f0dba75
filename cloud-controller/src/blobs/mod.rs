//! The blobstore: packages, droplets, buildpacks, caches and single app files, by hash, through `object_store`.
//!
//! A torn upload is never visible, and what is read is checked against its sha1.

mod backend;
mod place;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _};
use object_store::signer::Signer;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt as _, PutPayload};
use sha1::{Digest as _, Sha1};
use tokio::io::AsyncReadExt as _;

use crate::config::BlobService;
pub use place::Place;

/// Size of the parts of an upload; S3 takes none below 5 MiB but the last.
const PART: usize = 8 * 1024 * 1024;

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
    /// The file with the service's credentials is of no use.
    #[error("credentials_file {path}: {why}")]
    Credentials {
        /// The file.
        path: String,
        /// Why.
        why: String,
    },
    /// The content does not have the hash it is stored under.
    #[error("blob {key} is damaged: its sha1 is {found}")]
    Damaged {
        /// Key.
        key: String,
        /// Hash of what was read.
        found: String,
    },
}

/// The blobstore. Cheap to clone.
#[derive(Clone)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    /// Signs addresses, where the service does.
    signer: Option<Arc<dyn Signer>>,
    /// Where it lies, for errors: the store's own do not always say.
    place: String,
}

impl Blobs {
    /// Blobs in a directory, made if missing.
    ///
    /// # Errors
    /// [`BlobError`] when the directory cannot be used.
    pub fn local(directory: &Path) -> Result<Blobs, BlobError> {
        Blobs::open(&BlobService::Directory, directory)
    }

    /// Blobs where the configuration wants them.
    ///
    /// # Errors
    /// [`BlobError`] when the directory or the credentials cannot be used. A service that is away is found out later.
    pub fn open(service: &BlobService, directory: &Path) -> Result<Blobs, BlobError> {
        let backend = backend::open(service, directory)?;
        Ok(Blobs {
            store: backend.store,
            signer: backend.signer,
            place: backend.place,
        })
    }

    /// An address at which anybody may fetch this blob for a while; absent when content is passed through the controller.
    ///
    /// # Errors
    /// [`BlobError`] when it cannot be signed.
    pub async fn signed_url(
        &self,
        place: &Place,
        valid: Duration,
    ) -> Result<Option<String>, BlobError> {
        let Some(signer) = &self.signer else {
            return Ok(None);
        };
        let path = place.path();
        let url = signer.signed_url(http::Method::GET, &path, valid).await?;
        Ok(Some(url.to_string()))
    }

    /// Keeps a few bytes.
    ///
    /// # Errors
    /// [`BlobError`]; then nothing is visible.
    pub async fn put_bytes(&self, place: &Place, bytes: Vec<u8>) -> Result<(), BlobError> {
        let done = self.store.put(&place.path(), PutPayload::from(bytes)).await;
        done.map_err(|source| self.unwritten(source))?;
        Ok(())
    }

    /// All of a small blob; `None` when there is none.
    ///
    /// # Errors
    /// [`BlobError`] when the store is away.
    pub async fn get_bytes(&self, place: &Place) -> Result<Option<Bytes>, BlobError> {
        match self.store.get(&place.path()).await {
            Ok(found) => Ok(Some(found.bytes().await?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn unwritten(&self, source: object_store::Error) -> BlobError {
        BlobError::Write {
            place: self.place.clone(),
            source,
        }
    }

    /// Keeps a file.
    ///
    /// # Errors
    /// [`BlobError`]; then nothing is visible.
    pub async fn put(&self, place: &Place, file: &Path) -> Result<(), BlobError> {
        let mut file = tokio::fs::File::open(file).await?;
        let first = read_part(&mut file).await?;
        if first.len() < PART {
            return self.put_bytes(place, first).await;
        }
        let begun = self.store.put_multipart(&place.path()).await;
        let mut upload = begun.map_err(|source| self.unwritten(source))?;
        let sent = self.send(upload.as_mut(), first, &mut file).await;
        if sent.is_err() {
            // Parts that nobody completes would be kept, and paid for.
            let _ = upload.abort().await;
        }
        sent
    }

    /// Sends all parts, and completes the upload.
    async fn send(
        &self,
        upload: &mut dyn MultipartUpload,
        mut part: Vec<u8>,
        file: &mut tokio::fs::File,
    ) -> Result<(), BlobError> {
        while !part.is_empty() {
            let sent = upload.put_part(PutPayload::from(part)).await;
            sent.map_err(|source| self.unwritten(source))?;
            part = read_part(file).await?;
        }
        let done = upload.complete().await;
        done.map_err(|source| self.unwritten(source))?;
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

    /// Files, packages, manifests, droplets and build caches stored before this time, unix microseconds.
    ///
    /// # Errors
    /// [`BlobError`] when the store is away.
    pub async fn older_than(&self, limit: i64) -> Result<Vec<Place>, BlobError> {
        let mut old = Vec::new();
        for folder in ["cc-resources", "cc-packages", "cc-manifests", "cc-droplets"] {
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
