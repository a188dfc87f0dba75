//! `PUB` and `HPUB` in the spelling every client library uses: capitals, single spaces, CRLF.
//!
//! One pass over the line in place of several, and what stands behind the subject can go
//! to the receivers as it came. Whatever is spelled otherwise is left to the general parser,
//! which must come to the same result.

use super::Publish;
use super::parser::Parser;

/// Most digits of a size: see the general parser.
const MAX_DIGITS: usize = 9;

/// A whole message in the usual spelling and its length; `None` for anything else, also for what is wrong or not all there.
#[inline]
pub(super) fn publish<'a>(parser: &Parser, input: &'a [u8]) -> Option<(Publish<'a>, usize)> {
    let (start, with_header) = match input {
        [b'P', b'U', b'B', b' ', ..] => (4, false),
        [b'H', b'P', b'U', b'B', b' ', ..] => (5, true),
        _ => return None,
    };
    let subject_end = word(input, start)?;
    let mut line = Line {
        input,
        at: subject_end + 1,
    };
    let (reply, header_len, size) = match with_header {
        false => line.reply_and_size()?,
        true => line.reply_and_sizes()?,
    };
    let body_at = line.at;
    let too_long = body_at - 2 > parser.max_control_line;
    if too_long || size > parser.max_payload || header_len.is_some_and(|len| len > size) {
        return None;
    }
    let end = body_at + size;
    if input.get(end..end + 2)? != b"\r\n" {
        return None;
    }
    let message = Publish {
        subject: &input[start..subject_end],
        reply,
        header_len,
        body: &input[body_at..end],
        verbatim: Some(&input[subject_end + 1..end + 2]),
    };
    Some((message, end + 2))
}

/// The end of the word that starts here and is followed by one space.
#[inline]
fn word(input: &[u8], start: usize) -> Option<usize> {
    let len = input[start..].iter().position(|&byte| byte <= b' ')?;
    let end = start + len;
    (len > 0 && input[end] == b' ').then_some(end)
}

/// Reply, length of the headers, length of everything.
type Rest<'a> = (Option<&'a [u8]>, Option<usize>, usize);

/// What is left of a line.
struct Line<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Line<'a> {
    /// `[reply ]size`, and the end of the line.
    fn reply_and_size(&mut self) -> Option<Rest<'a>> {
        if let Some(size) = self.last_number() {
            return Some((None, None, size));
        }
        let reply = self.word()?;
        Some((Some(reply), None, self.last_number()?))
    }

    /// `[reply ]header-size total-size`, and the end of the line.
    fn reply_and_sizes(&mut self) -> Option<Rest<'a>> {
        let first = self.word()?;
        if let (Some(header), Some(size)) = (number(first), self.last_number()) {
            return Some((None, Some(header), size));
        }
        let header = number(self.word()?)?;
        Some((Some(first), Some(header), self.last_number()?))
    }

    fn word(&mut self) -> Option<&'a [u8]> {
        let end = word(self.input, self.at)?;
        let found = &self.input[self.at..end];
        self.at = end + 1;
        Some(found)
    }

    /// Digits up to CRLF; anything else leaves the line where it was.
    fn last_number(&mut self) -> Option<usize> {
        let rest = &self.input[self.at..];
        let len = rest.iter().position(|byte| !byte.is_ascii_digit())?;
        if rest.get(len..len + 2)? != b"\r\n" {
            return None;
        }
        let found = number(&rest[..len])?;
        self.at += len + 2;
        Some(found)
    }
}

fn number(digits: &[u8]) -> Option<usize> {
    let plain = (1..=MAX_DIGITS).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let value = |sum: usize, digit: &u8| sum * 10 + usize::from(digit - b'0');
    plain.then(|| digits.iter().fold(0, value))
}
