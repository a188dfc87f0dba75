//! HTTP/2: the rules are those of HTTP/1, and its own attacks get nowhere.
#![allow(clippy::unwrap_used)]

mod common;

use std::convert::Infallible;

use common::tls::{Authority, connect, connector};
use common::{Edge, Instance, within};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Frame};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use router::Config;
use router::tls::ClientCertificates;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::Receiver;
use tokio_rustls::TlsConnector;

/// A router that speaks HTTP/2, and how to reach it.
async fn edge(change: impl FnOnce(Config) -> Config) -> (Edge, TlsConnector) {
    let authority = Authority::new();
    let files = authority.sign("a", "a.example.com");
    let tls = authority.tls(vec![files], ClientCertificates::None);
    let edge = common::tls::edge_with(tls, change).await;
    (edge, connector(&authority, None, b"h2"))
}

/// One client's connection.
async fn session<B>(edge: &Edge, h2: &TlsConnector) -> SendRequest<B>
where
    B: hyper::body::Body<Data: Send, Error: std::error::Error + Send + Sync>
        + Send
        + Unpin
        + 'static,
{
    let stream = connect(edge, h2, "a.example.com").await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    sender
}

type Parts = tokio::sync::mpsc::Sender<&'static str>;
type Upload = BoxBody<Bytes, Infallible>;

/// A request whose body is what is said, piece by piece, until the sender is dropped.
fn upload() -> (Parts, hyper::Request<Upload>) {
    let (parts, body) = tokio::sync::mpsc::channel(1);
    let frames = futures_util::stream::unfold(body, async |mut body: Receiver<&'static str>| {
        let part = body.recv().await?;
        let frame = Frame::data(Bytes::from_static(part.as_bytes()));
        Some((Ok(frame), body))
    });
    let body = BodyExt::boxed(http_body_util::StreamBody::new(Box::pin(frames)));
    let request = hyper::Request::post("https://a.example.com/");
    (parts, request.body(body).unwrap())
}

#[tokio::test]
async fn http2_requests_meet_the_same_rules() {
    let (edge, h2) = edge(|config| config).await;
    let app = Instance::echoing_heads().await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let sender = session(&edge, &h2).await;
    let ask = async |host: &str, path: &str| {
        let request = hyper::Request::get(format!("https://{host}{path}"))
            .header("cookie", "a=1")
            .header("cookie", "b=2")
            .header("x-forwarded-proto", "http")
            .body(Full::new(Bytes::new()))
            .unwrap();
        let response = within("an answer", sender.clone().send_request(request))
            .await
            .unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    let (status, sent) = ask("a.example.com", "/p?q").await;
    assert_eq!(status, 200);
    assert!(sent.starts_with("GET /p?q HTTP/1.1\r\n"), "{sent}");
    let lower = sent.to_ascii_lowercase();
    for line in [
        "host: a.example.com",
        "cookie: a=1; b=2",
        "x-vcap-request-id: ",
    ] {
        assert!(lower.contains(line), "{line} in {sent}");
    }
    assert_eq!(ask("nobody.example.com", "/").await.0, 404);
    // A target that HTTP/2 lets pass is judged as in HTTP/1.
    assert_eq!(ask("a.example.com", "/%00").await.0, 400);
    let many = (0..100).map(|_| ask("a.example.com", "/"));
    let mut answered = Vec::new();
    for asking in many {
        answered.push(asking.await.0);
    }
    assert!(answered.iter().all(|status| *status == 200));
}

#[tokio::test]
async fn http2_bodies_stream_both_ways() {
    let (edge, h2) = edge(|config| config).await;
    let app = Instance::serving(|mut stream| async move {
        let sent = common::read_until(&mut stream, |text| text.ends_with("0\r\n\r\n")).await;
        assert!(sent.contains("part 1") && sent.contains("part 2"), "{sent}");
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await
            .unwrap();
    })
    .await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let mut sender = session(&edge, &h2).await;
    let (parts, request) = upload();
    let sending = async {
        parts.send("part 1").await.unwrap();
        parts.send("part 2").await.unwrap();
        drop(parts);
    };
    let both = async { tokio::join!(sender.send_request(request), sending) };
    let (response, ()) = within("an answer", both).await;
    let body = response
        .unwrap()
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes();
    assert_eq!(body, "ok");
}

#[tokio::test]
async fn trailers_that_were_announced_pass_both_ways_and_the_log_says_http2() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("access.log");
    let file = log.display().to_string();
    let (edge, h2) = edge(|config| Config {
        access_log: file,
        ..config
    })
    .await;
    let app = Instance::serving(|mut stream| async move {
        let sent = common::read_until(&mut stream, |text| {
            text.to_ascii_lowercase().ends_with("x-sum: 7\r\n\r\n")
        });
        sent.await;
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End\r\n\r\n2\r\nok\r\n0\r\nX-End: 9\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let mut sender = session(&edge, &h2).await;
    let frames = [
        Frame::data(Bytes::from_static(b"hi")),
        Frame::trailers(
            [("x-sum".parse().unwrap(), "7".parse().unwrap())]
                .into_iter()
                .collect(),
        ),
    ];
    let frames = futures_util::stream::iter(frames.map(Ok::<_, Infallible>));
    let request = hyper::Request::post("https://a.example.com/").header("trailer", "x-sum");
    let request = request
        .body(http_body_util::StreamBody::new(frames))
        .unwrap();
    let response = within("an answer", sender.send_request(request))
        .await
        .unwrap();
    let whole = within("its end", response.into_body().collect())
        .await
        .unwrap();
    assert_eq!(whole.trailers().unwrap()["x-end"], "9");
    assert_eq!(whole.to_bytes(), "ok");
    drop(sender);
    edge.router.shutdown().await;
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("] \"POST / HTTP/2.0\" 200 "), "{log}");
}

#[tokio::test]
async fn trailers_that_a_head_may_not_bring_pass_neither_way_over_http2() {
    let (edge, h2) = edge(|config| config).await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let app = Instance::serving(move |mut stream| {
        let tell = tell.clone();
        async move {
            let sent = common::read_until(&mut stream, |text| {
                text.to_ascii_lowercase().contains("\r\nx-sum: 7\r\n") && text.ends_with("\r\n\r\n")
            });
            tell.send(sent.await).unwrap();
            let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-End, Set-Cookie, X-Vcap-Request-Id\r\n\r\n\
                          2\r\nok\r\n0\r\nSet-Cookie: a=b\r\nX-Vcap-Request-Id: evil\r\nX-End: 9\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let mut sender = session(&edge, &h2).await;
    let sent = [
        ("x-forwarded-for", "9.9.9.9"),
        ("x-cf-instanceid", "x"),
        ("x-vcap-request-id", "evil"),
        ("x-sum", "7"),
    ];
    let trailers = sent.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
    let frames = [
        Frame::data(Bytes::from_static(b"hi")),
        Frame::trailers(trailers.into_iter().collect()),
    ];
    let frames = futures_util::stream::iter(frames.map(Ok::<_, Infallible>));
    let request = hyper::Request::post("https://a.example.com/")
        .header(
            "trailer",
            "x-forwarded-for, x-cf-instanceid, x-vcap-request-id, x-sum",
        )
        .body(http_body_util::StreamBody::new(frames))
        .unwrap();
    let response = within("an answer", sender.send_request(request))
        .await
        .unwrap();
    let whole = within("its end", response.into_body().collect())
        .await
        .unwrap();
    let names: Vec<_> = whole
        .trailers()
        .unwrap()
        .keys()
        .map(|name| name.as_str().to_owned())
        .collect();
    assert_eq!(names, ["x-end"]);
    let sent = told.recv().await.unwrap().to_ascii_lowercase();
    let (_, behind) = sent.split_once("\r\n0\r\n").unwrap();
    assert_eq!(behind, "x-sum: 7\r\n\r\n", "{sent}");
}

fn impatient(config: Config) -> Config {
    Config {
        header_timeout: 0.2,
        body_idle_timeout: 0.2,
        ..config
    }
}

#[tokio::test]
async fn a_body_that_stops_coming_is_408() {
    let (edge, h2) = edge(impatient).await;
    let app = Instance::serving(|mut stream| async move {
        drop(stream.read_to_end(&mut Vec::new()).await);
    })
    .await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let mut sender = session(&edge, &h2).await;
    let (parts, request) = upload();
    parts.send("half").await.unwrap();
    let response = within("an answer", sender.send_request(request)).await;
    assert_eq!(response.unwrap().status(), 408);
    drop(parts);
}

#[tokio::test]
async fn a_client_that_reads_nothing_lets_the_instance_go() {
    let (edge, h2) = edge(impatient).await;
    let (ended, mut end) = tokio::sync::mpsc::channel(1);
    let app = Instance::pouring(ended).await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let mut sender = session(&edge, &h2).await;
    let request = hyper::Request::get("https://a.example.com/").body(Full::<Bytes>::default());
    let unread = within("a head", sender.send_request(request.unwrap())).await;
    within("the instance to be let go", end.recv())
        .await
        .unwrap();
    drop(unread);
}

#[tokio::test]
async fn a_head_that_is_never_finished_is_hung_up_on() {
    let (edge, h2) = edge(impatient).await;
    let mut stream = connect(&edge, &h2, "a.example.com").await.unwrap();
    let begun = frame(HEADERS, END_STREAM, 1, &get_block());
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &begun].concat();
    stream.write_all(&hello).await.unwrap();
    let mut rest = Vec::new();
    // With or without a farewell.
    let _ = within("the end", stream.read_to_end(&mut rest)).await;
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A frame as RFC 9113 §4.1 has it.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// `GET https://a.example.com/` in HPACK: three entries of the static table, one literal.
fn get_block() -> Vec<u8> {
    let mut block = vec![0x82, 0x87, 0x84, 0x41, 13];
    block.extend(b"a.example.com");
    block
}

/// An attack that goes on until the connection is closed; fails if that never happens.
async fn is_cut_off(attack: impl Fn(u32) -> Vec<u8>) {
    let (edge, h2) = edge(|config| config).await;
    let app = Instance::serving(|mut stream| async move {
        drop(stream.read_to_end(&mut Vec::new()).await);
    })
    .await;
    edge.register(&app.endpoint("i1", &["a.example.com"])).await;
    let stream = connect(&edge, &h2, "a.example.com").await.unwrap();
    let (mut read, mut write) = tokio::io::split(stream);
    let attacking = async {
        let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        write.write_all(&hello).await?;
        for round in 0..1_000_000 {
            write.write_all(&attack(round)).await?;
        }
        panic!("a million rounds, and still connected");
    };
    let listening = async {
        let mut room = vec![0; 4096];
        while let Ok(1..) = read.read(&mut room).await {}
        Err::<(), _>(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
    };
    let ended = async {
        tokio::select! {
            ended = attacking => ended,
            ended = listening => ended,
        }
    };
    assert!(within("the attacker to be cut off", ended).await.is_err());
    assert_eq!(
        edge.get("nobody.example.com", "/").await.status,
        404,
        "others are served"
    );
}

#[tokio::test]
async fn taking_requests_back_as_fast_as_they_are_made_is_cut_off() {
    is_cut_off(|round| {
        let stream = 2 * round + 1;
        let ask = frame(HEADERS, END_STREAM | END_HEADERS, stream, &get_block());
        [ask, frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
    })
    .await;
}

#[tokio::test]
async fn a_head_that_is_continued_for_ever_is_cut_off() {
    is_cut_off(|round| match round {
        0 => frame(HEADERS, END_STREAM, 1, &get_block()),
        // A literal header, never indexed: `x: yyy…`.
        _ => {
            let mut block = vec![0x10, 1, b'x', 100];
            block.extend([b'y'; 100]);
            frame(CONTINUATION, 0, 1, &block)
        }
    })
    .await;
}

#[tokio::test]
async fn a_small_head_that_unpacks_into_a_large_one_is_refused() {
    is_cut_off(|round| {
        // One entry of 4,000 bytes into the dynamic table, then named over and over.
        let mut block = get_block();
        if round == 0 {
            block.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
            block.extend([b'y'; 4000]);
        }
        block.extend(std::iter::repeat_n(0xbe_u8, 8000));
        frame(HEADERS, END_STREAM | END_HEADERS, 2 * round + 1, &block)
    })
    .await;
}
