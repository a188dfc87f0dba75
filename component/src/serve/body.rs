//! Bodies: a request's has to get on, an answer's keeps its request in flight until its end.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, Sleep};

use super::seats::InFlight;
use crate::limits::BODY_PROGRESS_BYTES;

/// Why a request's body ended early.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    /// Too little came.
    #[error("the request's body stood still for {0:?}; send it again")]
    Stalled(Duration),
    /// The connection broke, or what came was no body.
    #[error(transparent)]
    Broken(Box<dyn std::error::Error + Send + Sync>),
}

/// How much has to come by when. Pure: takes `now`.
#[derive(Debug, Default)]
struct Pace {
    /// Since when somebody waits for what has not come.
    since: Option<Instant>,
    came: usize,
}

impl Pace {
    fn came(&mut self, bytes: usize) {
        self.came = self.came.saturating_add(bytes);
        if self.came >= BODY_PROGRESS_BYTES {
            *self = Pace::default();
        }
    }

    /// Until when somebody who waits now goes on waiting.
    fn deadline(&mut self, now: Instant, limit: Duration) -> Instant {
        *self.since.get_or_insert(now) + limit
    }
}

/// A request's body that has to bring [`BODY_PROGRESS_BYTES`] within a time, as often as somebody waits for it.
pub(super) struct Progress<B> {
    inner: B,
    limit: Duration,
    pace: Pace,
    timer: Option<Pin<Box<Sleep>>>,
}

impl<B> Progress<B> {
    pub(super) fn new(inner: B, limit: Duration) -> Progress<B> {
        Progress {
            inner,
            limit,
            pace: Pace::default(),
            timer: None,
        }
    }

    /// Whether the time is up.
    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        let deadline = self.pace.deadline(Instant::now(), self.limit);
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(context).is_ready()
    }
}

impl<B> http_body::Body for Progress<B>
where
    B: http_body::Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                self.pace.came(frame.data_ref().map_or(0, Bytes::len));
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                Poll::Ready(Some(Err(Stopped::Broken(error.into()).into())))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if self.is_late(context) => {
                Poll::Ready(Some(Err(Stopped::Stalled(self.limit).into())))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An answer's body, as it is.
pub(super) struct Following {
    inner: Body,
    _request: InFlight,
}

impl Following {
    pub(super) fn new(inner: Body, request: InFlight) -> Following {
        Following {
            inner,
            _request: request,
        }
    }
}

impl http_body::Body for Following {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http_body_util::{BodyExt as _, Full};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    /// Whether a body of pieces, each so many bytes after so many seconds, gets to its end.
    fn arrives(pieces: &[(u64, usize)]) -> bool {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        pieces.iter().all(|(after, size)| {
            let deadline = pace.deadline(now, LIMIT);
            now += Duration::from_secs(*after);
            pace.came(*size);
            now < deadline
        })
    }

    #[tokio::test]
    async fn a_body_that_stands_still_is_an_error() {
        assert!(!arrives(&[(30, 1_000_000)]));
        assert!(!arrives(&[(0, 10), (30, 10)]));
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        let endless = silent_body(receiver);
        let read = Progress::new(endless, Duration::from_millis(10))
            .collect()
            .await;
        assert!(read.unwrap_err().to_string().contains("stood still"));
        drop(sender);
        let whole = Progress::new(Full::new(Bytes::from("abc")), LIMIT);
        assert_eq!(whole.collect().await.unwrap().to_bytes(), "abc");
    }

    /// A body that brings nothing until the other end is dropped.
    fn silent_body(until: tokio::sync::oneshot::Receiver<()>) -> Body {
        struct Waiting(tokio::sync::oneshot::Receiver<()>);
        impl http_body::Body for Waiting {
            type Data = Bytes;
            type Error = std::convert::Infallible;
            fn poll_frame(
                mut self: Pin<&mut Self>,
                context: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
                Pin::new(&mut self.0).poll(context).map(|_| None)
            }
        }
        Body::new(Waiting(until))
    }

    #[test]
    fn a_body_that_drips_is_an_error() {
        let drops = |size: usize| vec![(1, size); 1_000];
        assert!(!arrives(&drops(1)));
        assert!(!arrives(&drops(BODY_PROGRESS_BYTES / 100)));
        let enough = BODY_PROGRESS_BYTES.div_ceil(29);
        assert!(arrives(&drops(enough)));
    }

    #[test]
    fn a_slow_upload_that_gets_on_takes_as_long_as_it_takes() {
        assert!(arrives(&[(29, BODY_PROGRESS_BYTES); 1_000]));
        assert!(!arrives(&[(29, BODY_PROGRESS_BYTES - 1), (29, 1)]));
        assert!(arrives(&[(29, 1)]));
        assert!(arrives(&[]));
    }
}
