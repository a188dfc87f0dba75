//! What clients and apps may hold at a time, and what happens to those who are slow.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Edge, Instance, read_head, read_until, within};
use router::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ASK: &[u8] = b"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n";

/// Reads all requests and answers none.
async fn silent() -> Instance {
    Instance::serving(|mut stream| async move { drop(stream.read_to_end(&mut Vec::new()).await) })
        .await
}

#[tokio::test]
async fn connections_beyond_the_limit_are_turned_away_until_one_ends() {
    let edge = Edge::start_with(|config| Config {
        max_connections: 1,
        ..config
    })
    .await;
    let app = Instance::saying("hello").await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let mut first = edge.connect().await;
    first.write_all(ASK).await.unwrap();
    read_until(&mut first, |text| text.ends_with("hello")).await;
    let answer = read_head(&mut edge.connect().await).await;
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.contains("too_many_connections") && answer.contains("Retry-After: 1"));
    drop(first);
    edge.until_status("a.example.com", 200).await;
}

#[tokio::test]
async fn an_app_has_only_so_many_requests_at_a_time() {
    let edge = Edge::start_with(|config| Config {
        max_requests_per_app: 1,
        ..config
    })
    .await;
    let app = silent().await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let mut first = edge.connect().await;
    first.write_all(ASK).await.unwrap();
    within("the first to arrive", async {
        while app.connections.load(std::sync::atomic::Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let answer = edge.get("a.example.com", "/").await;
    assert_eq!(
        (answer.status, answer.header("x-cf-routererror")),
        (503, Some("app_overloaded"))
    );
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_body_that_stops_coming_is_408() {
    let edge = Edge::start_with(|config| Config {
        body_idle_timeout: 0.2,
        ..config
    })
    .await;
    let app = silent().await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let mut client = edge.connect().await;
    client
        .write_all(b"POST / HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: 10\r\n\r\nhalf")
        .await
        .unwrap();
    let answer = read_head(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[tokio::test]
async fn a_head_that_never_ends_is_hung_up_on() {
    let edge = Edge::start_with(|config| Config {
        header_timeout: 0.2,
        ..config
    })
    .await;
    let mut client = edge.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
    let mut rest = Vec::new();
    within("the end", client.read_to_end(&mut rest))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_dropped() {
    let edge = Edge::start_with(|config| Config {
        body_idle_timeout: 0.2,
        ..config
    })
    .await;
    let (ended, mut end) = tokio::sync::mpsc::channel(1);
    let app = Instance::pouring(ended).await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let mut client = edge.connect().await;
    client.write_all(ASK).await.unwrap();
    within("the instance to be let go", end.recv())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_long_upload_is_not_a_silent_instance() {
    let edge = Edge::start_with(|config| Config {
        endpoint_timeout: 2.0,
        ..config
    })
    .await;
    let app = Instance::serving(|mut stream| async move {
        read_until(&mut stream, |text| text.ends_with("end")).await;
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
    })
    .await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let mut client = edge.connect().await;
    let head = "POST / HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: 53\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    // The pauses together exceed the limit that each of them keeps.
    for _ in 0..25 {
        client.write_all(b"..").await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    client.write_all(b"end").await.unwrap();
    let answer = read_head(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn a_port_can_stand_for_a_host() {
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let edge = Edge::start_with(|config| Config {
        listen_as: [(any, "a.example.com".to_owned())].into(),
        ..config
    })
    .await;
    let app = Instance::echoing_heads().await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let request = "GET / HTTP/1.1\r\nHost: 192.0.2.7:443\r\nConnection: close\r\n\r\n";
    let answer = common::exchange(edge.router.mapped_addrs()[0], request).await;
    assert_eq!(answer.status, 200);
    assert!(
        answer
            .body
            .to_ascii_lowercase()
            .contains("\r\nhost: a.example.com\r\n"),
        "{}",
        answer.body
    );
}
