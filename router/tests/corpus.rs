//! The corpus of requests: what is refused reaches no instance, what is accepted reaches one in the stated form.
#![allow(clippy::unwrap_used)]

mod common;
mod corpus_case;

use std::sync::{Arc, Mutex};

use common::{Edge, Instance, within};
use corpus_case::{Case, Message, Verdict, cases};
use router::guard::{Guard, Head, Limits, Refused};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const HOST: &str = "a.example.com";

/// What instances saw: whole requests, and how often bytes came at all.
#[derive(Default)]
struct Seen {
    messages: Vec<Message>,
    bytes: usize,
}

type Record = Arc<Mutex<Seen>>;

/// An instance that notes every byte, reads strictly, and answers whole requests with 200.
async fn recorder(record: Record) -> Instance {
    Instance::serving(move |stream| {
        let record = record.clone();
        async move { drop(serve(stream, record).await) }
    })
    .await
}

async fn serve(mut stream: TcpStream, record: Record) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        while let Some((message, used)) = parse(&bytes) {
            bytes.drain(..used);
            let cuts_off = message.method == "HEAD";
            record.lock().unwrap().messages.push(message);
            let body = if cuts_off { "" } else { "ok" };
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{body}");
            stream.write_all(answer.as_bytes()).await?;
        }
        let count = stream.read_buf(&mut bytes).await?;
        if count == 0 {
            return Ok(());
        }
        record.lock().unwrap().bytes += count;
    }
}

/// A whole request and its length. Panics over anything the edge should have put in order.
fn parse(bytes: &[u8]) -> Option<(Message, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]);
    let values = |name: &str| -> Vec<&str> {
        let lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
        lines
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    };
    let (lengths, codings) = (values("content-length"), values("transfer-encoding"));
    assert!(lengths.len() + codings.len() <= 1, "two lengths in {head}");
    assert_eq!(values("host").len(), 1, "{head}");
    let (body, used) = match codings.first() {
        Some(coding) => {
            assert_eq!(*coding, "chunked");
            unchunk(&bytes[end..])?
        }
        None => {
            let length = lengths.first().map_or(0, |length| length.parse().unwrap());
            (bytes[end..].get(..length)?.to_vec(), length)
        }
    };
    let mut words = head.split("\r\n").next()?.split(' ');
    let message = Message {
        method: words.next()?.into(),
        target: words.next()?.into(),
        chunked: !codings.is_empty(),
        body,
    };
    assert_eq!(words.next(), Some("HTTP/1.1"));
    Some((message, end + used))
}

fn unchunk(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let line = bytes[at..].windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&bytes[at..at + line]).unwrap();
        let size = size.split(';').next()?;
        let size = usize::from_str_radix(size, 16).expect("the edge lets pass plain sizes only");
        at += line + 2;
        if size == 0 {
            // Trailers end with an empty line.
            let end = at
                + bytes[at - 2..]
                    .windows(4)
                    .position(|four| four == b"\r\n\r\n")?
                + 2;
            return Some((body, end));
        }
        body.extend_from_slice(bytes.get(at..at + size)?);
        let crlf = bytes.get(at + size..at + size + 2)?;
        assert_eq!(crlf, b"\r\n");
        at += size + 2;
    }
}

/// Statuses of the answers, and whether the connection was closed after them.
async fn ask(edge: &Edge, case: &Case) -> (Vec<u16>, bool) {
    let mut stream = edge.connect().await;
    // A refused client may find the door closed while it is still talking.
    let _ = stream.write_all(&case.request).await;
    // After an unknown host the connection lives on, as after an answer of an instance.
    let lives = |verdict: &&Verdict| matches!(verdict, Verdict::Pass(_) | Verdict::Refused(404));
    let to_the_end = case.verdicts.last().filter(lives).is_none();
    let mut raw = Vec::new();
    within(&format!("the answer to line {}", case.line), async {
        loop {
            if !to_the_end && statuses(&raw).len() == case.verdicts.len() {
                return (statuses(&raw), false);
            }
            match stream.read_buf(&mut raw).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return (statuses(&raw), true),
            }
        }
    })
    .await
}

/// Status lines stand at the beginning or directly behind a body, which contains none.
fn statuses(raw: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(raw);
    let heads = text.split("HTTP/1.").skip(1);
    heads
        .filter(|head| head.contains("\r\n\r\n"))
        .map(|head| head[2..5].parse().unwrap())
        .collect()
}

/// What is wrong with how a case went, if anything.
async fn run(edge: &Edge, record: &Record, case: &Case) -> Option<String> {
    *record.lock().unwrap() = Seen::default();
    let (statuses, closed) = ask(edge, case).await;
    let whole = case.messages();
    if !case.verdicts.contains(&Verdict::Cut) {
        if statuses != case.statuses() {
            return Some(format!("answered {statuses:?}"));
        }
    } else if statuses.contains(&200) {
        return Some("an instance answered".into());
    } else if !closed {
        return Some("left open".into());
    }
    let seen = record.lock().unwrap();
    if whole.is_empty() && seen.bytes > 0 && !case.verdicts.contains(&Verdict::Cut) {
        return Some(format!("{} bytes reached an instance", seen.bytes));
    }
    (seen.messages != whole).then(|| format!("instances saw {:?}", seen.messages))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_of_the_corpus_meets_its_verdict() {
    let cases = cases();
    assert!(cases.len() >= 300, "{} cases", cases.len());
    let edge = Edge::start().await;
    let record = Record::default();
    let app = recorder(record.clone()).await;
    edge.register(&app.endpoint("i1", &[HOST])).await;
    let mut wrong = Vec::new();
    for case in &cases {
        if let Some(problem) = run(&edge, &record, case).await {
            wrong.push(format!(
                "line {} (RFC {}): {problem}\n    stated {:?}\n    {}",
                case.line, case.clause, case.verdicts, case.text
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        cases.len(),
        wrong.join("\n")
    );
}

/// The guard alone: statuses of refusals, and the bytes that passed.
fn judge(request: &[u8], step: usize) -> (Option<u16>, Vec<u8>) {
    let mut guard = Guard::new(Limits {
        head_bytes: 64 * 1024,
        fields: 100,
    });
    let (mut waiting, mut out, mut head) = (Vec::new(), Vec::new(), Head::default());
    for part in request.chunks(step) {
        waiting.extend_from_slice(part);
        match read(&mut guard, &mut waiting, &mut out, &mut head) {
            Ok(true) => {}
            Ok(false) => break,
            Err(refused) => return (Some(refused.why.status().as_u16()), out),
        }
    }
    (None, out)
}

/// Reads as far as it goes; false once the client has said that nothing follows.
fn read(
    guard: &mut Guard,
    waiting: &mut Vec<u8>,
    out: &mut Vec<u8>,
    head: &mut Head,
) -> Result<bool, Refused> {
    while !waiting.is_empty() {
        let used = match guard.in_body() {
            true => guard.body(waiting)?,
            false => match guard.head(waiting, head)? {
                Some(place) => place.to(),
                None => return Ok(true),
            },
        };
        out.extend(waiting.drain(..used));
        if !guard.in_body() && head.last {
            return Ok(false);
        }
    }
    Ok(true)
}

#[test]
fn the_guard_judges_alike_however_the_bytes_are_cut() {
    for case in cases() {
        let whole = judge(&case.request, usize::MAX);
        let refused = case.verdicts.iter().find_map(|verdict| match verdict {
            // An unknown host is none of the guard's business.
            Verdict::Refused(status) if *status != 404 => Some(*status),
            Verdict::Cut => whole.0,
            _ => None,
        });
        assert_eq!(whole.0, refused, "line {}", case.line);
        assert!(
            !case.verdicts.contains(&Verdict::Cut) || whole.0.is_some(),
            "line {} is not refused",
            case.line
        );
        for step in [1, 2, 7] {
            let (status, passed) = judge(&case.request, step);
            assert_eq!(status, whole.0, "line {}", case.line);
            // How much of a body passed before it went wrong depends on the cuts.
            let cut = case.verdicts.contains(&Verdict::Cut);
            assert!(cut || passed == whole.1, "line {}", case.line);
        }
    }
}
