//! The head of an answer as the client gets it.

use super::request::line;
use crate::answer::Answer;
use crate::guard::Name;

/// What the client is told about the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    /// Nothing: it stays open, as HTTP/1.1 has it.
    No,
    /// It ends after this answer.
    Close,
    /// An old client that asked for it may keep it.
    KeepAlive,
}

/// What is added to an answer.
pub(crate) struct Reply<'a> {
    pub(crate) request_id: &'a [u8],
    pub(crate) cookie: Option<String>,
    pub(crate) closing: Closing,
    /// The body goes out in chunks.
    pub(crate) chunked: bool,
    /// The connection leaves HTTP with this answer.
    pub(crate) switches: bool,
}

/// The status line, and the lines that pass as they came, each with its proper end.
fn lines_kept(out: &mut Vec<u8>, raw: &[u8], answer: &Answer, passes: impl Fn(Name) -> bool) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(answer.says.of(raw));
    out.extend_from_slice(b"\r\n");
    for field in answer.fields.iter().filter(|field| passes(field.name)) {
        out.extend_from_slice(field.line.of(raw));
        out.extend_from_slice(b"\r\n");
    }
}

/// Writes the head of what an instance says before its answer (103 above all): it frames nothing.
pub(crate) fn informational(out: &mut Vec<u8>, raw: &[u8], answer: &Answer) {
    let framing = |name| matches!(name, Name::ContentLength | Name::Trailer);
    lines_kept(out, raw, answer, |name| {
        !framing(name) && !name.is_hop_by_hop() && name != Name::RequestId
    });
    out.extend_from_slice(b"\r\n");
}

/// Writes the head, empty line included.
pub(crate) fn response(out: &mut Vec<u8>, raw: &[u8], answer: &Answer, reply: &Reply<'_>) {
    lines_kept(out, raw, answer, |name| match name {
        Name::RequestId => false,
        Name::Trailer => reply.chunked && answer.chunked,
        Name::Upgrade => reply.switches,
        // Neither has a body, whatever it says (RFC 9110 §8.6); a client that believed it would wait for one.
        Name::ContentLength => answer.status >= 200 && answer.status != 204,
        name => !name.is_hop_by_hop(),
    });
    line(out, "X-Vcap-Request-Id", reply.request_id);
    if let Some(cookie) = &reply.cookie {
        line(out, "Set-Cookie", cookie.as_bytes());
    }
    if reply.chunked {
        line(out, "Transfer-Encoding", b"chunked");
    }
    match reply.closing {
        _ if reply.switches => drop(line(out, "Connection", b"Upgrade")),
        Closing::No => {}
        Closing::Close => drop(line(out, "Connection", b"close")),
        Closing::KeepAlive => drop(line(out, "Connection", b"keep-alive")),
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::guard::Limits;

    fn rewritten(raw: &str, write: impl Fn(&mut Vec<u8>, &Answer)) -> String {
        let mut found = Answer::default();
        crate::answer::read(raw.as_bytes(), Limits::OF_TESTS, &mut found).unwrap();
        let mut out = Vec::new();
        write(&mut out, &found);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_said_before_an_answer_has_proper_line_ends_and_frames_nothing() {
        let raw = "HTTP/1.1 103 Early Hints\nLink: </x>\nConnection: close\nTransfer-Encoding: chunked\n\n";
        let out = rewritten(raw, |out, found| informational(out, raw.as_bytes(), found));
        assert_eq!(out, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
        let raw = "HTTP/1.1 102 Processing\r\nContent-Length: 5\r\n\r\n";
        let out = rewritten(raw, |out, found| informational(out, raw.as_bytes(), found));
        assert_eq!(out, "HTTP/1.1 102 Processing\r\n\r\n");
    }

    #[test]
    fn an_answer_without_a_body_claims_no_length_where_none_may_stand() {
        for (status, stays) in [("204 No", false), ("304 No", true), ("200 OK", true)] {
            let raw = format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\n");
            let reply = || Reply {
                request_id: b"id",
                cookie: None,
                closing: Closing::No,
                chunked: false,
                switches: false,
            };
            let out = rewritten(&raw, |out, found| {
                response(out, raw.as_bytes(), found, &reply())
            });
            assert_eq!(out.contains("Content-Length"), stays, "{out}");
        }
    }
}
