#![allow(clippy::unwrap_used)]
use super::*;

const LIMITS: Limits = Limits::OF_TESTS;

fn read(guard: &mut Guard, text: &str) -> Result<Option<(Span, Head)>, Refused> {
    let mut found = Head::default();
    let place = guard.head(text.as_bytes(), &mut found)?;
    Ok(place.map(|place| (place, found)))
}

#[test]
fn a_head_is_found_when_it_is_whole_and_not_before() {
    let mut guard = Guard::new(LIMITS);
    let text = "\r\nGET /x?y HTTP/1.1\r\nHost: A.b:80\r\n\r\nrest";
    for end in 0..text.len() - 4 {
        assert_eq!(read(&mut guard, &text[..end]).unwrap(), None);
    }
    let (place, head) = read(&mut guard, text).unwrap().unwrap();
    let bytes = place.of(text.as_bytes());
    assert!(bytes.starts_with(b"GET ") && bytes.ends_with(b"\r\n\r\n"));
    assert_eq!(head.path.of(bytes), b"/x?y");
    assert_eq!(head.host.unwrap().of(bytes), b"A.b:80");
    assert_eq!(head.fields[0].line.of(bytes), b"Host: A.b:80");
}

#[test]
fn an_absolute_target_is_taken_apart() {
    let text = b"GET http://A.b/x HTTP/1.1\r\nHost: a.b\r\n\r\n";
    let head = judge(text, LIMITS).unwrap();
    assert_eq!(
        (head.host.unwrap().of(text), head.path.of(text)),
        (&b"A.b"[..], &b"/x"[..])
    );
}

#[test]
fn a_refusal_has_the_line_it_is_about() {
    let mut guard = Guard::new(LIMITS);
    let refused = read(&mut guard, "GET /x HTTP/1.1\nHost: a\n\n").unwrap_err();
    assert_eq!(refused.why, Refusal::BareLf);
    assert_eq!(refused.line.as_deref(), Some("GET /x HTTP/1.1"));
}

#[test]
fn a_body_is_followed_to_its_end_and_no_further() {
    for (framing, body) in [
        ("Content-Length: 5", "abcde"),
        (
            "Transfer-Encoding: chunked",
            "3;x=y\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
        ),
    ] {
        for cut in 0..body.len() {
            let mut guard = Guard::new(LIMITS);
            let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n");
            assert!(read(&mut guard, &head).unwrap().is_some() && guard.in_body());
            assert_eq!(guard.body(&body.as_bytes()[..cut]), Ok(cut));
            let rest = format!("{}GET /next", &body[cut..]);
            assert_eq!(guard.body(rest.as_bytes()), Ok(body.len() - cut));
            assert!(!guard.in_body(), "{framing}");
        }
    }
}

#[test]
fn trailers_that_a_head_may_not_bring_are_dropped_wherever_the_bytes_are_cut() {
    let body = "3\r\nabc\r\n0\r\nX-Forwarded-For: 9.9.9.9\r\nX-Sum: 1\r\nx-vcap-Request-Id:evil\r\nX-CF-ApplicationID: a\r\n\
                Authorization: b\r\ncookie: c=d\r\nX-End:\t2\r\nForwarded: for=x\r\n\r\n";
    let expected = "3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-End:\t2\r\n\r\n";
    for step in 1..=body.len() {
        let mut guard = Guard::new(LIMITS);
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(read(&mut guard, head).unwrap().is_some());
        let (mut out, mut used) = (Vec::new(), 0);
        for part in body.as_bytes().chunks(step) {
            let passing = guard.pass_body(part).unwrap();
            out.extend_from_slice(&part[..passing.plain]);
            out.extend_from_slice(&passing.tail);
            used += passing.used;
        }
        assert!(!guard.in_body() && used == body.len(), "{step}");
        assert_eq!(std::str::from_utf8(&out).unwrap(), expected, "{step}");
    }
}
