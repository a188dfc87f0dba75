//! Judges a complete head: request line, header lines, and how the body is framed.

use super::host::{self, Target};
use super::{Limits, Name, Refusal, Span};

/// A method longer than this is no method.
const METHOD_BYTES: usize = 32;
/// Digits of a Content-Length; eighteen cannot overflow.
const LENGTH_DIGITS: usize = 18;

/// Names that an app server may read `-` for `_` in (CGI does), so that
/// `X_Forwarded_For` would pass for what only we may say.
const PROTECTED: [&str; 13] = [
    "content-length",
    "transfer-encoding",
    "host",
    "connection",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-client-cert",
    "x-vcap-request-id",
    "x-request-start",
    "x-cf-applicationid",
    "x-cf-instanceid",
];

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    None,
    /// After this many bytes.
    Length(u64),
    /// Where the chunks say.
    Chunked,
}

/// A header line of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Which header it is.
    pub name: Name,
    /// The line without its CRLF.
    pub line: Span,
    /// The value without the spaces around it.
    pub value: Span,
}

/// A head taken apart. The positions hold in the bytes it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The method.
    pub method: Span,
    /// The request line, without its CRLF.
    pub line: Span,
    /// Path and query; empty in `http://host` and for `*`'s sake the star itself.
    pub path: Span,
    /// The host asked for: that of an absolute target, else the Host header's; absent in old requests only.
    pub host: Option<Span>,
    /// The header lines, in their order.
    pub fields: Vec<Field>,
    /// Where the body ends.
    pub framing: Framing,
    /// The version is 1.0.
    pub old: bool,
    /// The client wants the connection closed after this message.
    pub last: bool,
    /// The client waits for a 100 before it sends the body.
    pub waits: bool,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            method: Span::default(),
            line: Span::default(),
            path: Span::default(),
            host: None,
            fields: Vec::new(),
            framing: Framing::None,
            old: false,
            last: false,
            waits: false,
        }
    }
}

impl Head {
    /// Values of a header, in their order; `head` is what this was read from.
    pub fn values<'a>(&'a self, head: &'a [u8], name: Name) -> impl Iterator<Item = &'a [u8]> {
        let fields = self.fields.iter().filter(move |field| field.name == name);
        fields.map(|field| field.value.of(head))
    }
}

/// What header lines say that matters here.
#[derive(Default)]
struct Seen {
    host: Option<Span>,
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    waits: bool,
}

/// Judges a head whose lines all end in CRLF, the last one empty.
///
/// # Errors
/// The first [`Refusal`] that applies.
pub fn judge(head: &[u8], limits: Limits) -> Result<Head, Refusal> {
    let mut found = Head::default();
    judge_into(head, limits, &mut found)?;
    Ok(found)
}

/// The same, in a head that was used before.
pub(crate) fn judge_into(head: &[u8], limits: Limits, found: &mut Head) -> Result<(), Refusal> {
    found.fields.clear();
    let end = line_end(head, 0);
    found.line = Span::new(0, end);
    let (method, target, old) = request_line(found.line.of(head))?;
    let (mut seen, mut at) = (Seen::default(), end + 2);
    loop {
        let end = line_end(head, at);
        if end <= at {
            break;
        }
        if found.fields.len() == limits.fields {
            return Err(Refusal::TooManyFields);
        }
        let field = parse_field(head, Span::new(at, end))?;
        seen.note(&field, head)?;
        found.fields.push(field);
        at = end + 2;
    }
    found.method = method;
    (found.old, found.last) = (old, seen.close || (old && !seen.keep_alive));
    found.framing = seen.check(head, method.of(head), target, found)?;
    found.waits = seen.waits && !old && found.framing != Framing::None;
    Ok(())
}

/// Where the line that begins here ends, before its CRLF.
fn line_end(head: &[u8], from: usize) -> usize {
    let rest = head.get(from..).unwrap_or_default();
    from + memchr::memchr(b'\r', rest).unwrap_or(rest.len())
}

/// Method, target, and whether the version is 1.0.
fn request_line(line: &[u8]) -> Result<(Span, Span, bool), Refusal> {
    let space = |from: usize| {
        let at = memchr::memchr(b' ', &line[from..]);
        at.map(|at| from + at).ok_or(Refusal::RequestLine)
    };
    let first = space(0)?;
    let second = space(first + 1)?;
    let version = &line[second + 1..];
    if version.contains(&b' ') {
        return Err(Refusal::RequestLine);
    }
    check_method(&line[..first])?;
    let old = match version {
        b"HTTP/1.1" => false,
        b"HTTP/1.0" => true,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            return Err(Refusal::VersionUnsupported);
        }
        _ => return Err(Refusal::Version),
    };
    Ok((Span::new(0, first), Span::new(first + 1, second), old))
}

fn check_method(method: &[u8]) -> Result<(), Refusal> {
    if method.is_empty() || method.len() > METHOD_BYTES || !is_token(method) {
        return Err(Refusal::Method);
    }
    let usual = |byte: &u8| byte.is_ascii_uppercase() || b"-_".contains(byte);
    match method == b"CONNECT" || !method.iter().all(usual) {
        true => Err(Refusal::MethodUnsupported),
        false => Ok(()),
    }
}

/// What may stand in a token (RFC 9110 §5.6.2).
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let marks = b"!#$%&'*+-.^_`|~";
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
};

fn is_token(text: &[u8]) -> bool {
    text.iter().all(|byte| TOKEN[usize::from(*byte)])
}

/// Takes a line apart that has no control characters but tabs.
pub(crate) fn parse_field(message: &[u8], line: Span) -> Result<Field, Refusal> {
    let text = line.of(message);
    if text.starts_with(b" ") || text.starts_with(b"\t") {
        return Err(Refusal::Folded);
    }
    let colon = memchr::memchr(b':', text).ok_or(Refusal::FieldName)?;
    let name = &text[..colon];
    if name.ends_with(b" ") || name.ends_with(b"\t") {
        return Err(Refusal::SpaceBeforeColon);
    }
    if name.is_empty() || !is_token(name) {
        return Err(Refusal::FieldName);
    }
    let value = Span::new(line.from() + colon + 1, line.to());
    Ok(Field {
        name: Name::of(name),
        line,
        value: value.trimmed(message),
    })
}

/// Refuses names that imitate a protected one. Not for answers: an app may say of itself what it likes.
pub(super) fn refuse_lookalike(message: &[u8], field: &Field) -> Result<(), Refusal> {
    let line = field.line.of(message);
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
    match is_lookalike(name) {
        true => Err(Refusal::Lookalike),
        false => Ok(()),
    }
}

fn is_lookalike(name: &[u8]) -> bool {
    let dashed = |byte: &u8| match byte {
        b'_' => b'-',
        other => other.to_ascii_lowercase(),
    };
    name.contains(&b'_')
        && PROTECTED
            .iter()
            .any(|protected| name.iter().map(dashed).eq(protected.bytes()))
}

impl Seen {
    fn note(&mut self, field: &Field, head: &[u8]) -> Result<(), Refusal> {
        let value = field.value.of(head);
        match field.name {
            Name::Other => refuse_lookalike(head, field)?,
            Name::Host if self.host.replace(field.value).is_some() => {
                return Err(Refusal::HostRepeated);
            }
            Name::ContentLength if self.length.replace(length(value)?).is_some() => {
                return Err(Refusal::LengthRepeated);
            }
            Name::TransferEncoding => {
                if self.chunked {
                    return Err(Refusal::CodingRepeated);
                }
                self.chunked = coding(value)?;
            }
            Name::Connection => {
                self.close |= names(value, b"close");
                self.keep_alive |= names(value, b"keep-alive");
            }
            Name::Expect if !value.eq_ignore_ascii_case(b"100-continue") => {
                return Err(Refusal::Expectation);
            }
            Name::Expect => self.waits = true,
            _ => {}
        }
        Ok(())
    }

    /// What only all lines together can tell: host and framing.
    fn check(
        &self,
        head: &[u8],
        method: &[u8],
        target: Span,
        found: &mut Head,
    ) -> Result<Framing, Refusal> {
        let asked = host::target(method, target.of(head))?;
        self.check_host(head, &asked, found.old)?;
        (found.path, found.host) = match asked {
            Target::Origin => (target, self.host),
            Target::Absolute { authority } => {
                let from = target.from() + authority.1;
                let host = Span::new(target.from() + authority.0, from);
                (Span::new(from, target.to()), Some(host))
            }
        };
        self.framing(found.old)
    }

    /// One host, well-formed, and not another one in the target (RFC 9112 §3.2.2 lets
    /// the target win; a backend that reads the header would then see another site).
    fn check_host(&self, head: &[u8], target: &Target<'_>, old: bool) -> Result<(), Refusal> {
        let host = self.host.map(|host| host.of(head));
        match (host, target) {
            (None, _) if !old => Err(Refusal::HostMissing),
            (None, _) => Ok(()),
            (Some(host), _) if !host::host(host) => Err(Refusal::HostInvalid),
            (Some(host), Target::Absolute { authority })
                if !authority.2.eq_ignore_ascii_case(host) =>
            {
                Err(Refusal::HostMismatch)
            }
            _ => Ok(()),
        }
    }

    /// RFC 9112 §6.3, with everything refused that it lets a server guess.
    fn framing(&self, old: bool) -> Result<Framing, Refusal> {
        match (self.chunked, self.length) {
            (true, Some(_)) => Err(Refusal::TwoLengths),
            (true, None) if old => Err(Refusal::CodingOld),
            (true, None) => Ok(Framing::Chunked),
            (false, Some(length)) => Ok(Framing::Length(length)),
            (false, None) => Ok(Framing::None),
        }
    }
}

/// Whether a list names a word, in whatever case.
pub(crate) fn names(list: &[u8], word: &[u8]) -> bool {
    words(list).any(|given| given.eq_ignore_ascii_case(word))
}

pub(crate) fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// Digits only, without a leading zero: some parsers read those as octal.
pub(crate) fn length(value: &[u8]) -> Result<u64, Refusal> {
    let zero_led = value.len() > 1 && value.starts_with(b"0");
    if value.is_empty() || value.len() > LENGTH_DIGITS || zero_led {
        return Err(Refusal::LengthInvalid);
    }
    value.iter().try_fold(0, |number: u64, byte| match byte {
        b'0'..=b'9' => Ok(number * 10 + u64::from(byte - b'0')),
        _ => Err(Refusal::LengthInvalid),
    })
}

/// `chunked` alone is understood.
fn coding(value: &[u8]) -> Result<bool, Refusal> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(true);
    }
    let chunked = |word: &&[u8]| word.eq_ignore_ascii_case(b"chunked");
    let odd = |word: &[u8]| word.is_empty() || !is_token(word);
    match words(value).any(odd) || words(value).filter(chunked).count() > 1 {
        true => Err(Refusal::CodingRepeated),
        false => Err(Refusal::CodingUnknown),
    }
}
