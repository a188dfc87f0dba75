//! Headers that belong to one connection, and heads that two parsers may read differently.

use http::{HeaderMap, HeaderName, Version, header};

/// Removed in both directions: a fixed list, so that a client cannot have other headers removed by naming them.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Drops what concerns only the connection it came on.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// The protocol asked for when the client wants to leave HTTP: `Connection: upgrade` and an `Upgrade` header.
pub fn is_upgrade(headers: &HeaderMap) -> Option<http::HeaderValue> {
    let asks = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|list| {
            list.split(',')
                .any(|word| word.trim().eq_ignore_ascii_case("upgrade"))
        });
    headers.get(header::UPGRADE).filter(|_| asks).cloned()
}

/// Why a head is refused: another parser might see another message in it.
pub fn smuggling(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let coded = headers.contains_key(header::TRANSFER_ENCODING);
    if coded && headers.contains_key(header::CONTENT_LENGTH) {
        return Some("Content-Length and Transfer-Encoding exclude each other");
    }
    if coded && version == Version::HTTP_10 {
        return Some("HTTP/1.0 knows no Transfer-Encoding");
    }
    if headers.get_all(header::HOST).iter().count() > 1 {
        return Some("more than one Host header");
    }
    if headers
        .get_all(header::CONTENT_LENGTH)
        .iter()
        .any(|value| !value.as_bytes().iter().all(u8::is_ascii_digit))
    {
        return Some("Content-Length is not a number");
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn only_the_fixed_list_is_removed() {
        let mut map = headers(&[
            ("connection", "x-secret, close"),
            ("x-secret", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("accept", "*/*"),
        ]);
        remove_hop_by_hop(&mut map);
        let mut left: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept", "x-secret"]);
    }

    #[test]
    fn an_upgrade_needs_both_headers() {
        for (list, expected) in [
            (
                &[
                    ("connection", "keep-alive, Upgrade"),
                    ("upgrade", "WebSocket"),
                ][..],
                true,
            ),
            (
                &[("connection", "keep-alive"), ("upgrade", "websocket")][..],
                false,
            ),
            (&[("connection", "upgrade")][..], false),
        ] {
            assert_eq!(is_upgrade(&headers(list)).is_some(), expected, "{list:?}");
        }
    }

    #[test]
    fn ambiguous_heads_are_refused() {
        let v11 = Version::HTTP_11;
        assert!(
            smuggling(
                v11,
                &headers(&[("content-length", "1"), ("transfer-encoding", "chunked")])
            )
            .is_some()
        );
        assert!(
            smuggling(
                Version::HTTP_10,
                &headers(&[("transfer-encoding", "chunked")])
            )
            .is_some()
        );
        assert!(smuggling(v11, &headers(&[("host", "a"), ("host", "b")])).is_some());
        assert!(smuggling(v11, &headers(&[("content-length", "+1")])).is_some());
        assert!(smuggling(v11, &headers(&[("content-length", "1"), ("host", "a")])).is_none());
    }
}
