//! Headers that belong to one connection.

use http::{HeaderMap, HeaderName, header};

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
/// `h2c` does not count: requests inside such a tunnel would pass the edge unseen.
pub fn is_upgrade(headers: &HeaderMap) -> Option<http::HeaderValue> {
    let asks = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|list| {
            list.split(',')
                .any(|word| word.trim().eq_ignore_ascii_case("upgrade"))
        });
    let tunnels_http = |protocol: &&http::HeaderValue| {
        let mut words = protocol.as_bytes().split(|byte| *byte == b',');
        words.any(|word| word.trim_ascii().to_ascii_lowercase().starts_with(b"h2"))
    };
    headers
        .get(header::UPGRADE)
        .filter(|protocol| asks && !tunnels_http(protocol))
        .cloned()
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
            (
                &[("connection", "upgrade"), ("upgrade", "websocket, h2c")][..],
                false,
            ),
        ] {
            assert_eq!(is_upgrade(&headers(list)).is_some(), expected, "{list:?}");
        }
    }
}
