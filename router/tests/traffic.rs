//! What passes through: headers, streams, upgrades, and the pages for operators.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Edge, Instance, read_head, read_until, within};
use router::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

#[tokio::test]
async fn headers_are_rewritten_and_keep_their_case() {
    let edge = Edge::start().await;
    let app = Instance::echoing_heads().await;
    edge.register(&app.endpoint("inst-1", &["a.example.com"]))
        .await;
    let answer = edge
        .get_with("A.Example.com", "/p%20ath?q=%2F", "Connection: close, X-Forwarded-For, X-CF-InstanceID, X-Mixed\r\ntraceparent: 00-ab-cd-01\r\nX-MiXed: Yes\r\nTE: trailers\r\nProxy-Authorization: x\r\nX-Forwarded-For: 9.9.9.9\r\n")
        .await;
    let sent = answer.body.as_str();
    assert!(
        sent.starts_with("GET /p%20ath?q=%2F HTTP/1.1\r\n"),
        "{sent}"
    );
    for line in [
        "X-MiXed: Yes",
        "traceparent: 00-ab-cd-01",
        "Host: A.Example.com",
        "X-CF-ApplicationID: app-guid",
        "X-CF-InstanceID: inst-1",
        "X-Forwarded-For: 9.9.9.9, 127.0.0.1",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: A.Example.com",
    ] {
        let same = |given: &str| {
            given
                .split_once(": ")
                .zip(line.split_once(": "))
                .is_some_and(|(g, l)| g.0.eq_ignore_ascii_case(l.0) && g.1 == l.1)
        };
        assert!(sent.lines().any(same), "{line} missing in {sent}");
    }
    assert!(sent.contains("X-MiXed: Yes\r\n"), "case was lost: {sent}");
    let lower = sent.to_ascii_lowercase();
    assert!(lower.contains("x-request-start: ") && lower.contains("x-vcap-request-id: "));
    assert!(
        !lower.contains("\r\nte:")
            && !lower.contains("proxy-authorization")
            && !lower.contains("\r\nconnection:"),
        "{sent}"
    );
    assert!(answer.head.contains("X-Odd-CASE: Kept"), "{}", answer.head);
    assert!(
        lower.contains(answer.header("x-vcap-request-id").unwrap()),
        "the id is on the answer too"
    );
}

#[tokio::test]
async fn an_answer_streams_part_by_part() {
    let edge = Edge::start().await;
    let (confirm, confirmed) = mpsc::channel::<()>(1);
    let confirmed = std::sync::Arc::new(tokio::sync::Mutex::new(confirmed));
    let app = Instance::serving(move |mut stream| {
        let confirmed = confirmed.clone();
        async move {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n7\r\npart 1\n\r\n").await.unwrap();
            confirmed.lock().await.recv().await.unwrap();
            stream.write_all(b"7\r\npart 2\n\r\n0\r\n\r\n").await.unwrap();
        }
    })
    .await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let mut client = edge.connect().await;
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: a.example.com\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut client, |text| text.contains("part 1")).await;
    // Only now may the app send the rest.
    confirm.send(()).await.unwrap();
    read_until(&mut client, |text| text.contains("part 2")).await;
}

#[tokio::test]
async fn a_request_body_streams_part_by_part() {
    let edge = Edge::start().await;
    let (seen, mut sees) = mpsc::channel::<()>(1);
    let app = Instance::serving(move |mut stream| {
        let seen = seen.clone();
        async move {
            read_until(&mut stream, |text| text.contains("part 1")).await;
            seen.send(()).await.unwrap();
            read_until(&mut stream, |text| text.contains("part 2")).await;
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                .await
                .unwrap();
        }
    })
    .await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let mut client = edge.connect().await;
    client.write_all(b"POST / HTTP/1.1\r\nHost: a.example.com\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n6\r\npart 1\r\n").await.unwrap();
    within("the app to see part 1", sees.recv()).await.unwrap();
    client.write_all(b"6\r\npart 2\r\n0\r\n\r\n").await.unwrap();
    read_until(&mut client, |text| text.ends_with("ok")).await;
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_gets_it() {
    let edge = Edge::start().await;
    let app = Instance::serving(|mut stream| async move {
        read_until(&mut stream, |text| text.ends_with("body!")).await;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await
            .unwrap();
    })
    .await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let mut client = edge.connect().await;
    client.write_all(b"POST / HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n").await.unwrap();
    assert!(read_head(&mut client).await.starts_with("HTTP/1.1 100 "));
    client.write_all(b"body!").await.unwrap();
    assert!(read_head(&mut client).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn an_early_answer_arrives_while_the_body_is_unfinished() {
    let edge = Edge::start().await;
    let app = Instance::serving(|mut stream| async move {
        read_head(&mut stream).await;
        stream
            .write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
            .await
            .unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let mut client = edge.connect().await;
    client
        .write_all(
            b"POST / HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: 1000000\r\n\r\nstart",
        )
        .await
        .unwrap();
    assert!(read_head(&mut client).await.starts_with("HTTP/1.1 413 "));
}

#[tokio::test]
async fn a_websocket_is_tunnelled_both_ways() {
    let edge = Edge::start().await;
    let app = Instance::serving(|mut stream| async move {
        let head = read_head(&mut stream).await;
        assert!(head.contains("Sec-WebSocket-Key: abc") && head.to_ascii_lowercase().contains("upgrade: websocket"), "{head}");
        stream.write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nfirst").await.unwrap();
        let (mut read, mut write) = stream.split();
        let _ = tokio::io::copy(&mut read, &mut write).await;
    })
    .await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let mut client = edge.connect().await;
    client
        .write_all(b"GET /ws HTTP/1.1\r\nHost: a.example.com\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: abc\r\n\r\n")
        .await
        .unwrap();
    let head = read_head(&mut client).await;
    assert!(
        head.starts_with("HTTP/1.1 101 ")
            && head.to_ascii_lowercase().contains("upgrade: websocket"),
        "{head}"
    );
    read_until(&mut client, |text| text == "first").await;
    client.write_all(b"echo me").await.unwrap();
    read_until(&mut client, |text| text == "echo me").await;
}

#[tokio::test]
async fn ambiguous_requests_are_refused() {
    let edge = Edge::start().await;
    let app = Instance::saying("hello").await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    for head in [
        "Host: a.example.com\r\nHost: b.example.com\r\nContent-Length: 0",
        "Host: a.example.com\r\nContent-Length: 1\r\nContent-Length: 2",
        "Host: a.example.com\r\nContent-Length: +1",
    ] {
        let request = format!("POST / HTTP/1.1\r\n{head}\r\nConnection: close\r\n\r\n0\r\n\r\n");
        let answer = common::exchange(edge.router.addr(), &request).await;
        assert_eq!(answer.status, 400, "{head}");
    }
}

#[tokio::test]
async fn two_lengths_never_reach_an_instance() {
    let edge = Edge::start().await;
    let app = Instance::serving(|mut stream| async move {
        let text = read_until(&mut stream, |text| text.ends_with("0\r\n\r\n")).await;
        let verdict = if text.to_ascii_lowercase().contains("content-length") {
            "both"
        } else {
            "one."
        };
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{verdict}");
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let request = "POST / HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    let answer = common::exchange(edge.router.addr(), request).await;
    // Refusing is fine too; what counts is that no instance may read the message in two ways.
    assert!(answer.status == 400 || answer.body == "one.", "{answer:?}");
}

#[tokio::test]
async fn load_balancers_and_operators_see_the_state() {
    let edge = Edge::start().await;
    let app = Instance::saying("hello").await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let check = edge
        .get_with("whatever", "/", "User-Agent: HTTP-Monitor/1.1\r\n")
        .await;
    assert_eq!((check.status, check.body.as_str()), (200, "ok\n"));
    edge.get("a.example.com", "/").await;
    edge.get("unknown.example.com", "/").await;
    for path in ["/healthz", "/health"] {
        assert_eq!(edge.status_page(path, "").await.status, 200, "{path}");
    }
    for path in ["/routes", "/varz", "/metrics"] {
        assert_eq!(edge.status_page(path, "").await.status, 401, "{path}");
        assert_eq!(
            edge.status_page(path, "Authorization: Basic dTpw\r\n")
                .await
                .status,
            200,
            "{path}"
        );
    }
    let varz: serde_json::Value = serde_json::from_str(
        &edge
            .status_page("/varz", "Authorization: Basic dTpw\r\n")
            .await
            .body,
    )
    .unwrap();
    for (key, expected) in [
        ("type", "Router".into()),
        ("requests", 1.into()),
        ("responses_2xx", 1.into()),
        ("bad_requests", 1.into()),
        ("urls", 1.into()),
        ("droplets", serde_json::Value::from(1)),
    ] {
        assert_eq!(varz[key], expected, "{key}");
    }
    assert!(
        varz["latency"]["50"].is_number() && varz["tags"]["component"]["dea-0"]["requests"] == 1
    );
    assert!(
        edge.status_page("/metrics", "Authorization: Basic dTpw\r\n")
            .await
            .body
            .contains("router_requests_total 1")
    );
}

#[tokio::test]
async fn the_collector_discovers_the_router_at_its_configured_address() {
    let edge = Edge::start().await;
    let answers: Vec<bus::component::Announce> = within("the router to be discovered", async {
        loop {
            let found = edge
                .bus
                .gather(
                    bus::component::DISCOVER,
                    &(),
                    1,
                    std::time::Duration::from_millis(200),
                )
                .await
                .unwrap();
            if !found.is_empty() {
                return found;
            }
        }
    })
    .await;
    assert_eq!(
        (answers[0].kind.as_str(), answers[0].host.as_str()),
        ("Router", edge.router.status_addr().to_string().as_str())
    );
}

#[tokio::test]
async fn every_request_is_in_the_access_log_after_shutdown() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let file = path.display().to_string();
    let edge = Edge::start_with(|config| Config {
        access_log: file,
        ..config
    })
    .await;
    let app = Instance::saying("hello").await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    for _ in 0..5 {
        edge.get("a.example.com", "/x?y=1").await;
    }
    edge.get("unknown.example.com", "/").await;
    edge.router.shutdown().await;
    let log = std::fs::read_to_string(path).unwrap();
    assert_eq!(
        log.lines()
            .filter(|line| line.contains("\"GET /x?y=1 HTTP/1.1\" 200 5 ")
                && line.contains("app_id:app-guid"))
            .count(),
        5,
        "{log}"
    );
    assert_eq!(
        log.lines()
            .filter(|line| line.contains("\" 404 ")
                && line.contains("MissingRouteEndpointApplicationId"))
            .count(),
        1,
        "{log}"
    );
}

#[tokio::test]
async fn a_stopping_router_finishes_open_requests_and_refuses_new_ones() {
    let edge = Edge::start().await;
    let (go, gone) = mpsc::channel::<()>(1);
    let gone = std::sync::Arc::new(tokio::sync::Mutex::new(gone));
    let (arrived, mut arrives) = mpsc::channel::<()>(1);
    let app = Instance::serving(move |mut stream| {
        let (gone, arrived) = (gone.clone(), arrived.clone());
        async move {
            read_head(&mut stream).await;
            arrived.send(()).await.unwrap();
            gone.lock().await.recv().await.unwrap();
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
                .await
                .unwrap();
        }
    })
    .await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let addr = edge.router.addr();
    let request = tokio::spawn(async move {
        common::exchange(addr, "GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n").await
    });
    within("the request to reach the app", arrives.recv())
        .await
        .unwrap();
    let stopping = tokio::spawn(edge.router.shutdown());
    within("the listener to close", async {
        while tokio::net::TcpStream::connect(addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!stopping.is_finished());
    go.send(()).await.unwrap();
    let answer = within("the open request", request).await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "done"));
    within("the router to stop", stopping).await.unwrap();
}
