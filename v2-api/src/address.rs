//! The address a client used, from which every URL handed to it is built.
//!
//! A name that resolves for the operator need not resolve for the client, so answers repeat the
//! `Host` the client itself sent.

use http::HeaderMap;

/// Scheme and authority the client used, e.g. `http://127.0.0.1:8181`, without a trailing slash.
///
/// `X-Forwarded-Proto: https` (set by the router or a balancer) makes it https. `fallback` is used when
/// the request carries no usable `Host`.
pub fn client_base(headers: &HeaderMap, fallback: &str) -> String {
    let host = headers
        .get(http::header::HOST)
        .and_then(|host| host.to_str().ok())
        .filter(|host| is_authority(host));
    match host {
        Some(host) => format!("{}://{host}", scheme(headers)),
        None => fallback.trim_end_matches('/').to_owned(),
    }
}

/// The same address for web sockets: `ws://…` or `wss://…`.
pub fn websocket_base(base: &str) -> String {
    match base.strip_prefix("http") {
        Some(rest) => format!("ws{rest}"),
        None => base.to_owned(),
    }
}

fn scheme(headers: &HeaderMap) -> &'static str {
    match headers.get("x-forwarded-proto").map(|v| v.as_bytes()) {
        Some(b"https") => "https",
        _ => "http",
    }
}

/// Only what can stand between `//` and `/`: a hostile Host must not smuggle a path or credentials into our URLs.
fn is_authority(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 255
        && host.bytes().all(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']' | b'_')
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap()))
            .collect()
    }

    #[test]
    fn urls_repeat_the_host_the_client_used() {
        assert_eq!(
            client_base(&headers(&[("host", "127.0.0.1:8181")]), "x"),
            "http://127.0.0.1:8181"
        );
        let behind_tls = headers(&[("host", "api.example.com"), ("x-forwarded-proto", "https")]);
        assert_eq!(client_base(&behind_tls, "x"), "https://api.example.com");
        assert_eq!(
            websocket_base("https://api.example.com"),
            "wss://api.example.com"
        );
    }

    #[test]
    fn a_hostile_host_is_replaced_by_the_fallback() {
        for host in ["evil/path", "user@evil", "a b", ""] {
            assert_eq!(
                client_base(&headers(&[("host", host)]), "http://safe/"),
                "http://safe"
            );
        }
    }
}
