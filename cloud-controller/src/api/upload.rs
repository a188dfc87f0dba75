//! Multipart fields into temporary files, counted while they arrive.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request};
use futures_util::StreamExt as _;
use sha1::{Digest as _, Sha1};
use tokio::io::AsyncWriteExt as _;

use super::body::announced;
use crate::controller::Ctl;
use crate::failure::Failure;
use crate::limits::{UPLOAD_BESIDES_BYTES, UPLOAD_PART_HEAD_BYTES};

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
    parts: Result<Parts, String>,
    announced: Option<u64>,
}

impl FromRequest<Ctl> for Form {
    type Rejection = Failure;

    async fn from_request(request: Request, ctl: &Ctl) -> Result<Form, Failure> {
        let announced = announced(request.headers());
        let limits = &ctl.config.limits;
        let largest = limits.max_package_bytes.max(limits.max_droplet_bytes);
        let gauge = Arc::new(AtomicU64::new(0));
        let all = largest.saturating_add(UPLOAD_BESIDES_BYTES);
        let request = request.map(|body| metered(body, all, gauge.clone()));
        let form = Multipart::from_request(request, ctl).await;
        Ok(Form {
            parts: form
                .map(|form| Parts { form, gauge })
                .map_err(|error| error.body_text()),
            announced,
        })
    }
}

impl Form {
    /// The parts, unless the request announces a body which cannot be within the limit.
    pub(crate) fn within(self, limit: u64) -> Result<Parts, UploadError> {
        match self.announced {
            Some(announced) if announced > limit.saturating_add(UPLOAD_BESIDES_BYTES) => {
                Err(UploadError::Announced { announced, limit })
            }
            _ => self.parts.map_err(UploadError::NoForm),
        }
    }
}

/// The parts of a form, one after the other.
pub(crate) struct Parts {
    form: Multipart,
    /// Bytes that may come before the next part's content; [`IN_A_PART`] inside one.
    gauge: Arc<AtomicU64>,
}

/// Inside a part: whoever reads it counts.
const IN_A_PART: u64 = u64::MAX;

impl Parts {
    /// The next part. What comes before its content is kept in memory by the reader, so it is bounded; so is the rest of a part that
    /// nobody read.
    pub(crate) async fn next_field(&mut self) -> Result<Option<Field<'_>>, MultipartError> {
        self.gauge.store(UPLOAD_PART_HEAD_BYTES, Ordering::Relaxed);
        let field = self.form.next_field().await;
        self.gauge.store(IN_A_PART, Ordering::Relaxed);
        field
    }
}

/// The body, piece by piece: its reader would take in all there is before it looks at any of it.
fn metered(body: Body, all: u64, gauge: Arc<AtomicU64>) -> Body {
    let (mut content, mut left, mut rests) = (body.into_data_stream(), all, false);
    let mut next = move |cx: &mut Context<'_>| {
        if std::mem::take(&mut rests) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let chunk = match ready!(content.poll_next_unpin(cx)) {
            Some(Ok(chunk)) => chunk,
            other => return Poll::Ready(other.map(|chunk| chunk.map_err(io::Error::other))),
        };
        rests = true;
        let size = chunk.len() as u64;
        let (head, fits) = (gauge.load(Ordering::Relaxed), left >= size);
        left = left.saturating_sub(size);
        if head != IN_A_PART {
            gauge.store(head.saturating_sub(size), Ordering::Relaxed);
        }
        // What arrives together with the end of a head may be content already.
        Poll::Ready(Some(match fits && head > 0 {
            true => Ok(chunk),
            false => Err(io::Error::other("more than an upload may have")),
        }))
    };
    Body::from_stream(futures_util::stream::poll_fn(move |cx| next(cx)))
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
    let mut left = UPLOAD_BESIDES_BYTES;
    while let Ok(Some(chunk)) = field.chunk().await {
        left = left.saturating_sub(chunk.len() as u64);
        if left == 0 {
            return;
        }
    }
}
