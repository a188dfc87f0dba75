//! What a client sends.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use super::second_reader::{Lines, joined_chunks};
use super::{LIMITS, cookies};
use crate::access_log::Record;
use crate::guard::{Chunked, Framing, Guard, Head, Limits, Name, Refusal, Refused, judge};
use crate::rewrite::{self, Peer, Scene, Trust};
use crate::table::Endpoint;

/// What a client's bytes come to: heads with their bodies as they came, and the refusal that ended it.
type Reading = (Vec<(Vec<u8>, Vec<u8>)>, Option<Refusal>);

/// Somebody from outside, and a balancer.
const STRANGER: [u8; 4] = [203, 0, 113, 7];
const BELIEVED: [u8; 4] = [127, 0, 0, 1];

/// Whatever a client sends reads the same however it is cut, and what passes has one
/// meaning for whoever reads it next.
///
/// # Panics
/// When one of these does not hold.
pub fn request(data: &[u8]) {
    let (whole, whole_body) = read(data, usize::MAX);
    for step in [1, 3] {
        let (cut, cut_body) = read(data, step);
        assert_eq!(cut.1, whole.1, "the verdict depends on the cut");
        let heads = |reading: &Reading| {
            let heads = reading.0.iter().map(|(head, _)| head.clone());
            heads.collect::<Vec<_>>()
        };
        assert_eq!(heads(&cut), heads(&whole), "the heads depend on the cut");
        if whole.1.is_none() {
            assert_eq!(
                (cut.0, cut_body),
                (whole.0.clone(), whole_body),
                "the bodies depend on the cut"
            );
        }
    }
    let (count, refused) = (whole.0.len(), whole.1.is_some());
    for (at, (head, body)) in whole.0.iter().enumerate() {
        // Only the last one can be unfinished or wrong.
        let ended = at + 1 < count || !(whole_body || refused);
        carried(head, body, ended);
        for client in [STRANGER, BELIEVED] {
            passes_on(head, client.into());
        }
    }
}

/// True beside it when the input ended inside a body.
fn read(data: &[u8], step: usize) -> (Reading, bool) {
    let mut guard = Guard::new(LIMITS);
    let (mut waiting, mut found, mut head) = (Vec::new(), Vec::new(), Head::default());
    for part in data.chunks(step) {
        waiting.extend_from_slice(part);
        match advance(&mut guard, &mut waiting, &mut found, &mut head) {
            Ok(true) => {}
            Ok(false) => break,
            Err(refused) => return ((found, Some(refused.why)), guard.in_body()),
        }
    }
    ((found, None), guard.in_body())
}

/// False once the client has said that nothing follows.
fn advance(
    guard: &mut Guard,
    waiting: &mut Vec<u8>,
    found: &mut Vec<(Vec<u8>, Vec<u8>)>,
    head: &mut Head,
) -> Result<bool, Refused> {
    while !waiting.is_empty() {
        if guard.in_body() {
            let used = guard.body(waiting)?;
            let body = waiting.drain(..used);
            if let Some((_, all)) = found.last_mut() {
                all.extend(body);
            }
        } else {
            let Some(place) = guard.head(waiting, head)? else {
                return Ok(true);
            };
            found.push((place.of(waiting).to_vec(), Vec::new()));
            waiting.drain(..place.to());
        }
        if !guard.in_body() && head.last {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A body that came to its end is as long as its head says, and its chunks carry the same to everybody.
fn carried(head: &[u8], body: &[u8], ended: bool) {
    let head = judge(head, LIMITS).expect("it was accepted before");
    match head.framing {
        Framing::None => assert!(body.is_empty()),
        Framing::Length(length) if ended => assert_eq!(body.len() as u64, length),
        Framing::Length(length) => assert!(body.len() as u64 <= length),
        Framing::Chunked if ended => {
            let mut out = Vec::new();
            let read = Chunked::default().decode(body, LIMITS, &mut out);
            assert_eq!(read, Ok((body.len(), true)));
            assert_eq!(out, joined_chunks(body));
        }
        Framing::Chunked => {}
    }
}

/// What an instance gets is one whole head with the same framing, and nobody but us says who the client is.
fn passes_on(raw: &[u8], client: IpAddr) {
    let head = judge(raw, LIMITS).expect("it was accepted before");
    let sent = sent(raw, &head, client);
    let lines = Lines::of(&sent).with_dashes();
    lines.check_framing(head.framing);
    assert_eq!(lines.values("host").len(), 1, "one host");
    let upgrade = rewrite::upgrade(&head, raw).is_some();
    let connection: &[&[u8]] = if upgrade { &[b"Upgrade"] } else { &[] };
    assert_eq!(lines.values("connection"), connection);
    assert_eq!(lines.values("upgrade").len(), usize::from(upgrade));
    assert_eq!(lines.values("x-cf-instanceid"), [b"203.0.113.9:1"]);
    assert_eq!(lines.values("x-vcap-request-id").len(), 1);
    let [way] = lines.values("x-forwarded-for")[..] else {
        panic!("one line says where the request came from");
    };
    assert!(way.ends_with(client.to_string().as_bytes()));
    if client == IpAddr::from(STRANGER) {
        assert_eq!(way, b"203.0.113.7");
        assert_eq!(lines.values("x-forwarded-proto"), [b"http"]);
        assert_eq!(lines.values("x-vcap-request-id"), [b"fresh-id"]);
        assert!(lines.values("x-forwarded-client-cert").is_empty());
    }
    read_again(&sent, &head, &lines);
    if let Some(session) = cookies().asked(&head, raw) {
        assert!(!session.contains(';'), "a part of two cookies");
    }
    logged(raw, &head);
}

/// The head as an instance gets it.
fn sent(raw: &[u8], head: &Head, client: IpAddr) -> Vec<u8> {
    let peer = Peer {
        addr: (client, 1).into(),
        ..Peer::default()
    };
    let scene = Scene {
        peer: &peer,
        trust: &Trust::default(),
        fixed_host: None,
        fresh_id: "fresh-id",
        now_ms: 1,
    };
    let mut sent = Vec::new();
    let said = rewrite::request(&mut sent, raw, head, &scene);
    rewrite::address_to(&mut sent, &said, &Endpoint::bare("203.0.113.9:1"));
    sent
}

/// Our own reader takes it for the same request.
fn read_again(sent: &[u8], head: &Head, lines: &Lines) {
    let roomy = Limits {
        head_bytes: 2 * LIMITS.head_bytes,
        fields: 2 * LIMITS.fields,
    };
    let mut again = Head::default();
    let place = Guard::new(roomy).head(sent, &mut again);
    // An old client need not name a host; everything else is as strict as it was.
    let Ok(Some(place)) = place else {
        let text = sent.escape_ascii();
        assert!(head.old && head.host.is_none(), "{place:?}: {text}");
        return;
    };
    assert_eq!(place.to(), sent.len(), "something stands behind the head");
    assert_eq!(again.framing, head.framing);
    assert_eq!(again.fields.len(), lines.len(), "a line too many");
}

/// Whatever the request says, the log gets one line with as many quotes as it has fields in quotes.
fn logged(raw: &[u8], head: &Head) {
    let value = |name| head.values(raw, name).next().unwrap_or_default();
    let record = Record {
        host: head.host.unwrap_or_default().of(raw),
        started: SystemTime::UNIX_EPOCH,
        request_line: head.line.of(raw),
        status: Some(200),
        bytes: 1,
        referer: value(Name::Referer),
        user_agent: value(Name::UserAgent),
        remote: (STRANGER, 1).into(),
        forwarded_for: value(Name::ForwardedFor),
        request_id: b"fresh-id",
        took: Some(Duration::from_millis(1)),
        app: None,
    };
    let mut line = Vec::new();
    record.write_line("now", &mut line);
    let ends = line.iter().filter(|byte| **byte == b'\n').count();
    assert!(ends == 1 && line.ends_with(b"\n"), "another line");
    assert_eq!(quotes(&line), 8, "{}", line.escape_ascii());
}

/// Quotes that are not escaped.
fn quotes(line: &[u8]) -> usize {
    let (mut count, mut escaped) = (0, false);
    for byte in line {
        count += usize::from(*byte == b'"' && !escaped);
        escaped = *byte == b'\\' && !escaped;
    }
    count
}
