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

/// Writes the head, empty line included.
pub(crate) fn response(out: &mut Vec<u8>, raw: &[u8], answer: &Answer, reply: &Reply<'_>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(answer.says.of(raw));
    out.extend_from_slice(b"\r\n");
    for field in &answer.fields {
        let passes = match field.name {
            Name::RequestId => false,
            Name::Trailer => reply.chunked && answer.chunked,
            Name::Upgrade => reply.switches,
            name => !name.is_hop_by_hop(),
        };
        if passes {
            out.extend_from_slice(field.line.of(raw));
            out.extend_from_slice(b"\r\n");
        }
    }
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
