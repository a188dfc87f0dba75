//! What must hold for every input, stated once for the fuzz targets and for the tests that replay their corpus.
//!
//! Each function panics where the statement is broken.

use std::path::Path;

use crate::auth::{Authenticator, Verdict};
use crate::config::{self, Config, User};
use crate::protocol::{Head, Op, Parser, Publish, Step};
use crate::session;
use crate::subjects::{Index, covers, has_wildcard, is_literal, is_valid, overlap};

const PARSER: Parser = Parser {
    max_control_line: 128,
    max_payload: 64,
};

/// What a client sends reads the same however it is cut, and by the short cut as by the general parser. What it publishes arrives as
/// it was sent, and nobody gets in without the password.
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
                match &quick {
                    Op::Publish(message) => arrives(message),
                    Op::Connect(json) => lets_in(json),
                    _ => {}
                }
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

/// Whoever listens reads the very message, in whichever way it is written.
fn arrives(message: &Publish<'_>) {
    let plain = Publish {
        verbatim: None,
        ..*message
    };
    // A wildcard takes the subject from the message, a literal from the subscription.
    for subscription in [message.subject, b">"] {
        let head = Head::new(subscription, b"7");
        assert_eq!((head.subject(), head.sid()), (subscription, &b"7"[..]));
        for (copy, headers) in [(message, true), (&plain, true), (message, false)] {
            let mut out = Vec::new();
            head.append(&mut out, copy, headers);
            received(&out, message, headers);
        }
    }
}

/// Reads a delivery in the plainest way there is.
fn received(out: &[u8], message: &Publish<'_>, headers: bool) {
    let text = out.escape_ascii();
    let end = out.windows(2).position(|two| two == b"\r\n");
    let (line, rest) = out.split_at(end.expect("a line has an end"));
    let words = line
        .split(|byte| b" \t".contains(byte))
        .filter(|word| !word.is_empty());
    let words: Vec<&[u8]> = words.collect();
    // An empty block is none.
    let shown = message.header_len.filter(|len| headers && *len > 0);
    let verb: &[u8] = if shown.is_some() { b"HMSG" } else { b"MSG" };
    assert_eq!(words[..3], [verb, message.subject, b"7"], "{text}");
    let numbers = 1 + usize::from(shown.is_some());
    let (reply, sizes) = words[3..].split_at(words.len() - 3 - numbers);
    assert_eq!(reply, message.reply.as_slice(), "{text}");
    let size = |word: &[u8]| std::str::from_utf8(word).ok()?.parse::<usize>().ok();
    let sizes: Vec<Option<usize>> = sizes.iter().map(|word| size(word)).collect();
    let hidden = message.header_len.filter(|_| !headers).unwrap_or(0);
    let body = &message.body[hidden..];
    let expected = shown.into_iter().chain([body.len()]).map(Some);
    assert!(sizes.into_iter().eq(expected), "{text}");
    assert_eq!(rest, [b"\r\n", body, b"\r\n"].concat(), "{text}");
}

/// A user with a password: nobody else is let in.
fn lets_in(json: &[u8]) {
    let Some(offered) = session::decode(json) else {
        return;
    };
    let user = User {
        user: "a".into(),
        password: "p".into(),
        ..User::default()
    };
    let table = Authenticator::new(&Config {
        users: vec![user],
        ..Config::default()
    });
    let knows = offered.user.as_deref() == Some("a") && offered.pass.as_deref() == Some("p");
    match table.check(&offered, "nonce", &[]) {
        Verdict::Welcome(identity) => assert!(knows && identity.name == "a"),
        // An nkey is believed instead of a password, if somebody has it.
        Verdict::Stranger => assert!(!knows || offered.nkey.is_some()),
        Verdict::Slow(_) => panic!("the password is no hash"),
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
