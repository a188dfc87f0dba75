//! The names in a client certificate, in the order in which they select a user.
//!
//! rustls has verified the certificate by then; this only walks its DER to the
//! subject and the alternative names. What it does not understand is no name.

const SEQUENCE: u8 = 0x30;
const EXPLICIT_0: u8 = 0xa0;
const EXPLICIT_3: u8 = 0xa3;
const OBJECT_ID: u8 = 0x06;
const OCTET_STRING: u8 = 0x04;
const EMAIL: u8 = 0x81;
const DNS: u8 = 0x82;
const ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// Attribute types of a subject with their RFC 2253 names.
const ATTRIBUTES: [(&[u8], &str); 7] = [
    (&[0x55, 0x04, 0x03], "CN"),
    (&[0x55, 0x04, 0x06], "C"),
    (&[0x55, 0x04, 0x07], "L"),
    (&[0x55, 0x04, 0x08], "ST"),
    (&[0x55, 0x04, 0x09], "STREET"),
    (&[0x55, 0x04, 0x0a], "O"),
    (&[0x55, 0x04, 0x0b], "OU"),
];

/// E-mail addresses, then DNS names, then the subject as `CN=…,OU=…` (most specific part first).
pub(crate) fn names(der: &[u8]) -> Vec<String> {
    let Some(fields) = fields(der) else {
        return Vec::new();
    };
    let alternatives = alternative_names(&fields).unwrap_or_default();
    let of = |kind: u8| {
        let texts = alternatives.iter().filter(move |(tag, _)| *tag == kind);
        texts.filter_map(|(_, text)| text_of(text))
    };
    of(EMAIL).chain(of(DNS)).chain(subject(&fields)).collect()
}

type Element<'a> = (u8, &'a [u8]);

/// Splits the first element off: tag, content, rest.
fn element(der: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = digits
                .iter()
                .fold(0, |sum, &byte| sum << 8 | usize::from(byte));
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some(((tag, content), rest))
}

fn elements(mut der: &[u8]) -> impl Iterator<Item = Element<'_>> {
    std::iter::from_fn(move || {
        let (found, rest) = element(der)?;
        der = rest;
        Some(found)
    })
}

/// The fields of the signed part, without the optional version.
fn fields(der: &[u8]) -> Option<Vec<Element<'_>>> {
    let ((_, certificate), _) = element(der)?;
    let ((_, signed), _) = element(certificate)?;
    Some(
        elements(signed)
            .filter(|(tag, _)| *tag != EXPLICIT_0)
            .collect(),
    )
}

/// Serial number, signature, issuer and validity come before the subject.
fn subject(fields: &[Element<'_>]) -> Option<String> {
    let (_, name) = fields.get(4)?;
    let part = |(_, set): Element<'_>| {
        let ((_, pair), _) = element(set)?;
        let mut pair = elements(pair);
        let (tag, kind) = pair.next()?;
        let (_, value) = pair.next()?;
        let (_, name) = ATTRIBUTES
            .iter()
            .find(|(id, _)| tag == OBJECT_ID && *id == kind)?;
        Some(format!("{name}={}", text_of(value)?))
    };
    let mut parts: Vec<String> = elements(name).filter_map(part).collect();
    parts.reverse();
    (!parts.is_empty()).then(|| parts.join(","))
}

fn alternative_names<'a>(fields: &[Element<'a>]) -> Option<Vec<Element<'a>>> {
    let (_, extensions) = fields.iter().find(|(tag, _)| *tag == EXPLICIT_3)?;
    let ((_, list), _) = element(extensions)?;
    let wanted = |(tag, extension): Element<'a>| {
        let mut parts = elements(extension);
        let named = tag == SEQUENCE && parts.next() == Some((OBJECT_ID, ALTERNATIVE_NAME));
        let content = parts.find(|(tag, _)| *tag == OCTET_STRING);
        content.filter(|_| named)
    };
    let (_, content) = elements(list).find_map(wanted)?;
    let ((_, names), _) = element(content)?;
    Some(elements(names).collect())
}

fn text_of(bytes: &[u8]) -> Option<String> {
    String::from_utf8(bytes.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
        let content = parts.concat();
        let length = u8::try_from(content.len()).unwrap_or(0);
        let head = match length {
            0..=0x7f => vec![tag, length],
            _ => vec![tag, 0x81, length],
        };
        [head, content].concat()
    }

    fn attribute(kind: u8, value: &str) -> Vec<u8> {
        let pair = [der(6, &[vec![0x55, 4, kind]]), der(0x0c, &[value.into()])];
        der(0x31, &[der(0x30, &pair)])
    }

    #[test]
    fn finds_the_names_and_survives_every_truncation() {
        let names_der = der(
            0x30,
            &[
                der(0x82, &[b"a.example".to_vec()]),
                der(0x81, &[b"a@b".to_vec()]),
            ],
        );
        let extension = der(
            0x30,
            &[der(6, &[ALTERNATIVE_NAME.to_vec()]), der(4, &[names_der])],
        );
        let subject = der(0x30, &[attribute(0x0a, "Org"), attribute(3, "dea")]);
        let empty = || der(0x30, &[]);
        let signed = der(
            0x30,
            &[
                der(0xa0, &[der(2, &[vec![2]])]),
                der(2, &[vec![1]]),
                empty(),
                empty(),
                empty(),
                subject,
                empty(),
                der(0xa3, &[der(0x30, &[extension])]),
            ],
        );
        let certificate = der(0x30, &[signed]);
        assert_eq!(names(&certificate), ["a@b", "a.example", "CN=dea,O=Org"]);
        for end in 0..certificate.len() {
            names(&certificate[..end]);
        }
    }
}
