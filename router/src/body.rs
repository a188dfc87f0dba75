//! Bodies on their way through: what is sent to instances, and answers that know when they end.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::progress::Progress;
use crate::proxy::Exchange;
use crate::upstream::Connection;

/// A request body: the client's, or none.
pub(crate) enum RequestBody {
    None,
    /// The client's; every part of it is a sign of life.
    Client(Incoming, Progress),
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::None => Poll::Ready(None),
            Self::Client(body, progress) => {
                let frame = Pin::new(body).poll_frame(cx);
                if frame.is_ready() {
                    progress.note();
                }
                frame
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::None => true,
            Self::Client(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::None => SizeHint::with_exact(0),
            Self::Client(body, _) => body.size_hint(),
        }
    }
}

/// An answer: the instance's, streamed as it comes, or our own text.
pub(crate) enum Source {
    Instance(Incoming),
    Own(Option<Bytes>),
}

/// An answer that reports its end: the connection goes back to the pool, the exchange to the log.
/// Dropped before the end, it closes the connection.
pub(crate) struct ResponseBody {
    source: Source,
    exchange: Option<Exchange>,
    connection: Option<Connection>,
}

impl ResponseBody {
    pub(crate) fn new(
        source: Source,
        exchange: Option<Exchange>,
        connection: Option<Connection>,
    ) -> Self {
        let mut body = Self {
            source,
            exchange,
            connection,
        };
        if body.is_end_stream() {
            body.finish();
        }
        body
    }

    fn finish(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.release();
        }
        if let Some(exchange) = self.exchange.take() {
            exchange.finish();
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let frame = match &mut this.source {
            Source::Own(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Source::Instance(body) => Pin::new(body).poll_frame(cx),
        };
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                if let (Some(exchange), Some(data)) = (&mut this.exchange, frame.data_ref()) {
                    exchange.count(data.len());
                }
                if this.is_end_stream() {
                    this.finish();
                }
            }
            Poll::Ready(None) => this.finish(),
            // An error leaves the exchange unfinished and the connection closed.
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(text) => text.is_none(),
            Source::Instance(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Source::Instance(body) => body.size_hint(),
        }
    }
}
