//! Targets and hosts: where a request wants to go, in exactly one reading.

use super::Refusal;

/// What a request target says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// `/path?query`, or `*`.
    Origin,
    /// `http://authority/path`: where the authority begins and ends, and its text.
    Absolute { authority: (usize, usize, &'a [u8]) },
}

/// Judges a request target (RFC 9112 §3.2).
pub(super) fn target<'a>(method: &[u8], target: &'a [u8]) -> Result<Target<'a>, Refusal> {
    if target == b"*" {
        return match method == b"OPTIONS" {
            true => Ok(Target::Origin),
            false => Err(Refusal::Target),
        };
    }
    if target.starts_with(b"/") {
        return path(target).map(|()| Target::Origin);
    }
    let rest = [&b"http://"[..], b"https://"]
        .iter()
        .find_map(|scheme| strip_prefix_ignore_case(target, scheme))
        .ok_or(Refusal::Target)?;
    let end = rest
        .iter()
        .position(|byte| b"/?#".contains(byte))
        .unwrap_or(rest.len());
    let (authority, local) = rest.split_at(end);
    if !local.is_empty() {
        path(local)?;
    }
    let from = target.len() - rest.len();
    host(authority)
        .then_some(Target::Absolute {
            authority: (from, from + end, authority),
        })
        .ok_or(Refusal::HostInvalid)
}

fn strip_prefix_ignore_case<'a>(text: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// What may stand in a path or query. The marks left out are no part of one, and
/// app servers differ over them.
const VISIBLE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        table[byte] = !matches!(byte as u8, b'#' | b'<' | b'>' | b'"' | b'\\' | b'^' | b'`');
        byte += 1;
    }
    table
};

/// Visible ASCII without a fragment, percent signs followed by two digits.
fn path(text: &[u8]) -> Result<(), Refusal> {
    let visible = text.iter().all(|byte| VISIBLE[usize::from(*byte)]);
    let escapes = text.split(|byte| *byte == b'%').skip(1);
    let whole = |rest: &[u8]| {
        rest.len() >= 2 && rest[..2].iter().all(u8::is_ascii_hexdigit) && !rest.starts_with(b"00")
    };
    match visible && escapes.into_iter().all(whole) {
        true => Ok(()),
        false => Err(Refusal::Target),
    }
}

/// True for `name`, `name:port`, `[v6]` and `[v6]:port` (RFC 9110 §7.2, without userinfo).
pub fn host(text: &[u8]) -> bool {
    let (name, port) = match text.strip_prefix(b"[") {
        Some(rest) => match rest.iter().position(|byte| *byte == b']') {
            Some(end) if is_v6(&rest[..end]) => (&b"v6"[..], &rest[end + 1..]),
            _ => return false,
        },
        None => text.split_at(
            text.iter()
                .position(|byte| *byte == b':')
                .unwrap_or(text.len()),
        ),
    };
    let named = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    (1..=253).contains(&name.len()) && name.iter().all(named) && is_port(port)
}

fn is_v6(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
}

/// Nothing, or a colon and a number that fits.
fn is_port(text: &[u8]) -> bool {
    let Some(digits) = text.strip_prefix(b":") else {
        return text.is_empty();
    };
    let number = std::str::from_utf8(digits)
        .ok()
        .and_then(|digits| digits.parse::<u16>().ok());
    digits.iter().all(u8::is_ascii_digit) && number.is_some()
}
