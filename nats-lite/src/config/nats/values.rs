//! Numbers with units, and durations.

use super::text::Node;

/// Decimal units and binary ones, as the original has them.
const UNITS: [(&str, i64); 12] = [
    ("k", 1000),
    ("kb", 1 << 10),
    ("ki", 1 << 10),
    ("kib", 1 << 10),
    ("m", 1_000_000),
    ("mb", 1 << 20),
    ("mi", 1 << 20),
    ("mib", 1 << 20),
    ("g", 1_000_000_000),
    ("gb", 1 << 30),
    ("gi", 1 << 30),
    ("gib", 1 << 30),
];

const DURATIONS: [(&str, f64); 7] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

/// A whole number, with a unit or without, or a fraction; `None` for any other word.
pub(super) fn number(word: &str) -> Option<Node> {
    let digits = word.strip_prefix('-').unwrap_or(word);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let end = word
        .rfind(|c: char| c.is_ascii_digit() || c == '.')
        .map_or(0, |at| at + 1);
    let (amount, unit) = word.split_at(end);
    if unit.is_empty() {
        let source = || word.to_owned();
        let whole = amount.parse().ok().map(|n| Node::Whole(n, source()));
        return whole.or_else(|| amount.parse().ok().map(|n| Node::Float(n, source())));
    }
    let unit = unit.to_ascii_lowercase();
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let amount: i64 = amount.parse().ok()?;
    let value = amount.checked_mul(*factor)?;
    Some(Node::Whole(value, word.to_owned()))
}

/// Seconds from a number of seconds or from text such as `1m30s` or `"250ms"`.
pub(super) fn seconds(node: &Node) -> Option<f64> {
    match node {
        Node::Whole(seconds, _) => Some(*seconds as f64),
        Node::Float(seconds, _) => Some(*seconds),
        Node::Text(text) => duration(text),
        _ => None,
    }
}

fn duration(text: &str) -> Option<f64> {
    let mut rest = text.trim();
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let amount: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let (_, factor) = DURATIONS
            .iter()
            .find(|(name, _)| *name == &rest[..letters])?;
        total += amount * factor;
        rest = &rest[letters..];
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_add_up() {
        for (text, expected) in [
            ("10s", Some(10.0)),
            ("1m30s", Some(90.0)),
            ("250ms", Some(0.25)),
            ("1.5h", Some(5400.0)),
            ("10", None),
            ("s", None),
            ("", None),
            ("1d", None),
        ] {
            assert_eq!(seconds(&Node::Text(text.into())), expected, "{text}");
        }
        assert_eq!(seconds(&Node::Whole(2, "2".into())), Some(2.0));
    }

    #[test]
    fn numbers_that_overflow_or_have_strange_units_are_words() {
        for word in ["9999999999g", "1x", "1.2.3", "-", "k"] {
            assert_eq!(number(word), None, "{word}");
        }
    }
}
