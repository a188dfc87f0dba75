//! The SCIM filters clients send: `userName Eq "x"` and `ID eq "a" or ID eq "b"`. Pure.

use crate::limits::FILTER_TERMS;

/// What a listed user must match; any term suffices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Term {
    /// Exact id.
    Id(String),
    /// Name of a user or group, in any case.
    Name(String),
}

/// Reads a filter.
pub(crate) fn parse(text: &str) -> Result<Vec<Term>, String> {
    let mut rest = text.trim();
    let mut terms = Vec::new();
    loop {
        let (attribute, after) = word(rest);
        let (operator, after) = word(after);
        if !operator.eq_ignore_ascii_case("eq") {
            return Err(format!("operator {operator:?} is not supported: use eq"));
        }
        let (value, after) = quoted(after)?;
        terms.push(term(attribute, value)?);
        if terms.len() > FILTER_TERMS {
            return Err(format!("more than {FILTER_TERMS} terms"));
        }
        let (joiner, after) = word(after);
        match joiner.to_ascii_lowercase().as_str() {
            "" => return Ok(terms),
            "or" => rest = after,
            other => return Err(format!("{other:?} is not supported: use or")),
        }
    }
}

fn term(attribute: &str, value: String) -> Result<Term, String> {
    match attribute.to_ascii_lowercase().as_str() {
        "id" => Ok(Term::Id(value)),
        "username" | "displayname" => Ok(Term::Name(value.to_lowercase())),
        other => Err(format!(
            "attribute {other:?} is not supported: use id or userName"
        )),
    }
}

fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}

fn quoted(text: &str) -> Result<(String, &str), String> {
    let body = text
        .trim_start()
        .strip_prefix('"')
        .ok_or("a value must stand in double quotes")?;
    let end = body.find('"').ok_or("a value lacks its closing quote")?;
    Ok((body[..end].to_owned(), &body[end + 1..]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_client_forms_are_read() {
        assert_eq!(
            parse(r#"userName Eq "Admin""#).unwrap(),
            [Term::Name("admin".into())]
        );
        assert_eq!(
            parse(r#"ID eq "g1" or ID eq "g2""#).unwrap(),
            [Term::Id("g1".into()), Term::Id("g2".into())]
        );
    }

    #[test]
    fn anything_else_is_refused_with_a_reason() {
        for bad in [
            "",
            "userName",
            "userName eq x",
            "userName co \"x\"",
            "id eq \"a\" and id eq \"b\"",
            "id eq \"a",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn more_terms_than_the_limit_are_refused() {
        let filter = |terms: usize| parse(&vec![r#"id eq "a""#; terms].join(" or "));
        assert_eq!(filter(FILTER_TERMS).unwrap().len(), FILTER_TERMS);
        assert!(filter(FILTER_TERMS + 1).is_err());
        assert!(filter(100 * FILTER_TERMS).is_err());
    }
}
