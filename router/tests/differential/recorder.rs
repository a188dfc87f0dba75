//! An instance that keeps every byte and answers whatever looks like a request, and a client that sends one case.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

type Streams = Arc<Mutex<Vec<Vec<u8>>>>;

pub(crate) struct Recorder {
    pub(crate) port: u16,
    streams: Streams,
}

/// What a case led to: the answers, and what reached the instance on each of its connections.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exchange {
    pub(crate) answers: String,
    pub(crate) received: Vec<Vec<u8>>,
}

impl Exchange {
    /// Statuses of the answers.
    pub(crate) fn statuses(&self) -> Vec<u16> {
        let heads = self.answers.split("HTTP/1.").skip(1);
        heads
            .filter_map(|head| head.get(2..5)?.parse().ok())
            .filter(|status| *status >= 200)
            .collect()
    }

    /// All that reached an instance, one after the other.
    pub(crate) fn stream(&self) -> Vec<u8> {
        self.received.concat()
    }
}

impl Recorder {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let streams = Streams::default();
        let kept = streams.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, kept.clone()));
            }
        });
        Self { port, streams }
    }

    /// Sends a case through a proxy and listens until so many answers have come, it hangs up,
    /// or nothing comes for a while.
    pub(crate) async fn send(
        &self,
        proxy: SocketAddr,
        request: &[u8],
        answers: Option<usize>,
        quiet: Duration,
    ) -> Exchange {
        self.streams.lock().unwrap().clear();
        let mut client = TcpStream::connect(proxy).await.unwrap();
        // Who refuses early may hang up while we are still talking.
        let _ = client.write_all(request).await;
        let mut exchange = Exchange::default();
        let mut raw = Vec::with_capacity(64 * 1024);
        while answers.is_none_or(|count| exchange.statuses().len() < count) {
            match tokio::time::timeout(quiet, client.read_buf(&mut raw)).await {
                Ok(Ok(1..)) => exchange.answers = String::from_utf8_lossy(&raw).into_owned(),
                Ok(Ok(0) | Err(_)) | Err(_) => break,
            }
        }
        exchange.received = self.streams.lock().unwrap().clone();
        exchange
    }
}

/// Each message is kept where the case at that moment finds it; connections may be older than the case.
async fn serve(mut stream: TcpStream, streams: Streams) {
    let mut waiting = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut waiting).await {
        while let Some(end) = message_end(&waiting) {
            let message: Vec<u8> = waiting.drain(..end).collect();
            let body = if message.starts_with(b"HEAD ") {
                ""
            } else {
                "ok"
            };
            streams.lock().unwrap().push(message);
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{body}");
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

/// Where the first message ends, as far as anybody needs to know for answering it.
fn message_end(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    let value = |name: &str| {
        let line = text.split("\r\n").find_map(|line| line.strip_prefix(name));
        line.map(|value| value.trim().to_owned())
    };
    if value("transfer-encoding:").is_some() {
        return chunks_end(bytes, head);
    }
    let length = value("content-length:")
        .and_then(|value| value.parse().ok())
        .unwrap_or(0);
    (bytes.len() >= head + length).then_some(head + length)
}

/// Where a chunked body ends that begins at `at`.
fn chunks_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let line = bytes[at..].windows(2).position(|two| two == b"\r\n")?;
        let text = String::from_utf8_lossy(&bytes[at..at + line]).into_owned();
        let size = usize::from_str_radix(text.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            // The empty line behind the trailers, of which there may be none.
            let end = bytes[at + line..]
                .windows(4)
                .position(|four| four == b"\r\n\r\n")?;
            return Some(at + line + end + 4);
        }
        at += line + 2 + size + 2;
        bytes.get(at..)?;
    }
}
