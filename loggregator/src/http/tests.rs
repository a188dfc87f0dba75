//! Streams and recent lines over HTTP: what clients of both generations get, and when a connection ends.
#![allow(clippy::unwrap_used)]

use futures_util::{SinkExt as _, StreamExt as _};
use prost::Message as _;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::*;
use crate::Config;
use crate::wire::{Envelope, LogMessage, OldLogMessage};

/// How long a condition may take to come true; a guard against hanging, never a measurement.
const PATIENCE: Duration = Duration::from_secs(60);
/// The only app whose logs may be read here, with the only token that may.
const APP: &str = "a";
const TOKEN: &str = "bearer good";

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

struct Server {
    hub: Hub,
    addr: std::net::SocketAddr,
    /// What is said of readers whose stream is open.
    still: Arc<std::sync::Mutex<Answer>>,
}

async fn serve(pace: Pace) -> Server {
    let config = Config {
        stream_backlog_lines: 4,
        intake_user: "u".into(),
        intake_password: "p".into(),
        ..Config::default()
    };
    let hub = Hub::new(&config);
    let still = Arc::new(std::sync::Mutex::new(Answer::Yes));
    let known = still.clone();
    let access: Access = Arc::new(move |token, app, moment| {
        let answer = match (token == TOKEN && app == APP, moment) {
            (false, _) => Answer::No,
            (true, Moment::Opening) => Answer::Yes,
            (true, Moment::Open) => *known.lock().unwrap(),
        };
        Box::pin(async move { answer })
    });
    let routes = paced(hub.clone(), access, config.intake_auth(), pace);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
        .await
        .unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Server { hub, addr, still }
}

impl Server {
    async fn follow(&self, path: &str) -> Client {
        let url = format!("ws://{}{path}", self.addr);
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("authorization", TOKEN.parse().unwrap());
        connect_async(request).await.unwrap().0
    }

    async fn get(&self, path: &str, token: Option<&str>) -> (u16, String, Vec<u8>) {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = client.get(format!("http://{}{path}", self.addr));
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        let answer = request.send().await.unwrap();
        let kind = answer.headers().get("content-type");
        let kind = kind.map_or("", |kind| kind.to_str().unwrap()).to_owned();
        let status = answer.status().as_u16();
        (status, kind, answer.bytes().await.unwrap().to_vec())
    }

    fn say(&self, seq: u64, text: &str) {
        let line = LogLine {
            app_id: APP.into(),
            source_type: "App".into(),
            source_instance: "0".into(),
            instance_id: "i".into(),
            seq,
            timestamp_ns: seq as i64,
            stream: LogStream::Out,
            message: text.into(),
        };
        self.hub.accept(LogBatch {
            lines: vec![line],
            may_defer: false,
        });
    }

    async fn nobody_reads(&self) {
        let gone = async {
            while self.hub.readers(APP) > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, gone).await;
        waited.expect("the stream has ended on the server's side");
    }
}

async fn next(client: &mut Client) -> Option<Result<Frame, Error>> {
    let waited = tokio::time::timeout(PATIENCE, client.next()).await;
    waited.expect("something comes on the stream")
}

fn envelope(bytes: &[u8]) -> LogMessage {
    let envelope = Envelope::decode(bytes).unwrap();
    assert_eq!(envelope.event_type, 5);
    envelope.log_message.unwrap()
}

fn text_of(message: &[u8]) -> String {
    String::from_utf8(message.to_vec()).unwrap()
}

#[tokio::test]
async fn a_quiet_stream_is_pinged_so_that_a_dead_reader_is_noticed() {
    let server = serve(Pace {
        ping_every: Duration::from_millis(5),
        ..Pace::default()
    })
    .await;
    for path in ["/apps/a/stream", "/tail/?app=a"] {
        let mut client = server.follow(path).await;
        let frame = next(&mut client).await.unwrap().unwrap();
        assert!(frame.is_ping(), "{path}: {frame:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_nothing_is_let_go_and_the_others_stay() {
    let server = serve(Pace {
        send_limit: Duration::from_secs(1),
        ..Pace::default()
    })
    .await;
    let asleep = server.follow("/apps/a/stream").await;
    let mut awake = server.follow("/apps/a/stream").await;
    let reading = tokio::spawn(async move {
        while let Some(Ok(frame)) = next(&mut awake).await {
            if frame.is_binary() && envelope(&frame.into_data()).message == b"last" {
                return true;
            }
        }
        false
    });
    let filling = async {
        let big = "x".repeat(60 * 1024);
        for seq in 1.. {
            if server.hub.readers(APP) < 2 {
                return seq;
            }
            server.say(seq, &big);
            // Slowly enough for who reads, so that only the sleeper is without room.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        0
    };
    let seq = tokio::time::timeout(PATIENCE, filling).await;
    server.say(seq.expect("the sleeper is let go"), "last");
    assert!(reading.await.unwrap(), "who reads is not cut off");
    drop(asleep);
}

// One thread: nothing is sent while the ten lines are said, so that the reader is four lines behind at most.
#[tokio::test(flavor = "current_thread")]
async fn a_slow_reader_is_told_on_its_stream_how_many_lines_it_lost() {
    let server = serve(Pace::default()).await;
    let mut client = server.follow("/apps/a/stream").await;
    for seq in 1..=10 {
        server.say(seq, &format!("line {seq}"));
    }
    let mut seen = Vec::new();
    while seen.len() < 5 {
        let frame = next(&mut client).await.unwrap().unwrap();
        let message = envelope(&frame.into_data());
        seen.push((message.source_type.unwrap(), text_of(&message.message)));
    }
    assert_eq!(seen[0].0, "LGR");
    assert!(seen[0].1.starts_with("6 lines were dropped"), "{seen:?}");
    let rest: Vec<_> = seen[1..].iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(rest, ["line 7", "line 8", "line 9", "line 10"]);
}

#[tokio::test]
async fn what_a_client_says_is_ignored_and_its_close_is_answered() {
    let server = serve(Pace::default()).await;
    let mut client = server.follow("/tail/?app=a").await;
    client.send(Frame::text("I'm alive!")).await.unwrap();
    server.say(1, "hello");
    let frame = next(&mut client).await.unwrap().unwrap();
    let message = OldLogMessage::decode(frame.into_data()).unwrap();
    assert_eq!(
        (message.message.as_slice(), message.app_id.as_str()),
        (&b"hello"[..], APP)
    );
    client.close(None).await.unwrap();
    while let Some(frame) = next(&mut client).await {
        assert!(frame.unwrap().is_close(), "nothing but the answer to it");
    }
    server.nobody_reads().await;
}

#[tokio::test]
async fn a_connection_that_breaks_off_leaves_no_reader_behind() {
    let server = serve(Pace::default()).await;
    let client = server.follow("/apps/a/stream").await;
    assert_eq!(server.hub.readers(APP), 1);
    drop(client);
    server.nobody_reads().await;
}

/// The parts of a multipart body as clients cut it: the boundary is whatever follows `boundary=`.
fn parts(kind: &str, body: &[u8]) -> Vec<Vec<u8>> {
    let (media, boundary) = kind.split_once("; boundary=").unwrap();
    assert_eq!(media, "multipart/x-protobuf");
    let end = format!("--{boundary}--\r\n").into_bytes();
    let mut rest = body
        .strip_suffix(end.as_slice())
        .expect("the closing boundary");
    let open = format!("--{boundary}\r\n\r\n").into_bytes();
    let mut parts = Vec::new();
    while let Some(after) = rest.strip_prefix(open.as_slice()) {
        let next = after.windows(open.len()).position(|w| w == open.as_slice());
        let (part, following) = after.split_at(next.unwrap_or(after.len()));
        parts.push(part.strip_suffix(b"\r\n").unwrap().to_vec());
        rest = following;
    }
    assert!(rest.is_empty(), "nothing between the parts");
    parts
}

#[tokio::test]
async fn recent_lines_come_in_parts_of_either_form_in_their_order() {
    let server = serve(Pace::default()).await;
    for path in ["/apps/a/recentlogs", "/recent?app=a"] {
        let (status, kind, body) = server.get(path, Some(TOKEN)).await;
        assert_eq!(status, 200);
        assert_eq!(
            parts(&kind, &body),
            Vec::<Vec<u8>>::new(),
            "{path}: no line"
        );
    }
    // A line that looks like a boundary and one with line ends are lines like any other.
    let said = ["first", "--\r\n\r\n--", "last\r\n"];
    for (seq, text) in (1..).zip(said) {
        server.say(seq, text);
    }
    let (_, kind, body) = server.get("/apps/a/recentlogs", Some(TOKEN)).await;
    let read: Vec<String> = parts(&kind, &body)
        .iter()
        .map(|part| text_of(&envelope(part).message))
        .collect();
    assert_eq!(read, said);
    let (_, kind, body) = server.get("/recent?app=a", Some(TOKEN)).await;
    let read: Vec<(String, i64)> = parts(&kind, &body)
        .iter()
        .map(|part| OldLogMessage::decode(part.as_slice()).unwrap())
        .map(|message| (text_of(&message.message), message.timestamp))
        .collect();
    let expected: Vec<(String, i64)> = said.map(str::to_owned).into_iter().zip(1..).collect();
    assert_eq!(read, expected);
}

#[tokio::test]
async fn who_may_not_read_is_told_so_with_401_and_a_text() {
    let server = serve(Pace::default()).await;
    for (path, token, status) in [
        ("/apps/a/recentlogs", None, 401),
        ("/apps/a/recentlogs", Some("bearer bad"), 401),
        ("/apps/b/recentlogs", Some(TOKEN), 401),
        ("/recent?app=a", None, 401),
        ("/recent?app=b", Some(TOKEN), 401),
        ("/recent", Some(TOKEN), 400),
        // No upgrade was asked for.
        ("/apps/a/stream", Some(TOKEN), 400),
        ("/tail/?app=a", Some(TOKEN), 400),
    ] {
        let (found, _, body) = server.get(path, token).await;
        assert_eq!(found, status, "{path} {token:?}");
        assert!(!body.is_empty(), "{path} {token:?}: a text says why");
        let advice = text_of(&body).contains("Log in again");
        assert_eq!(advice, status == 401, "{path} {token:?}");
    }
    for path in ["/apps/b/stream", "/tail/?app=b", "/tail?app=b"] {
        let url = format!("ws://{}{path}", server.addr);
        let mut request = url.into_client_request().unwrap();
        let headers = request.headers_mut();
        headers.insert("authorization", TOKEN.parse().unwrap());
        let refused = connect_async(request).await;
        let Err(Error::Http(answer)) = refused else {
            panic!("{path}: {refused:?}");
        };
        assert_eq!(answer.status(), 401, "{path}");
    }
    assert_eq!(server.hub.readers("b"), 0);
}

/// The last line of a stream, and the code and text it ends with.
async fn end(client: &mut Client) -> (Vec<u8>, u16, String) {
    let mut last = Vec::new();
    while let Some(frame) = next(client).await {
        match frame.unwrap() {
            Frame::Binary(line) => last = line.to_vec(),
            Frame::Close(Some(close)) => {
                return (last, close.code.into(), close.reason.to_string());
            }
            _ => {}
        }
    }
    panic!("the stream ended without a reason");
}

fn asking_often() -> Pace {
    Pace {
        ask_every: Duration::from_millis(5),
        ..Pace::default()
    }
}

#[tokio::test]
async fn a_stream_ends_when_its_reader_may_not_read_any_more() {
    let server = serve(asking_often()).await;
    let mut new = server.follow("/apps/a/stream").await;
    let mut old = server.follow("/tail/?app=a").await;
    server.say(1, "while it may");
    for client in [&mut new, &mut old] {
        let frame = next(client).await.unwrap().unwrap();
        assert!(frame.is_binary());
    }
    *server.still.lock().unwrap() = Answer::No;
    let (line, code, reason) = end(&mut new).await;
    assert_eq!((code, reason.as_str()), (1008, DISMISSED));
    assert_eq!(text_of(&envelope(&line).message), DISMISSED);
    let (line, code, _) = end(&mut old).await;
    let line = OldLogMessage::decode(line.as_slice()).unwrap();
    assert_eq!((code, text_of(&line.message).as_str()), (1008, DISMISSED));
    server.nobody_reads().await;
}

#[tokio::test]
async fn a_flood_of_lines_does_not_keep_a_reader_on() {
    let server = serve(asking_often()).await;
    let mut client = server.follow("/apps/a/stream").await;
    let (hub, still) = (server.hub.clone(), server.still.clone());
    let flood = tokio::spawn(async move {
        for seq in 1.. {
            if hub.readers(APP) == 0 {
                return;
            }
            if seq == 100 {
                *still.lock().unwrap() = Answer::No;
            }
            let line = LogLine {
                seq,
                ..own_line(APP, "x".repeat(1_000))
            };
            hub.accept(LogBatch {
                lines: vec![line],
                may_defer: false,
            });
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(end(&mut client).await.1, 1008);
    flood.await.unwrap();
}

#[tokio::test]
async fn a_stream_outlives_a_controller_that_is_away_for_a_moment_only() {
    let server = serve(asking_often()).await;
    let mut client = server.follow("/apps/a/stream").await;
    *server.still.lock().unwrap() = Answer::Unknown;
    assert_eq!(end(&mut client).await.2, UNANSWERED);
    let mut answers = [Answer::Unknown; STREAM_UNANSWERED_TRIES].to_vec();
    answers[STREAM_UNANSWERED_TRIES - 1] = Answer::Yes;
    answers.push(Answer::No);
    let answers = Arc::new(std::sync::Mutex::new(answers.into_iter()));
    let reader = Reader {
        access: Arc::new(move |_, _, _| {
            let answer = answers.lock().unwrap().next().unwrap();
            Box::pin(async move { answer })
        }),
        token: TOKEN.into(),
        app: APP.into(),
        form: Form::Dropsonde,
    };
    assert_eq!(reader.dismissed(Duration::from_millis(1)).await, DISMISSED);
}

/// At the limit, one byte beyond it and a hundred times it; what is refused is not read to its end.
#[tokio::test]
async fn the_intake_takes_what_fits_and_no_more() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let server = serve(Pace::default()).await;
    for (size, expected) in [
        (LOG_INTAKE_BYTES, "200"),
        (LOG_INTAKE_BYTES + 1, "413"),
        (100 * LOG_INTAKE_BYTES, "413"),
    ] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: {}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n",
            bus::log::INTAKE_PATH,
            "Basic dTpw",
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        if expected == "200" {
            let mut body = br#"{"lines":[]}"#.to_vec();
            body.resize(size, b' ');
            stream.write_all(&body).await.unwrap();
        }
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer[9..], expected.as_bytes(), "{size}");
    }
}
