//! The service behind the blobstore, as configured.

use std::path::Path;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::prefix::PrefixStore;
use object_store::signer::Signer;

use super::BlobError;
use crate::config::{BlobService, S3Config};

/// An opened service.
pub(super) struct Backend {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) signer: Option<Arc<dyn Signer>>,
    /// Where it lies, for errors.
    pub(super) place: String,
}

pub(super) fn open(service: &BlobService, directory: &Path) -> Result<Backend, BlobError> {
    match service {
        BlobService::Directory => {
            // Behind a closed door nobody reads the blobs, whatever mode they have.
            component::private::directory(directory)?;
            let store = LocalFileSystem::new_with_prefix(directory)?.with_fsync(true);
            Ok(Backend {
                store: Arc::new(store),
                signer: None,
                place: directory.display().to_string(),
            })
        }
        BlobService::Memory => {
            tracing::warn!("blobs are kept in memory: packages and droplets end with this process");
            Ok(Backend {
                store: Arc::new(InMemory::new()),
                signer: None,
                place: "memory".into(),
            })
        }
        BlobService::S3(config) => s3(config),
    }
}

fn s3(config: &S3Config) -> Result<Backend, BlobError> {
    let store = Arc::new(client(config)?);
    let place = format!(
        "bucket {}{}",
        config.bucket,
        config
            .endpoint
            .as_ref()
            .map_or_else(String::new, |at| format!(" at {at}"))
    );
    if config.prefix.is_empty() {
        return Ok(Backend {
            signer: config.redirect.then(|| store.clone() as Arc<dyn Signer>),
            store,
            place,
        });
    }
    // Addresses below a prefix would have to be signed with it: they are not handed out.
    Ok(Backend {
        store: Arc::new(PrefixStore::new(store, config.prefix.as_str())),
        signer: None,
        place,
    })
}

/// Credentials come from the file, or as usual from the environment or the machine's role.
fn client(config: &S3Config) -> Result<AmazonS3, BlobError> {
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(&config.bucket)
        .with_region(&config.region);
    if let Some(endpoint) = &config.endpoint {
        builder = builder
            .with_endpoint(endpoint)
            .with_allow_http(endpoint.starts_with("http://"));
    }
    if let Some(path) = &config.credentials_file {
        let (id, secret) = credentials(path)?;
        builder = builder
            .with_access_key_id(id)
            .with_secret_access_key(secret);
    }
    Ok(builder.build()?)
}

/// Key id and secret: two words, on one line or two.
fn credentials(path: &Path) -> Result<(String, String), BlobError> {
    let failed = |why: String| BlobError::Credentials {
        path: path.display().to_string(),
        why,
    };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let mut words = text.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(id), Some(secret), None) => Ok((id.to_owned(), secret.to_owned())),
        _ => Err(failed(
            "must hold two words: the access key's id and its secret".into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_directory_of_blobs_is_ours_alone() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        let fresh = dir.path().join("data/blobs");
        open(&BlobService::Directory, &fresh).unwrap();
        assert_eq!(
            (mode(&fresh), mode(fresh.parent().unwrap())),
            (0o700, 0o700)
        );
    }
}
