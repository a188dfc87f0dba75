//! What HTTP/1 allows and the edge has to get right.
#![allow(clippy::unwrap_used)]

mod common;

use std::sync::atomic::Ordering;

use common::{Edge, Instance, read_head, read_until, within};
use router::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An instance that reads a head and then says exactly this, and hangs up if `closes`.
async fn saying_raw(text: &'static str, closes: bool) -> Instance {
    Instance::serving(move |mut stream| async move {
        loop {
            read_head(&mut stream).await;
            stream.write_all(text.as_bytes()).await.unwrap();
            if closes {
                return;
            }
        }
    })
    .await
}

/// One thread, so that connections to instances can be counted.
async fn edge() -> Edge {
    Edge::start_with(|config| Config {
        threads: 1,
        ..config
    })
    .await
}

/// Sends a request and reads until the connection or the text ends as told.
async fn ask(edge: &Edge, request: &str, ends: impl Fn(&str) -> bool) -> String {
    let mut client = edge.connect().await;
    client.write_all(request.as_bytes()).await.unwrap();
    read_until(&mut client, ends).await
}

async fn to_end(mut client: TcpStream) -> String {
    let mut text = String::new();
    let reading = client.read_to_string(&mut text);
    let _ = within("the end of the connection", reading).await;
    text
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let edge = edge().await;
    let app = Instance::answering(|head| {
        let path = head.split(' ').nth(1).unwrap();
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}",
            path.len()
        )
    })
    .await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let requests: String = (0..20)
        .map(|n| format!("GET /{n:02} HTTP/1.1\r\nHost: a.example.com\r\n\r\n"))
        .collect();
    let text = ask(&edge, &requests, |text| text.ends_with("/19")).await;
    let bodies: Vec<&str> = text
        .match_indices("\r\n\r\n/")
        .map(|(at, _)| &text[at + 4..at + 7])
        .collect();
    let expected: Vec<String> = (0..20).map(|n| format!("/{n:02}")).collect();
    assert_eq!(bodies, expected);
    assert_eq!(app.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let edge = edge().await;
    let app = Instance::serving(|mut stream| async move {
        let sent = read_until(&mut stream, |text| text.ends_with("X-Sum: 7\r\n\r\n")).await;
        assert!(sent.contains("Trailer: X-Sum\r\n"), "{sent}");
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n2\r\nok\r\n0\r\nX-End: 9\r\n\r\n").await.unwrap();
    })
    .await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let request = "POST / HTTP/1.1\r\nHost: a.example.com\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 7\r\n\r\n";
    let text = ask(&edge, request, |text| text.ends_with("X-End: 9\r\n\r\n")).await;
    assert!(
        text.contains("Trailer: X-End\r\n") && text.contains("\r\n\r\n2\r\nok\r\n0\r\n"),
        "{text}"
    );
}

/// Trailers that pass nowhere, whoever sends them.
const FORBIDDEN: &str = "X-Forwarded-For: 9.9.9.9\r\nx-forwarded-proto: https\r\nX-Vcap-Request-Id: evil\r\nX-CF-ApplicationID: x\r\n\
                         Authorization: Basic eA==\r\nCookie: a=b\r\nSet-Cookie: a=b\r\nForwarded: for=9.9.9.9\r\n";

// A server that takes trailers for headers believes them like those of a head (CVE-2013-5704, traefik/traefik#13822).
#[tokio::test]
async fn trailers_that_a_head_may_not_bring_pass_neither_way() {
    let edge = edge().await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let app = Instance::serving(move |mut stream| {
        let tell = tell.clone();
        async move {
            let sent = read_until(&mut stream, |text| text.ends_with("X-Last: 1\r\n\r\n")).await;
            tell.send(sent).unwrap();
            let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n{FORBIDDEN}X-End: 9\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let request = format!(
        "POST / HTTP/1.1\r\nHost: a.example.com\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n{FORBIDDEN}X-Last: 1\r\n\r\n"
    );
    let text = ask(&edge, &request, |text| text.ends_with("X-End: 9\r\n\r\n")).await;
    assert!(
        text.ends_with("\r\n\r\n2\r\nok\r\n0\r\nX-End: 9\r\n\r\n"),
        "{text}"
    );
    let sent = told.recv().await.unwrap();
    assert!(
        sent.ends_with("\r\n\r\n2\r\nhi\r\n0\r\nX-Last: 1\r\n\r\n"),
        "{sent}"
    );
}

#[tokio::test]
async fn an_old_client_gets_no_chunks_and_a_closed_connection() {
    let edge = edge().await;
    let app = saying_raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n6\r\n world\r\n0\r\nX: y\r\n\r\n", false).await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let mut client = edge.connect().await;
    client
        .write_all(b"GET / HTTP/1.0\r\nHost: a.example.com\r\nConnection: keep-alive\r\n\r\n")
        .await
        .unwrap();
    let text = to_end(client).await;
    assert!(text.ends_with("\r\n\r\nhello world"), "{text}");
    assert!(
        !text.contains("chunked") && text.contains("Connection: close"),
        "{text}"
    );
}

#[tokio::test]
async fn an_old_client_keeps_its_connection_if_it_asks_to() {
    let edge = edge().await;
    let app = Instance::saying("hello").await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let mut client = edge.connect().await;
    for _ in 0..2 {
        client
            .write_all(b"GET / HTTP/1.0\r\nHost: a.example.com\r\nConnection: Keep-Alive\r\n\r\n")
            .await
            .unwrap();
        let text = read_until(&mut client, |text| text.ends_with("hello")).await;
        assert!(text.contains("Connection: keep-alive"), "{text}");
    }
}

#[tokio::test]
async fn a_body_that_ends_with_the_connection_becomes_chunks() {
    let edge = edge().await;
    let app = saying_raw("HTTP/1.0 200 OK\r\n\r\nall there is", true).await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let mut client = edge.connect().await;
    for _ in 0..2 {
        client
            .write_all(b"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n")
            .await
            .unwrap();
        let text = read_until(&mut client, |text| text.ends_with("0\r\n\r\n")).await;
        assert!(
            text.contains("Transfer-Encoding: chunked")
                && text.contains("\r\nc\r\nall there is\r\n"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_truncated_answer_is_seen_to_be_truncated() {
    let edge = edge().await;
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n32\r\nhalf",
    ] {
        let app = saying_raw(answer, true).await;
        let host = format!("h{}.example.com", app.port);
        edge.register(&app.endpoint("i1", &[&host])).await;
        let mut client = edge.connect().await;
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let text = to_end(client).await;
        assert!(text.ends_with("half"), "{text}");
    }
}

#[tokio::test]
async fn what_follows_an_answer_reaches_nobody() {
    let edge = edge().await;
    let app = saying_raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen", false).await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    for _ in 0..5 {
        let answer = edge.get("a.example.com", "/").await;
        assert_eq!(answer.body, "ok");
    }
    assert_eq!(
        app.connections.load(Ordering::SeqCst),
        5,
        "none was used again"
    );
}

#[tokio::test]
async fn an_answer_without_a_body_has_none_whatever_it_says() {
    let edge = edge().await;
    let app = Instance::answering(|head| match head.starts_with("HEAD") {
        true => "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n".into(),
        false => "HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\nETag: x\r\n\r\n".into(),
    })
    .await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let mut client = edge.connect().await;
    for method in ["HEAD", "GET", "HEAD"] {
        let request = format!("{method} / HTTP/1.1\r\nHost: a.example.com\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        let head = read_head(&mut client).await;
        assert!(head.contains("Content-Length: 500"), "{head}");
    }
    assert_eq!(app.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn early_hints_pass_and_the_final_answer_follows() {
    let edge = edge().await;
    let app = saying_raw("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false).await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let text = ask(
        &edge,
        "GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n",
        |text| text.ends_with("ok"),
    )
    .await;
    assert!(
        text.starts_with("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\n"),
        "{text}"
    );
}

#[tokio::test]
async fn an_answer_with_two_meanings_is_502() {
    let edge = edge().await;
    let app = saying_raw(
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        false,
    )
    .await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let answer = edge.get("a.example.com", "/").await;
    assert_eq!(
        (answer.status, answer.header("x-cf-routererror")),
        (502, Some("endpoint_failure"))
    );
}

#[tokio::test]
async fn an_unasked_101_is_502() {
    let edge = edge().await;
    let app = saying_raw(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        false,
    )
    .await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    assert_eq!(edge.get("a.example.com", "/").await.status, 502);
}

/// Resident memory of this process, bus, router, client and instance together.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes: usize = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kilobytes << 10
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_body_passes_whole_both_ways_in_constant_memory() {
    const MOST: usize = 48 << 20;
    let full = std::env::var("BLOOMERY_FULL").as_deref() == Ok("1");
    let size: usize = if full { 10 << 30 } else { 256 << 20 };
    let edge = edge().await;
    let app = Instance::serving(move |mut stream| async move {
        read_head(&mut stream).await;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let (mut read, mut write) = stream.split();
        let mut body = (&mut read).take(size as u64);
        tokio::io::copy(&mut body, &mut write).await.unwrap();
    })
    .await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let before = resident();
    let mut client = edge.connect().await;
    let head = format!("POST / HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: {size}\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = client.split();
    let piece: Vec<u8> = (0..65_537_u32).map(|n| (n % 251) as u8).collect();
    let sending = async {
        let mut left = size;
        while left > 0 {
            let part = left.min(piece.len());
            write.write_all(&piece[..part]).await.unwrap();
            left -= part;
        }
    };
    let receiving = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(read.read_u8().await.unwrap());
        }
        let (mut room, mut left, mut most) = (vec![0; piece.len()], size, 0);
        while left > 0 {
            let part = left.min(piece.len());
            read.read_exact(&mut room[..part]).await.unwrap();
            assert!(room[..part] == piece[..part], "a byte is wrong");
            left -= part;
            if left % 1024 < part % 1024 {
                most = most.max(resident());
            }
        }
        most.max(resident())
    };
    // Ten gigabytes take longer than anything else here may.
    let ((), most) = tokio::join!(sending, receiving);
    assert!(most < before + MOST, "{} MB more", (most - before) >> 20);
}

#[tokio::test]
async fn a_tunnel_outlives_the_clients_half() {
    let edge = edge().await;
    let app = Instance::serving(|mut stream| async move {
        read_head(&mut stream).await;
        stream
            .write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
            )
            .await
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        stream
            .write_all(format!("got {text}").as_bytes())
            .await
            .unwrap();
    })
    .await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let mut client = edge.connect().await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: a.example.com\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nearly ").await.unwrap();
    read_head(&mut client).await;
    client.write_all(b"late").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(to_end(client).await, "got early late");
}

#[tokio::test]
async fn all_threads_serve_and_share_one_table() {
    let edge = Edge::start_with(|config| Config {
        threads: 3,
        ..config
    })
    .await;
    let app = Instance::saying("hello").await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let asked = (0..60).map(|_| edge.get("a.example.com", "/"));
    let mut set = Vec::new();
    for asking in asked {
        set.push(asking.await.status);
    }
    assert!(set.iter().all(|status| *status == 200));
    edge.unregister(&app.endpoint("i1", &["a.example.com"]))
        .await;
    edge.until_status("a.example.com", 404).await;
}

#[tokio::test]
async fn least_connection_avoids_the_busy_one() {
    let edge = Edge::start_with(|config| Config {
        balancing: router::table::Balancing::LeastConnection,
        ..config
    })
    .await;
    let slow = Instance::serving(|mut stream| async move {
        drop(stream.read_to_end(&mut Vec::new()).await);
    })
    .await;
    edge.register(&slow.endpoint("slow", &["a.example.com"]))
        .await;
    let mut held = edge.connect().await;
    held.write_all(b"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n")
        .await
        .unwrap();
    within("the slow one to be busy", async {
        while slow.connections.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let quick = Instance::saying("hello").await;
    edge.register(&quick.endpoint("quick", &["a.example.com"]))
        .await;
    for _ in 0..10 {
        assert_eq!(edge.get("a.example.com", "/").await.body, "hello");
    }
}
