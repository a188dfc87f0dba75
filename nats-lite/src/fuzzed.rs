//! What must hold for every input, stated once for the fuzz targets and for the tests that replay their corpus.
//!
//! Each function panics where the statement is broken.

use std::path::Path;

use crate::config::{self, User};
use crate::protocol::{Op, Parser, Publish, Step};
use crate::subjects::{Index, covers, has_wildcard, is_literal, is_valid, overlap};

const PARSER: Parser = Parser {
    max_control_line: 128,
    max_payload: 64,
};

/// What a client sends reads the same however it is cut, and by the short cut as by the general parser.
pub fn protocol(data: &[u8]) {
    let whole = operations(&[data]);
    let middle = data.len() / 2;
    assert_eq!(operations(&[&data[..middle], &data[middle..]]), whole);
    let bytes: Vec<&[u8]> = data.chunks(1).collect();
    assert_eq!(operations(&bytes), whole);
    compare_spellings(data);
}

/// All operations as text, and the error that ended them.
fn operations(pieces: &[&[u8]]) -> Vec<String> {
    let (mut seen, mut pending) = (Vec::new(), Vec::new());
    for piece in pieces {
        pending.extend_from_slice(piece);
        let mut used = 0;
        while used < pending.len() {
            match PARSER.next(&pending[used..]) {
                Ok(Step::Op(op, length)) => {
                    assert!(
                        (1..=pending.len() - used).contains(&length),
                        "took what is not there"
                    );
                    seen.push(format!("{op:?}"));
                    used += length;
                }
                Ok(Step::Incomplete(needed)) => {
                    assert!(needed > pending.len() - used, "asks for bytes it has");
                    break;
                }
                Err(error) => {
                    seen.push(error.to_string());
                    return seen;
                }
            }
        }
        pending.drain(..used);
    }
    seen
}

fn compare_spellings(mut data: &[u8]) {
    while !data.is_empty() {
        let quick = PARSER.next(data);
        let general = PARSER.next_in_any_spelling(data);
        match (quick, general) {
            (Ok(Step::Op(quick, length)), Ok(Step::Op(general, same))) => {
                assert_eq!((without_copy(quick), length), (without_copy(general), same));
                data = &data[length..];
            }
            (quick, general) => {
                assert_eq!(quick, general);
                return;
            }
        }
    }
}

fn without_copy(op: Op<'_>) -> Op<'_> {
    match op {
        Op::Publish(message) => Op::Publish(Publish {
            verbatim: None,
            ..message
        }),
        other => other,
    }
}

/// A configuration file is read or refused, and what is refused names its place; what is read can be printed.
pub fn config(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    // Other files are no part of the input.
    if text.contains("include") {
        return;
    }
    match config::parse_original(&text, Path::new("/nowhere")) {
        Ok(config) => {
            assert!(config.problems().is_empty(), "accepted with problems");
            config.to_redacted_yaml();
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Four lines: an allowed pattern, a denied one, a subscription, a published subject. The user hears
/// what it may and nothing else; the index and the definition of matching agree.
pub fn subjects(data: &[u8]) {
    let mut lines = data.split(|&byte| byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (allow, deny, pattern, subject) = (line(), line(), line(), line());
    if ![allow, deny, pattern, subject].into_iter().all(is_valid) {
        return;
    }
    check_relations(allow, pattern, subject);
    if is_literal(subject) {
        check_index(pattern, subject);
        check_rights([allow, deny, pattern, subject]);
    }
}

fn check_relations(allow: &[u8], pattern: &[u8], subject: &[u8]) {
    assert!(covers(pattern, pattern) && overlap(pattern, pattern));
    assert_eq!(overlap(allow, pattern), overlap(pattern, allow));
    assert!(!covers(allow, pattern) || overlap(allow, pattern));
    if covers(allow, pattern) && covers(pattern, subject) {
        assert!(covers(allow, subject), "to cover is transitive");
    }
    if is_literal(subject) && covers(allow, subject) && covers(pattern, subject) {
        assert!(overlap(allow, pattern), "a subject fits both");
    }
}

fn check_index(pattern: &[u8], subject: &[u8]) {
    let mut index = Index::default();
    index.insert(pattern, None, ());
    for _ in ["searched", "from the cache"] {
        let heard = index.matches(subject).plain.len() == 1;
        assert_eq!(heard, covers(pattern, subject));
    }
    index.remove(pattern, |()| true);
    assert!(index.is_empty() && index.matches(subject).plain.is_empty());
}

fn check_rights([allow, deny, pattern, subject]: [&[u8]; 4]) {
    let list = |subject: &[u8]| vec![String::from_utf8_lossy(subject).into_owned()];
    let text = [allow, deny].map(|subject| std::str::from_utf8(subject).is_ok());
    // A configuration is text, and a blank begins the name of a queue group.
    if text != [true, true] || [allow, deny].concat().iter().any(|byte| *byte <= b' ') {
        return;
    }
    let rights = crate::auth::Permissions::of(&User {
        publish: Some(list(allow)),
        deny_publish: list(deny),
        subscribe: Some(list(allow)),
        deny_subscribe: list(deny),
        ..User::default()
    });
    let free = covers(allow, subject) && !covers(deny, subject);
    assert_eq!(rights.may_publish(subject), free);
    if !rights.may_subscribe(pattern, None) || !covers(pattern, subject) {
        return;
    }
    let heard = !rights.filters(pattern, None) || rights.may_hear(subject, None);
    assert_eq!(heard, free, "hears what it may and nothing else");
    assert!(
        has_wildcard(pattern) || heard,
        "a literal is judged at once"
    );
}
