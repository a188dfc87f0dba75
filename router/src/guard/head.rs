//! Judges a complete head: request line, header lines, and how the body is framed.

use super::host::{self, Target};
use super::{Limits, Refusal};

/// A method longer than this is no method.
const METHOD_BYTES: usize = 32;
/// Digits of a Content-Length; eighteen cannot overflow.
const LENGTH_DIGITS: usize = 18;

/// Names that an app server may read `-` for `_` in (CGI does), so that
/// `X_Forwarded_For` would pass for what only we may say.
const PROTECTED: [&str; 12] = [
    "content-length",
    "transfer-encoding",
    "host",
    "connection",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
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

/// What the rest of the connection needs to know about a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Where the body ends.
    pub framing: Framing,
    /// The client wants the connection closed after this message.
    pub last: bool,
    /// The client asks to leave HTTP.
    pub upgrade: bool,
}

/// A header or trailer line taken apart.
pub(super) struct FieldLine<'a> {
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
}

/// What header lines say that matters here.
#[derive(Default)]
struct Seen<'a> {
    host: Option<&'a [u8]>,
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    upgrade: bool,
}

/// Judges a head whose lines all end in CRLF, the last one empty.
///
/// # Errors
/// The first [`Refusal`] that applies.
pub fn judge(head: &[u8], limits: Limits) -> Result<Head, Refusal> {
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| match line {
        [line @ .., b'\r'] => line,
        line => line,
    });
    let (method, target, old) = request_line(lines.next().unwrap_or_default())?;
    let mut seen = Seen::default();
    for (at, line) in lines.take_while(|line| !line.is_empty()).enumerate() {
        if at == limits.fields {
            return Err(Refusal::TooManyFields);
        }
        seen.note(&parse_field(line)?)?;
    }
    let target = host::target(method, target)?;
    seen.check_host(&target, old)?;
    Ok(Head {
        framing: seen.framing(old)?,
        last: seen.close || (old && !seen.keep_alive),
        upgrade: seen.upgrade,
    })
}

/// Method, target, and whether the version is 1.0.
fn request_line(line: &[u8]) -> Result<(&[u8], &[u8], bool), Refusal> {
    let parts: Vec<&[u8]> = line.splitn(4, |byte| *byte == b' ').collect();
    let [method, target, version] = parts[..] else {
        return Err(Refusal::RequestLine);
    };
    check_method(method)?;
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
    Ok((method, target, old))
}

fn check_method(method: &[u8]) -> Result<(), Refusal> {
    if method.is_empty() || method.len() > METHOD_BYTES || !method.iter().all(is_token) {
        return Err(Refusal::Method);
    }
    let usual = |byte: &u8| byte.is_ascii_uppercase() || b"-_".contains(byte);
    match method == b"CONNECT" || !method.iter().all(usual) {
        true => Err(Refusal::MethodUnsupported),
        false => Ok(()),
    }
}

/// RFC 9110 §5.6.2.
fn is_token(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

/// Takes a line apart; no line end in it.
pub(super) fn parse_field(line: &[u8]) -> Result<FieldLine<'_>, Refusal> {
    if line.starts_with(b" ") || line.starts_with(b"\t") {
        return Err(Refusal::Folded);
    }
    let colon = line
        .iter()
        .position(|byte| *byte == b':')
        .ok_or(Refusal::FieldName)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if name.ends_with(b" ") || name.ends_with(b"\t") {
        return Err(Refusal::SpaceBeforeColon);
    }
    if name.is_empty() || !name.iter().all(is_token) {
        return Err(Refusal::FieldName);
    }
    if value
        .iter()
        .any(|byte| byte.is_ascii_control() && *byte != b'\t')
    {
        return Err(Refusal::Control);
    }
    if is_lookalike(name) {
        return Err(Refusal::Lookalike);
    }
    Ok(FieldLine {
        name,
        value: value.trim_ascii(),
    })
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

impl<'a> Seen<'a> {
    fn note(&mut self, field: &FieldLine<'a>) -> Result<(), Refusal> {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name.as_bytes());
        let value = field.value;
        if is("host") {
            if self.host.replace(value).is_some() {
                return Err(Refusal::HostRepeated);
            }
        } else if is("content-length") {
            if self.length.replace(length(value)?).is_some() {
                return Err(Refusal::LengthRepeated);
            }
        } else if is("transfer-encoding") {
            if self.chunked {
                return Err(Refusal::CodingRepeated);
            }
            self.chunked = coding(value)?;
        } else if is("connection") {
            let words = || words(value);
            self.close |= words().any(|word| word.eq_ignore_ascii_case(b"close"));
            self.keep_alive |= words().any(|word| word.eq_ignore_ascii_case(b"keep-alive"));
        } else if is("upgrade") {
            self.upgrade = true;
        } else if is("expect") && !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Refusal::Expectation);
        }
        Ok(())
    }

    /// One host, well-formed, and not another one in the target (RFC 9112 §3.2.2 lets
    /// the target win; a backend that reads the header would then see another site).
    fn check_host(&self, target: &Target<'_>, old: bool) -> Result<(), Refusal> {
        match (self.host, target) {
            (None, _) if !old => Err(Refusal::HostMissing),
            (None, _) => Ok(()),
            (Some(host), _) if !host::host(host) => Err(Refusal::HostInvalid),
            (Some(host), Target::Absolute(authority)) if !host.eq_ignore_ascii_case(authority) => {
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

fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// Digits only, without a leading zero: some parsers read those as octal.
fn length(value: &[u8]) -> Result<u64, Refusal> {
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
    let odd = |word: &[u8]| word.is_empty() || !word.iter().all(is_token);
    match words(value).any(odd) || words(value).filter(chunked).count() > 1 {
        true => Err(Refusal::CodingRepeated),
        false => Err(Refusal::CodingUnknown),
    }
}
