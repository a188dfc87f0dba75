//! Connections that hurt, over real sockets.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// How long a condition may take to come true; a guard against hanging, never a measurement.
const PATIENCE: Duration = Duration::from_secs(60);
/// A deadline that is to pass in a test.
const SOON: Duration = Duration::from_millis(50);

struct Server {
    addr: SocketAddr,
    tasks: Tasks,
}

async fn server(limits: Limits) -> Server {
    let app = Router::new()
        .route("/", get(|| async { "ok" }))
        .route(
            "/take",
            post(|body: bytes::Bytes| async move { body.len().to_string() }),
        )
        .route("/much", get(|| async { vec![b'x'; 64 * 1024 * 1024] }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, tasks) = (listener.local_addr().unwrap(), Tasks::new());
    serve_within(listener, app, &tasks, limits);
    Server { addr, tasks }
}

/// Limits that nothing here reaches by itself.
fn patient() -> Limits {
    Limits {
        first_request: PATIENCE,
        header: PATIENCE,
        idle: PATIENCE,
        body_progress: PATIENCE,
        send_stall: PATIENCE,
        ..Limits::within(100_000)
    }
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    /// Sends something and gives what comes until the end.
    async fn say(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        rest(&mut stream).await
    }

    async fn is_well(&self) {
        let answer = self
            .say(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            .await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

/// What comes until the other side closes.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut all));
    // A reset is an end too.
    let _ = read.await.expect("the other side closes");
    all
}

#[test]
fn the_connections_of_a_listener_fit_the_descriptors() {
    for descriptors in [64, 1_024, 4_096, 1_000_000] {
        let limits = Limits::within(descriptors);
        assert!(limits.connections <= descriptors / LISTENER_DESCRIPTOR_PARTS);
        assert!(limits.of_forwarder <= limits.connections);
        assert!(1 <= limits.of_address && limits.of_address <= limits.of_forwarder);
    }
    assert_eq!(Limits::within(usize::MAX).connections, LISTENER_CONNECTIONS);
}

#[tokio::test]
async fn silent_connections_do_not_keep_others_out() {
    let server = server(Limits {
        connections: 40,
        of_forwarder: 40,
        ..patient()
    })
    .await;
    let mut silent = Vec::new();
    for _ in 0..400 {
        silent.push(server.connect().await);
        if silent.len() % 100 == 0 {
            server.is_well().await;
        }
    }
    let mut half = server.connect().await;
    half.write_all(b"GET / HT").await.unwrap();
    server.is_well().await;
    assert_eq!(rest(&mut silent[0]).await, b"", "the oldest is closed");
}

#[tokio::test]
async fn whoever_is_being_answered_is_not_sent_away() {
    let server = server(Limits {
        connections: 2,
        of_forwarder: 2,
        ..patient()
    })
    .await;
    let mut slow = server.connect().await;
    slow.write_all(
        b"POST /take HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\nconnection: close\r\n\r\na",
    )
    .await
    .unwrap();
    // Until its request is in flight it is one of those without; ask until it is.
    server.is_well().await;
    for _ in 0..20 {
        server.is_well().await;
    }
    slow.write_all(b"bc").await.unwrap();
    let answer = String::from_utf8(rest(&mut slow).await).unwrap();
    assert!(answer.ends_with('3'), "{answer}");
}

#[tokio::test]
async fn whoever_begins_and_does_not_go_on_is_let_go() {
    let server = server(Limits {
        first_request: SOON,
        header: SOON,
        ..patient()
    })
    .await;
    for begun in [
        &b""[..],
        b"G",
        b"GET / HTTP/1.1\r\nhost: a\r\n",
        b"PRI",
        b"PRI * HTTP/2.0\r\n\r\nSM",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        b"\x16\x03\x01",
    ] {
        let said = server.say(begun).await;
        assert!(!said.starts_with(b"HTTP/1.1 200"), "{begun:?}");
    }
    let said = server.say(b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /").await;
    assert!(
        said.starts_with(b"HTTP/1.1 200"),
        "the second is not finished"
    );
}

#[tokio::test]
async fn a_body_that_stands_still_ends_its_request() {
    let server = server(Limits {
        body_progress: SOON,
        ..patient()
    })
    .await;
    for framing in ["content-length: 100", "transfer-encoding: chunked"] {
        let head = format!("POST /take HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n");
        let said = String::from_utf8(server.say(head.as_bytes()).await).unwrap();
        assert!(said.starts_with("HTTP/1.1 4"), "{framing}: {said}");
    }
}

#[tokio::test]
async fn whoever_takes_no_answer_is_let_go() {
    let server = server(Limits {
        send_stall: SOON,
        ..patient()
    })
    .await;
    let mut stream = server.connect().await;
    stream
        .write_all(b"GET /much HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    // Asks for nothing more, so the end is seen without taking anything.
    let gone = async {
        while stream.write_all(b"GET / HTTP/1.1\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone)
        .await
        .expect("the other side closes");
}

/// One request over HTTP/2, and what the connection is like afterwards.
async fn over_http2(server: &Server, requests: usize) -> (usize, bool) {
    let stream = TokioIo::new(server.connect().await);
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream)
        .await
        .unwrap();
    let done = tokio::spawn(connection);
    let good = Arc::new(AtomicUsize::new(0));
    let mut asked = Vec::new();
    for _ in 0..requests {
        let (mut sender, good) = (sender.clone(), good.clone());
        asked.push(tokio::spawn(async move {
            let request = Request::get("http://a/").body(Body::empty()).unwrap();
            sender.ready().await.unwrap();
            if sender
                .send_request(request)
                .await
                .is_ok_and(|answer| answer.status() == 200)
            {
                good.fetch_add(1, Ordering::SeqCst);
            }
        }));
    }
    for one in asked {
        one.await.unwrap();
    }
    let closed = tokio::time::timeout(PATIENCE, done).await.is_ok();
    drop(sender);
    (good.load(Ordering::SeqCst), closed)
}

#[tokio::test]
async fn an_idle_http2_connection_is_let_go() {
    let server = server(Limits {
        idle: SOON,
        ..patient()
    })
    .await;
    let many = HTTP2_STREAMS as usize + 10;
    assert_eq!(over_http2(&server, many).await, (many, true));
}

#[tokio::test]
async fn a_stop_waits_for_answers_and_for_nobody_who_is_silent() {
    let server = server(patient()).await;
    let (mut silent, mut half) = (server.connect().await, server.connect().await);
    half.write_all(b"POST /take HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n")
        .await
        .unwrap();
    server.is_well().await;
    let stopped = tokio::spawn({
        let tasks = server.tasks.clone();
        async move { tasks.shutdown(PATIENCE).await }
    });
    assert_eq!(rest(&mut silent).await, b"");
    half.write_all(b"ab").await.unwrap();
    let answer = String::from_utf8(rest(&mut half).await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    stopped.await.unwrap();
}
