//! What the fuzz targets call, and plain tests with them (`router/tests/fuzzed.rs`): properties that hold
//! for any bytes whatsoever.

use crate::answer::{self, Answer};
use crate::guard::{Body, Guard, Head, Limits, Refusal, Refused, judge};
use crate::rewrite::{self, Closing, Peer, Reply, Scene, Trust};
use crate::table::Endpoint;

const LIMITS: Limits = Limits {
    head_bytes: 8192,
    fields: 50,
};

/// What a client's bytes come to: heads with their bodies, and the refusal that ended it.
type Reading = (Vec<(Vec<u8>, Vec<u8>)>, Option<Refusal>);

/// Whatever a client sends reads the same however it is cut, and what passes has one
/// meaning for whoever reads it next.
///
/// # Panics
/// When one of these does not hold.
pub fn request(data: &[u8]) {
    let whole = read(data, usize::MAX);
    for step in [1, 3] {
        let cut = read(data, step);
        assert_eq!(cut.1, whole.1, "the verdict depends on the cut");
        let heads = |reading: &Reading| {
            reading
                .0
                .iter()
                .map(|(head, _)| head.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(heads(&cut), heads(&whole), "the heads depend on the cut");
    }
    for (head, _) in &whole.0 {
        passes_on(head);
    }
}

fn read(data: &[u8], step: usize) -> Reading {
    let mut guard = Guard::new(LIMITS);
    let (mut waiting, mut found, mut head) = (Vec::new(), Vec::new(), Head::default());
    for part in data.chunks(step) {
        waiting.extend_from_slice(part);
        match advance(&mut guard, &mut waiting, &mut found, &mut head) {
            Ok(true) => {}
            Ok(false) => break,
            Err(refused) => return (found, Some(refused.why)),
        }
    }
    (found, None)
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

/// What an instance gets is one whole head with the same framing, and nobody but us says who the client is.
fn passes_on(raw: &[u8]) {
    let head = judge(raw, LIMITS).expect("it was accepted before");
    let peer = Peer {
        addr: ([203, 0, 113, 7], 1).into(),
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
    let said = rewrite::request(&mut sent, raw, &head, &scene);
    rewrite::address_to(&mut sent, &said, &Endpoint::bare("203.0.113.9:1"));
    let roomy = Limits {
        head_bytes: 2 * LIMITS.head_bytes,
        fields: 2 * LIMITS.fields,
    };
    let mut guard = Guard::new(roomy);
    let mut again = Head::default();
    let place = guard.head(&sent, &mut again);
    // An old client need not name a host; everything else is as strict as it was.
    let Ok(Some(place)) = place else {
        assert!(
            head.old && head.host.is_none(),
            "{place:?}: {}",
            String::from_utf8_lossy(&sent)
        );
        return;
    };
    assert_eq!(place.to(), sent.len(), "something stands behind the head");
    assert_eq!(again.framing, head.framing);
    let ours = String::from_utf8_lossy(&sent).to_ascii_lowercase();
    for (name, value) in [
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-proto", "http"),
        ("x-vcap-request-id", "fresh-id"),
        ("x-cf-instanceid", "203.0.113.9:1"),
    ] {
        let line = format!("\r\n{name}:");
        assert_eq!(ours.matches(&line).count(), 1, "{name} in {ours}");
        assert!(
            ours.contains(&format!("{line} {value}\r\n")),
            "{name} in {ours}"
        );
    }
}

/// Whatever an instance answers is refused or passed on as one head with the same framing, however it is cut.
///
/// # Panics
/// When one of these does not hold.
pub fn answer(data: &[u8]) {
    let mut found = Answer::default();
    let Ok(Some(end)) = answer::read(data, LIMITS, &mut found) else {
        return;
    };
    for cut in 0..end {
        let mut early = Answer::default();
        let read = answer::read(&data[..cut], LIMITS, &mut early);
        assert!(
            matches!(read, Ok(None)),
            "half a head was taken for a whole one"
        );
    }
    let reply = Reply {
        request_id: b"id",
        cookie: None,
        closing: Closing::Close,
        chunked: found.chunked,
        switches: false,
    };
    let mut out = Vec::new();
    rewrite::response(&mut out, data, &found, &reply);
    let mut again = Answer::default();
    let read = answer::read(&out, LIMITS, &mut again).ok().flatten();
    if out.len() <= LIMITS.head_bytes {
        assert_eq!(read, Some(out.len()), "{}", String::from_utf8_lossy(&out));
        assert_eq!((again.status, again.chunked), (found.status, found.chunked));
        assert_eq!(
            format!("{:?}", again.body(false)),
            format!("{:?}", found.body(false))
        );
    }
    bodies(&data[end..], &found);
}

/// A body ends at the same byte however it is cut, and decoding finds the same end.
fn bodies(data: &[u8], found: &Answer) {
    let end = |step: usize| {
        let mut body = found.body(false)?;
        let mut at = 0;
        for part in data.chunks(step) {
            match body.take(part, LIMITS) {
                Ok((used, true)) => return Some(at + used),
                Ok((used, false)) => at += used,
                Err(_) => return None,
            }
        }
        None
    };
    assert_eq!(
        end(1),
        end(usize::MAX),
        "the end of a body depends on the cut"
    );
    if matches!(found.body(false), Some(Body::Chunked(_))) {
        let mut out = Vec::new();
        let mut chunks = crate::guard::Chunked::default();
        let decoded = chunks.decode(data, LIMITS, &mut out);
        let decoded = decoded.ok().filter(|(_, done)| *done).map(|(used, _)| used);
        assert_eq!(decoded, end(usize::MAX));
        assert!(out.len() <= data.len());
    }
}
