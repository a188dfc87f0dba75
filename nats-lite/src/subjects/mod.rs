//! Subjects: what is valid, what matches, and the index of subscriptions.

mod index;
mod trie;

pub use index::{Index, IndexFacts, Matches, QueueGroup};

/// True for a subject one may subscribe to: non-empty tokens, `*` and `>` only as whole tokens, `>` only last.
///
/// A `*` or `>` inside a longer token is an ordinary character, as in `nats-server`.
pub fn is_valid(subject: &[u8]) -> bool {
    let mut tail_seen = false;
    !subject.is_empty()
        && tokens(subject).all(|token| {
            let ok = !tail_seen && !token.is_empty() && !token.iter().any(u8::is_ascii_whitespace);
            tail_seen = token == b">";
            ok
        })
}

/// True for a valid subject without wildcards: one that can be published to.
pub fn is_literal(subject: &[u8]) -> bool {
    is_valid(subject) && !has_wildcard(subject)
}

/// True if a token is empty: such a subject can be published to, and is matched by nothing, as in `nats-server`.
pub fn has_empty_token(subject: &[u8]) -> bool {
    tokens(subject).any(<[u8]>::is_empty)
}

/// True if any token is a wildcard.
pub fn has_wildcard(subject: &[u8]) -> bool {
    tokens(subject).any(is_wildcard)
}

/// The tokens of a subject, empty ones included.
pub fn tokens(subject: &[u8]) -> impl Iterator<Item = &[u8]> {
    subject.split(|&byte| byte == b'.')
}

fn is_wildcard(token: &[u8]) -> bool {
    token == b"*" || token == b">"
}

/// True if everything that `inner` (with or without wildcards) can match is also matched by `pattern`.
pub fn covers(pattern: &[u8], inner: &[u8]) -> bool {
    let mut inner = tokens(inner);
    for token in tokens(pattern) {
        match (token, inner.next()) {
            // An empty token is matched by nothing.
            (_, Some(b"")) => return false,
            (b">", Some(_)) => return inner.all(|token| !token.is_empty()),
            (_, None | Some(b">")) => return false,
            (b"*", Some(_)) => {}
            (literal, Some(other)) if literal == other => {}
            _ => return false,
        }
    }
    inner.next().is_none()
}

/// True if some literal subject is matched by both patterns.
pub fn overlap(a: &[u8], b: &[u8]) -> bool {
    let (mut a, mut b) = (tokens(a), tokens(b));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(b">"), Some(_)) | (Some(_), Some(b">")) => return true,
            (Some(x), Some(y)) if x == y || x == b"*" || y == b"*" => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validity_follows_the_table() {
        for good in [
            "a",
            "a.b",
            "a.*",
            "*",
            ">",
            "a.>",
            "a*.b",
            "a.b>",
            "dea.0-ab.start",
        ] {
            assert!(is_valid(good.as_bytes()), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "a.>.b", ">.a", "a b", "a.\tb"] {
            assert!(!is_valid(bad.as_bytes()), "{bad}");
        }
        assert!(is_literal(b"a.b*") && !is_literal(b"a.*"));
    }

    #[test]
    fn a_pattern_covers_only_what_it_wholly_contains() {
        for (pattern, inner, expected) in [
            ("a.>", "a.b", true),
            ("a.>", "a.*", true),
            ("a.>", "a.b.>", true),
            ("a.>", "a", false),
            ("a.*", "a.>", false),
            ("a.*", "a.b", true),
            ("a.*", "a.*", true),
            ("a.b", "a.*", false),
            (">", ">", true),
            ("*", ">", false),
            ("a", "a", true),
            ("a", "a.b", false),
            ("a.*", "b.c", false),
            ("a.*", "a.", false),
            ("a.>", "a.", false),
            ("a.>", "a.b..c", false),
            (">", ".a", false),
            ("*.a", ".a", false),
            ("a.*.c", "a..c", false),
        ] {
            assert_eq!(
                covers(pattern.as_bytes(), inner.as_bytes()),
                expected,
                "{pattern} over {inner}"
            );
        }
    }

    #[test]
    fn patterns_overlap_when_a_subject_fits_both() {
        for (a, b, expected) in [
            ("a.*", "*.b", true),
            ("a.>", "a.b.c", true),
            ("a.*", "a.b.c", false),
            ("a", ">", true),
            ("a.>", "a", false),
            ("x", "y", false),
        ] {
            assert_eq!(overlap(a.as_bytes(), b.as_bytes()), expected, "{a} and {b}");
            assert_eq!(overlap(b.as_bytes(), a.as_bytes()), expected, "{b} and {a}");
        }
    }
}
