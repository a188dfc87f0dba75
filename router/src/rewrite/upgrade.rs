//! Requests that want to leave HTTP.

use crate::guard::{Head, Name, names, words};

/// The protocol asked for when the client wants to leave HTTP: `Connection: upgrade` and an `Upgrade` header.
/// `h2c` does not count: requests inside such a tunnel would pass the edge unseen. Old clients cannot ask (RFC 9110 §7.8).
pub(crate) fn upgrade<'a>(head: &'a Head, raw: &'a [u8]) -> Option<&'a [u8]> {
    let protocol = head.values(raw, Name::Upgrade).next()?;
    let asks = head
        .values(raw, Name::Connection)
        .any(|list| names(list, b"upgrade"));
    let http = |word: &[u8]| {
        word.get(..2)
            .is_some_and(|two| two.eq_ignore_ascii_case(b"h2"))
    };
    let asks = asks && !head.old && !protocol.is_empty();
    (asks && !words(protocol).any(http)).then_some(protocol)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::guard::{Limits, judge};

    #[test]
    fn an_upgrade_needs_both_headers() {
        for (lines, expected) in [
            (
                "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n",
                true,
            ),
            ("Connection: keep-alive\r\nUpgrade: websocket\r\n", false),
            ("Connection: upgrade\r\n", false),
            ("Connection: upgrade\r\nUpgrade:\r\n", false),
            ("Connection: upgrade\r\nUpgrade: websocket, H2c\r\n", false),
        ] {
            let raw = format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
            let head = judge(raw.as_bytes(), Limits::OF_TESTS).unwrap();
            assert_eq!(
                upgrade(&head, raw.as_bytes()).is_some(),
                expected,
                "{lines}"
            );
        }
    }
}
