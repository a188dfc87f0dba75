//! What the parts of a route may be. Pure.

use v2_api::{ApiError, Code};

use crate::limits::{HOST_BYTES, ROUTE_PATH_BYTES};
use crate::store::DomainRow;

/// Hosts at which the platform itself answers, on every domain of its configuration (design, decision 34).
const OF_THE_PLATFORM: [&str; 5] = ["api", "console", "login", "loggregator", "uaa"];

/// Where a route is to be made.
pub(super) struct Ground<'a> {
    pub(super) domain: &'a DomainRow,
    /// The organization of the route's space.
    pub(super) org: &'a str,
    /// Who asks is an administrator.
    pub(super) admin: bool,
    /// The domain is one of the configuration's.
    pub(super) is_configured: bool,
}

/// Refuses hosts and paths that must not be.
///
/// # Errors
/// The original's code, and what to choose instead.
pub(super) fn check(host: &str, path: &str, ground: &Ground<'_>) -> Result<(), ApiError> {
    check_host(host, ground)?;
    match path_fault(path) {
        None => Ok(()),
        Some(why) => Err(ApiError::with(
            Code::PathInvalid,
            format!("{:?}: {why}", excerpt(path)),
        )),
    }
}

fn check_host(host: &str, ground: &Ground<'_>) -> Result<(), ApiError> {
    let bad = |text: &str| Err(ApiError::with(Code::RouteInvalid, text));
    let owner = ground.domain.owning_organization_guid.as_deref();
    let is_word = host.len() <= HOST_BYTES
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    match host {
        "" if owner.is_none() => bad("host is required for shared domains"),
        "*" if owner.is_none() && !ground.admin => {
            bad("wildcard hosts on shared domains are for administrators")
        }
        "*" if owner.is_some_and(|owner| owner != ground.org) && !ground.admin => {
            bad("wildcard hosts on a domain are for the organization that owns it")
        }
        "" | "*" => Ok(()),
        _ if !is_word => bad("host must be made of letters, digits, - and _, at most 63"),
        _ if ground.is_configured && is_of_the_platform(host) => {
            Err(ApiError::with(Code::RouteHostTaken, host)
                .explain("(The platform itself answers there; choose another host.)"))
        }
        _ => Ok(()),
    }
}

fn is_of_the_platform(host: &str) -> bool {
    OF_THE_PLATFORM
        .iter()
        .any(|taken| host.eq_ignore_ascii_case(taken))
}

/// As much of a path as an error repeats.
fn excerpt(path: &str) -> String {
    path.chars().take(ROUTE_PATH_BYTES).collect()
}

/// What keeps a text from being a path that has one meaning only, whoever reads it.
fn path_fault(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return None;
    }
    if path.len() > ROUTE_PATH_BYTES {
        return Some("it is longer than 128 bytes");
    }
    if !path.starts_with('/') || path.len() == 1 {
        return Some("a path begins with / and has more than that");
    }
    if !path.bytes().all(is_path_byte) {
        return Some(
            "only what RFC 3986 allows in a path may stand in it: no blanks, no ?, no #; write others as %XX",
        );
    }
    let Some(plain) = decoded(path) else {
        return Some(
            "a % is followed by the two hexadecimal digits of a character that is none of control, / and \\",
        );
    };
    let inner = plain[1..].strip_suffix(b"/").unwrap_or(&plain[1..]);
    let mut parts = inner.split(|byte| *byte == b'/');
    parts
        .any(|part| matches!(part, b"" | b"." | b".."))
        .then_some("no part of it may be empty, . or ..; write the path that is meant")
}

/// `pchar` of RFC 3986, the percent sign and the slash.
fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&byte)
}

/// The path with its percent escapes resolved; none when one is malformed, or hides what separates or controls.
fn decoded(path: &str) -> Option<Vec<u8>> {
    let mut bytes = path.bytes();
    let mut plain = Vec::with_capacity(path.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            plain.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let value = digit(bytes.next())? << 4 | digit(bytes.next())?;
        let value = u8::try_from(value).ok()?;
        if value.is_ascii_control() || matches!(value, b'/' | b'\\') {
            return None;
        }
        plain.push(value);
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(owner: Option<&str>) -> DomainRow {
        DomainRow {
            guid: "d".into(),
            name: "example.com".into(),
            owning_organization_guid: owner.map(Into::into),
            created_at: 0,
            updated_at: None,
        }
    }

    /// The code for an organization `o` that is no administrator's; 0 when it may.
    fn verdict(host: &str, path: &str, owner: Option<&str>, is_configured: bool) -> u32 {
        let ground = Ground {
            domain: &domain(owner),
            org: "o",
            admin: false,
            is_configured,
        };
        check(host, path, &ground).map_or_else(|error| error.row().code, |()| 0)
    }

    #[test]
    fn the_parts_of_a_route_follow_the_rules() {
        let longest = "h".repeat(HOST_BYTES);
        let longer = "h".repeat(HOST_BYTES + 1);
        let much_longer = "h".repeat(HOST_BYTES * 100);
        let table = [
            ("web", "", None, 0),
            ("my_app-1", "/foo", None, 0),
            (&*longest, "", None, 0),
            (&longer, "", None, 210_001),
            (&much_longer, "", None, 210_001),
            ("", "", None, 210_001),
            ("*", "", None, 210_001),
            ("", "", Some("o"), 0),
            ("*", "", Some("o"), 0),
            ("*", "", Some("lender"), 210_001),
            ("x", "", Some("lender"), 0),
            ("a.b", "", None, 210_001),
            ("a.", "", None, 210_001),
            ("a\u{202e}", "", None, 210_001),
            ("web", "foo", None, 130_004),
        ];
        for (host, path, owner, code) in table {
            assert_eq!(
                verdict(host, path, owner, false),
                code,
                "{host:?} {path:?} {owner:?}"
            );
        }
    }

    #[test]
    fn hosts_of_the_platform_are_nobodys_on_its_own_domains() {
        for host in OF_THE_PLATFORM {
            assert_eq!(verdict(host, "", None, true), 210_003, "{host}");
            assert_eq!(verdict(&host.to_uppercase(), "/x", None, true), 210_003);
            assert_eq!(verdict(host, "", Some("o"), false), 0, "{host}");
        }
        assert_eq!(verdict("api-1", "", None, true), 0);
    }

    #[test]
    fn a_path_has_one_meaning_only() {
        for good in [
            "/a",
            "/A/b",
            "/a/",
            "/a%20b",
            "/~x/-._!$&'()*+,;=:@",
            "/...",
            "/%c3%a4",
        ] {
            assert_eq!(path_fault(good), None, "{good}");
        }
        for bad in [
            "a",
            "/",
            "//",
            "/a//b",
            "/a?b",
            "/a#b",
            "/a b",
            "/a\tb",
            "/a\r\nHost: x",
            "/a\0",
            "/a\\b",
            "/ä",
            "/a\"",
            "/<a>",
            "/../a",
            "/a/..",
            "/a/../b",
            "/./a",
            "/a/.",
            "/%2e%2e/a",
            "/.%2E/a",
            "/a/%2e",
            "/a%2fb",
            "/a%5cb",
            "/a%0d%0ab",
            "/a%00",
            "/a%7f",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a%+1",
        ] {
            assert!(path_fault(bad).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn the_path_of_a_route_is_bounded() {
        for (length, fits) in [
            (ROUTE_PATH_BYTES, true),
            (ROUTE_PATH_BYTES + 1, false),
            (ROUTE_PATH_BYTES * 100, false),
        ] {
            let path = format!("/{}", "a".repeat(length - 1));
            assert_eq!(path_fault(&path).is_none(), fits, "{length}");
        }
    }
}
