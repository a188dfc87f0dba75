//! What an instance answers.

use super::second_reader::Lines;
use super::{LIMITS, cookies};
use crate::answer::{self, Answer};
use crate::guard::{Body, Chunked, Framing, Name};
use crate::rewrite::{self, Closing, Reply};
use crate::table::Endpoint;

/// Whatever an instance answers is refused or passed on as one head with the same framing, however it is cut.
///
/// # Panics
/// When one of these does not hold.
pub fn answer(data: &[u8]) {
    let mut found = Answer::default();
    let Ok(Some(end)) = answer::read(data, LIMITS, &mut found) else {
        return;
    };
    for cut in (0..end).step_by(1 + end / 300) {
        let mut early = Answer::default();
        let read = answer::read(&data[..cut], LIMITS, &mut early);
        assert!(
            matches!(read, Ok(None)),
            "half a head was taken for a whole one"
        );
    }
    match found.status {
        100..200 => informs(data, &found),
        _ => passes_on(data, &found),
    }
    bodies(&data[end..], &found);
}

fn passes_on(data: &[u8], found: &Answer) {
    let mut endpoint = Endpoint::bare("203.0.113.9:1");
    endpoint.instance_id = Some("i1".into());
    let cookie = cookies().answer((found, data), None, &endpoint, "a.example.com/v2");
    let sets_cookie = usize::from(cookie.is_some());
    let reply = Reply {
        request_id: b"id",
        cookie,
        closing: Closing::Close,
        chunked: found.chunked && found.body(false).is_some(),
        switches: false,
    };
    let mut out = Vec::new();
    rewrite::response(&mut out, data, found, &reply);
    let lines = Lines::of(&out);
    let framing = match found.body(false) {
        Some(Body::Chunked(_)) => Framing::Chunked,
        Some(Body::Length(bytes)) => Framing::Length(bytes),
        Some(Body::Endless) => Framing::None,
        // To an answer to HEAD and to 304 a length may be said, but there is no body.
        None => match &lines.values("content-length")[..] {
            [] => Framing::None,
            _ => found.length.map_or(Framing::None, Framing::Length),
        },
    };
    lines.check_framing(framing);
    assert!(
        found.status != 204 || framing == Framing::None,
        "a length of nothing"
    );
    assert_eq!(lines.values("connection"), [b"close"]);
    assert_eq!(lines.values("x-vcap-request-id"), [b"id"]);
    let given = found.values(data, Name::SetCookie).count();
    assert_eq!(lines.values("set-cookie").len(), given + sets_cookie);
    same_again(&out, found, &lines);
}

/// Said before the answer: one head that frames nothing.
fn informs(data: &[u8], found: &Answer) {
    let mut out = Vec::new();
    rewrite::informational(&mut out, data, found);
    let lines = Lines::of(&out);
    lines.check_framing(Framing::None);
    assert!(lines.values("connection").is_empty());
    same_again(&out, found, &lines);
}

/// Read again it says the same, in lines of which each has its proper end.
fn same_again(out: &[u8], found: &Answer, lines: &Lines) {
    let text = out.escape_ascii();
    assert!(out.ends_with(b"\r\n\r\n"), "{text}");
    let bare = out.split(|byte| *byte == b'\n');
    let ends = bare.filter(|line| line.last() == Some(&b'\r')).count();
    assert_eq!(ends, lines.len() + 2, "a bare line end: {text}");
    if out.len() > LIMITS.head_bytes {
        return;
    }
    let mut again = Answer::default();
    let read = answer::read(out, LIMITS, &mut again).ok().flatten();
    assert_eq!(read, Some(out.len()), "{text}");
    assert_eq!(again.status, found.status);
    assert_eq!(again.fields.len(), lines.len(), "{text}");
    let body = |answer: &Answer| format!("{:?}", answer.body(false));
    assert_eq!(body(&again), body(found));
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
        let decoded = Chunked::default().decode(data, LIMITS, &mut out);
        let decoded = decoded.ok().filter(|(_, done)| *done).map(|(used, _)| used);
        assert_eq!(decoded, end(usize::MAX));
        assert!(out.len() <= data.len());
    }
}
