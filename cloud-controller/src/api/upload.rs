//! Multipart fields into temporary files, counted while they arrive.

use std::path::Path;

use axum::extract::multipart::{Field, MultipartError};
use sha1::{Digest as _, Sha1};
use tokio::io::AsyncWriteExt as _;

/// Why a field could not be saved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    /// The request broke off or is no multipart.
    #[error("the upload broke off or is malformed: {0}")]
    Form(#[from] MultipartError),
    /// Larger than allowed.
    #[error("the upload is larger than {0} bytes")]
    TooLarge(u64),
    /// The temporary file failed.
    #[error("the upload could not be saved: {0}")]
    Io(#[from] std::io::Error),
}

/// A saved field.
pub(crate) struct Saved {
    /// Bytes.
    pub(crate) size: u64,
    /// Hex sha1 of the content.
    pub(crate) sha1: String,
}

/// Streams a field into a file.
pub(crate) async fn save(
    mut field: Field<'_>,
    to: &Path,
    limit: u64,
) -> Result<Saved, UploadError> {
    let mut file = tokio::fs::File::create(to).await?;
    let (mut size, mut hash) = (0u64, Sha1::new());
    while let Some(chunk) = field.chunk().await? {
        size += chunk.len() as u64;
        if size > limit {
            return Err(UploadError::TooLarge(limit));
        }
        hash.update(&chunk);
        file.write_all(&chunk).await?;
    }
    file.flush().await?;
    Ok(Saved {
        size,
        sha1: hex::encode(hash.finalize()),
    })
}

/// Reads a small field into memory.
pub(crate) async fn text(mut field: Field<'_>, limit: u64) -> Result<Vec<u8>, UploadError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() as u64 > limit {
            return Err(UploadError::TooLarge(limit));
        }
    }
    Ok(bytes)
}
