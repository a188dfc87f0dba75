//! Multipart fields into temporary files, counted while they arrive.

use std::path::{Path, PathBuf};

use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request};
use http::header;
use sha1::{Digest as _, Sha1};
use tokio::io::AsyncWriteExt as _;

use crate::controller::Ctl;
use crate::failure::Failure;

/// What may come in an upload besides the file: part headers, and the list of files the controller has.
const BESIDES: u64 = 64 * 1024 * 1024;

/// Why a field could not be saved.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    /// The request broke off or is no multipart.
    #[error("the upload broke off or is malformed: {0}")]
    Form(#[from] MultipartError),
    /// Larger than allowed.
    #[error("the upload is larger than the {0} bytes allowed; leave files out (.cfignore)")]
    TooLarge(u64),
    /// The request says that it is larger than allowed; its body was not read.
    #[error(
        "the upload has {announced} bytes, more than the {limit} allowed; leave files out (.cfignore)"
    )]
    Announced {
        /// Bytes by its `Content-Length`.
        announced: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// Not a form.
    #[error("the request is no multipart/form-data: {0}")]
    NoForm(String),
    /// The temporary file failed.
    #[error("the upload could not be saved in {}: {source}", path.display())]
    Io {
        /// The temporary file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
}

/// A multipart request whose body is not read yet.
pub(crate) struct Form {
    parts: Result<Multipart, String>,
    announced: Option<u64>,
}

impl FromRequest<Ctl> for Form {
    type Rejection = Failure;

    async fn from_request(request: Request, ctl: &Ctl) -> Result<Form, Failure> {
        let announced = request
            .headers()
            .get(header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let parts = Multipart::from_request(request, ctl).await;
        Ok(Form {
            parts: parts.map_err(|error| error.body_text()),
            announced,
        })
    }
}

impl Form {
    /// The parts, unless the request announces a body which cannot be within the limit.
    pub(crate) fn within(self, limit: u64) -> Result<Multipart, UploadError> {
        match self.announced {
            Some(announced) if announced > limit.saturating_add(BESIDES) => {
                Err(UploadError::Announced { announced, limit })
            }
            _ => self.parts.map_err(UploadError::NoForm),
        }
    }
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
    let failed = |source| UploadError::Io {
        path: to.to_owned(),
        source,
    };
    let mut file = tokio::fs::File::create(to).await.map_err(failed)?;
    let (mut size, mut hash) = (0u64, Sha1::new());
    while let Some(chunk) = field.chunk().await? {
        size += chunk.len() as u64;
        if size > limit {
            drop(file);
            drain(field).await;
            return Err(UploadError::TooLarge(limit));
        }
        hash.update(&chunk);
        file.write_all(&chunk).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)?;
    Ok(Saved {
        size,
        sha1: hex::encode(hash.finalize()),
    })
}

/// Reads on for a while and keeps nothing: a client that is still sending when the connection closes never sees the answer.
async fn drain(mut field: Field<'_>) {
    let mut left = BESIDES;
    while let Ok(Some(chunk)) = field.chunk().await {
        left = left.saturating_sub(chunk.len() as u64);
        if left == 0 {
            return;
        }
    }
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
