//! What follows the verb of a line, in any spelling the protocol allows.

use super::{Op, ProtocolError};

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

pub(super) fn split_verb(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line.iter().position(|&b| is_blank(b)).unwrap_or(line.len());
    (&line[..end], line[end..].trim_ascii())
}

/// Splits into at most four words; a fifth is too many for every operation.
fn words(rest: &[u8]) -> Result<([&[u8]; 4], usize), ProtocolError> {
    let mut found: [&[u8]; 4] = [&[]; 4];
    let mut count = 0;
    for word in rest.split(|&b| is_blank(b)).filter(|word| !word.is_empty()) {
        *found.get_mut(count).ok_or(ProtocolError::BadArguments)? = word;
        count += 1;
    }
    Ok((found, count))
}

fn number(word: &[u8]) -> Result<u64, ProtocolError> {
    // Nine digits: enough for any payload, and no overflow to think about.
    if word.is_empty() || word.len() > 9 || !word.iter().all(u8::is_ascii_digit) {
        return Err(ProtocolError::BadArguments);
    }
    Ok(word
        .iter()
        .fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

fn size(word: &[u8]) -> Result<usize, ProtocolError> {
    number(word).map(|n| n as usize)
}

pub(super) struct Header<'a> {
    pub(super) subject: &'a [u8],
    pub(super) reply: Option<&'a [u8]>,
    pub(super) header_len: Option<usize>,
    pub(super) size: usize,
}

impl<'a> Header<'a> {
    pub(super) fn parse_pub(rest: &'a [u8]) -> Result<Self, ProtocolError> {
        let (subject, reply, size) = match words(rest)? {
            ([subject, bytes, ..], 2) => (subject, None, size(bytes)?),
            ([subject, reply, bytes, _], 3) => (subject, Some(reply), size(bytes)?),
            _ => return Err(ProtocolError::BadArguments),
        };
        Ok(Self {
            subject,
            reply,
            header_len: None,
            size,
        })
    }

    pub(super) fn parse_hpub(rest: &'a [u8]) -> Result<Self, ProtocolError> {
        let (subject, reply, header_len, size) = match words(rest)? {
            ([subject, header, bytes, _], 3) => (subject, None, size(header)?, size(bytes)?),
            ([subject, reply, header, bytes], 4) => {
                (subject, Some(reply), size(header)?, size(bytes)?)
            }
            _ => return Err(ProtocolError::BadArguments),
        };
        if header_len > size {
            return Err(ProtocolError::BadArguments);
        }
        Ok(Self {
            subject,
            reply,
            header_len: Some(header_len),
            size,
        })
    }
}

pub(super) fn subscribe(rest: &[u8]) -> Result<Op<'_>, ProtocolError> {
    match words(rest)? {
        ([subject, sid, ..], 2) => Ok(Op::Subscribe {
            subject,
            queue: None,
            sid,
        }),
        ([subject, queue, sid, _], 3) => Ok(Op::Subscribe {
            subject,
            queue: Some(queue),
            sid,
        }),
        _ => Err(ProtocolError::BadArguments),
    }
}

pub(super) fn unsubscribe(rest: &[u8]) -> Result<Op<'_>, ProtocolError> {
    match words(rest)? {
        ([sid, ..], 1) => Ok(Op::Unsubscribe { sid, max: None }),
        ([sid, max, ..], 2) => Ok(Op::Unsubscribe {
            sid,
            // What is no number counts as absent, as in `nats-server`.
            max: number(max).ok(),
        }),
        _ => Err(ProtocolError::BadArguments),
    }
}
