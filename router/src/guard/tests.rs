#![allow(clippy::unwrap_used)]
use super::*;

const LIMITS: Limits = Limits {
    head_bytes: 8192,
    fields: 100,
};

fn feed(guard: &mut Guard, text: &str) -> (Result<usize, Refused>, String) {
    let mut out = Vec::new();
    let used = guard.feed(text.as_bytes(), &mut out);
    (used, String::from_utf8(out).unwrap())
}

#[test]
fn a_head_passes_as_a_whole_and_not_before() {
    let mut guard = Guard::new(LIMITS);
    let (_, early) = feed(&mut guard, "GET / HTTP/1.1\r\nHost: a\r\n");
    assert_eq!(early, "");
    let (_, late) = feed(&mut guard, "\r\n");
    assert_eq!(late, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

#[test]
fn what_follows_the_last_message_passes_nowhere() {
    let first = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let text = format!("{first}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut guard = Guard::new(LIMITS);
    let (used, out) = feed(&mut guard, &text);
    assert_eq!((used, out.as_str()), (Ok(text.len()), first));
    assert!(guard.is_done());
}

#[test]
fn bytes_behind_an_upgrade_wait_for_its_outcome() {
    let head = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    for (tunnel, rest, passes) in [(true, "\u{1}raw", true), (false, "\u{1}raw", false)] {
        let mut guard = Guard::new(LIMITS);
        let (used, _) = feed(&mut guard, &format!("{head}{rest}"));
        assert_eq!(used, Ok(head.len()));
        guard.decide(tunnel);
        let (used, out) = feed(&mut guard, rest);
        assert_eq!((used.is_ok(), out == rest), (passes, passes), "{tunnel}");
    }
}

#[test]
fn nothing_passes_after_a_refusal() {
    let mut guard = Guard::new(LIMITS);
    let refused = feed(&mut guard, "GET /x HTTP/1.1\nHost: a\n\n")
        .0
        .unwrap_err();
    assert_eq!((refused.why, refused.message), (Refusal::BareLf, 1));
    assert_eq!(refused.line.as_deref(), Some("GET /x HTTP/1.1"));
    let (used, out) = feed(&mut guard, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((used.is_ok(), out.as_str()), (true, ""));
}

#[test]
fn plain_bytes_may_be_read_past_the_guard() {
    let mut guard = Guard::new(LIMITS);
    let _ = feed(
        &mut guard,
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab",
    );
    assert_eq!((guard.plain_ahead(), guard.in_body()), (3, true));
    guard.skip(3);
    assert_eq!((guard.plain_ahead(), guard.in_body()), (0, false));
    let _ = feed(
        &mut guard,
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na",
    );
    assert_eq!(guard.plain_ahead(), 3);
    guard.skip(3);
    assert_eq!(feed(&mut guard, "\r\n0\r\n\r\n").0, Ok(7));
    assert_eq!((guard.in_body(), guard.messages()), (false, 2));
}
