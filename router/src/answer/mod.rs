//! Reads what instances answer. Pure, as [`crate::guard`] is.
//!
//! Less strict than towards clients where nobody can be deceived by it (a line may
//! end in a bare LF and is put right on the way), just as strict where an answer
//! could be cut in two: lengths, codings, control characters.

use thiserror::Error;

use crate::guard::{Body, Chunked, Field, Limits, Name, Span, length, names, parse_field, words};

/// The head of an answer, taken apart.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// What stands behind the version: status and reason.
    pub(crate) says: Span,
    pub(crate) fields: Vec<Field>,
    pub(crate) chunked: bool,
    pub(crate) length: Option<u64>,
    /// The instance closes the connection after this answer.
    pub(crate) last: bool,
}

/// An answer that cannot be passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Broken {
    #[error("its status line is malformed")]
    StatusLine,
    #[error("a header line is malformed")]
    Field,
    #[error("a control character stands in its head")]
    Control,
    #[error("it gives its length twice, or in two ways")]
    Length,
    #[error("it uses a transfer coding other than chunked")]
    Coding,
    #[error("its head exceeds the size limit")]
    TooLarge,
}

/// Reads a head from the beginning of `input` into `found`; its length once it is complete.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn read(
    input: &[u8],
    limits: Limits,
    found: &mut Answer,
) -> Result<Option<usize>, Broken> {
    let Some(end) = head_end(input) else {
        return match input.len() > limits.head_bytes {
            true => Err(Broken::TooLarge),
            false => Ok(None),
        };
    };
    // However much of it arrived at once.
    if end > limits.head_bytes {
        return Err(Broken::TooLarge);
    }
    let head = &input[..end];
    found.fields.clear();
    (found.chunked, found.length) = (false, None);
    let mut lines = Lines { head, at: 0 };
    let line = lines.next().ok_or(Broken::StatusLine)?;
    let old = status_line(head, line, found)?;
    let mut kept = false;
    found.last = false;
    for line in lines.take_while(|line| !line.of(head).is_empty()) {
        let field = parse_field(head, line).map_err(|_| Broken::Field)?;
        if line
            .of(head)
            .iter()
            .any(|&byte| byte < b' ' && byte != b'\t')
        {
            return Err(Broken::Control);
        }
        kept |= found.note(head, &field)?;
        found.fields.push(field);
    }
    if found.chunked && found.length.is_some() {
        return Err(Broken::Length);
    }
    found.last |= old && !kept;
    Ok(Some(end))
}

/// Behind the empty line.
fn head_end(input: &[u8]) -> Option<usize> {
    let mut line_ends = memchr::memchr_iter(b'\n', input);
    line_ends.find_map(|at| match &input[at + 1..] {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// The lines of a head, without their ends.
struct Lines<'a> {
    head: &'a [u8],
    at: usize,
}

impl Iterator for Lines<'_> {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        let rest = self.head.get(self.at..)?;
        let end = self.at + memchr::memchr(b'\n', rest)?;
        let cut = usize::from(end > self.at && self.head[end - 1] == b'\r');
        let line = Span::new(self.at, end - cut);
        self.at = end + 1;
        Some(line)
    }
}

/// True for version 1.0.
fn status_line(head: &[u8], line: Span, found: &mut Answer) -> Result<bool, Broken> {
    let text = line.of(head);
    let old = match text.get(..9) {
        Some(b"HTTP/1.1 ") => false,
        Some(b"HTTP/1.0 ") => true,
        _ => return Err(Broken::StatusLine),
    };
    let digits = text.get(9..12).unwrap_or_default();
    let number = std::str::from_utf8(digits)
        .ok()
        .and_then(|text| text.parse().ok());
    found.status = number
        .filter(|status| (100..1000).contains(status))
        .ok_or(Broken::StatusLine)?;
    let separated = matches!(text.get(12), None | Some(b' '));
    if !separated || text.iter().any(|&byte| byte < b' ' && byte != b'\t') {
        return Err(Broken::StatusLine);
    }
    found.says = Span::new(line.from() + 9, line.to());
    Ok(old)
}

impl Answer {
    /// True if the line wants the connection kept.
    fn note(&mut self, head: &[u8], field: &Field) -> Result<bool, Broken> {
        let value = field.value.of(head);
        match field.name {
            Name::ContentLength => {
                let given = length(value).map_err(|_| Broken::Length)?;
                if self.length.replace(given).is_some() {
                    return Err(Broken::Length);
                }
            }
            Name::TransferEncoding => {
                let plain = words(value).all(|word| word.eq_ignore_ascii_case(b"chunked"));
                if self.chunked || !plain || words(value).count() != 1 {
                    return Err(Broken::Coding);
                }
                self.chunked = true;
            }
            Name::Connection => {
                self.last |= names(value, b"close");
                return Ok(names(value, b"keep-alive"));
            }
            _ => {}
        }
        Ok(false)
    }

    /// Values of a header, in their order.
    pub(crate) fn values<'a>(
        &'a self,
        head: &'a [u8],
        name: Name,
    ) -> impl Iterator<Item = &'a [u8]> {
        let fields = self.fields.iter().filter(move |field| field.name == name);
        fields.map(|field| field.value.of(head))
    }

    /// Where the body ends (RFC 9112 §6.3); absent when there is none, whatever the headers say.
    pub(crate) fn body(&self, to_head: bool) -> Option<Body> {
        let none = to_head || self.status < 200 || matches!(self.status, 204 | 304);
        match self.length {
            _ if none => None,
            _ if self.chunked => Some(Body::Chunked(Box::<Chunked>::default())),
            Some(0) => None,
            Some(length) => Some(Body::Length(length)),
            None => Some(Body::Endless),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LIMITS: Limits = Limits::OF_TESTS;

    fn head(text: &str) -> Result<Option<(usize, Answer)>, Broken> {
        let mut found = Answer::default();
        let end = read(text.as_bytes(), LIMITS, &mut found)?;
        Ok(end.map(|end| (end, found)))
    }

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\n\r\nhello";
        for end in 0..text.len() - 5 {
            assert!(head(&text[..end]).unwrap().is_none(), "{end}");
        }
        let (end, answer) = head(text).unwrap().unwrap();
        assert_eq!(
            (&text[end..], answer.status, answer.last),
            ("hello", 200, false)
        );
        assert_eq!(answer.says.of(text.as_bytes()), b"200 OK");
        assert!(matches!(answer.body(false), Some(Body::Length(5))));
        assert!(answer.body(true).is_none());
    }

    #[test]
    fn framing_follows_the_standard() {
        for (text, last, expected) in [
            ("HTTP/1.1 200 OK\r\n\r\n", false, "Some(Endless)"),
            ("HTTP/1.0 200\r\n\r\n", true, "Some(Endless)"),
            (
                "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\n",
                false,
                "Some(Length(1))",
            ),
            (
                "HTTP/1.1 204 No\r\nContent-Length: 1\r\n\r\n",
                false,
                "None",
            ),
            ("HTTP/1.1 304 No\r\nConnection: close\r\n\r\n", true, "None"),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                false,
                "None",
            ),
        ] {
            let (_, answer) = head(text).unwrap().unwrap();
            assert_eq!(
                (answer.last, format!("{:?}", answer.body(false))),
                (last, expected.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_could_be_cut_in_two_is_broken() {
        for (text, why) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
                Broken::Length,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                Broken::Length,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
                Broken::Length,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
                Broken::Coding,
            ),
            ("HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n", Broken::Control),
            ("HTTP/1.1 200 OK\r\n folded\r\n\r\n", Broken::Field),
            ("HTTP/2 200 OK\r\n\r\n", Broken::StatusLine),
            ("HTTP/1.1 20x OK\r\n\r\n", Broken::StatusLine),
        ] {
            assert_eq!(head(text).unwrap_err(), why, "{text}");
        }
        let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(9000));
        for text in [&long[..9000], &long] {
            assert_eq!(head(text).unwrap_err(), Broken::TooLarge);
        }
    }
}
