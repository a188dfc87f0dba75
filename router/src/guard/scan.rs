//! Finds the end of a head, and refuses early what can never become one.

use super::{Limits, Refusal, Span};

/// Empty lines tolerated before a request line (RFC 9112 §2.2).
const BLANK_LINES: u8 = 1;

/// Bytes of a refused request line that are logged.
const EXCERPT: usize = 256;

/// How far a head has been looked at. The bytes stay with the caller.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Looked at up to here.
    at: usize,
    /// The head begins here, behind empty lines.
    from: usize,
    line_start: usize,
    after_cr: bool,
    blank: u8,
}

impl Scan {
    /// Goes on looking at `input`, which begins with everything seen before; where the head stands once it is complete.
    pub(super) fn take(&mut self, input: &[u8], limits: Limits) -> Result<Option<Span>, Refusal> {
        while let Some(&byte) = input.get(self.at) {
            self.admit(byte)?;
            self.at += 1;
            if byte == b'\n' && self.end_line()? {
                return Ok(Some(Span::new(self.from, self.at)));
            }
            if self.at - self.from > limits.head_bytes {
                return Err(match self.line_start == self.from {
                    true => Refusal::TargetTooLong,
                    false => Refusal::HeadTooLarge,
                });
            }
        }
        Ok(None)
    }

    /// A CR is followed by LF, a LF follows a CR, and nothing else below a space is text.
    fn admit(&mut self, byte: u8) -> Result<(), Refusal> {
        if byte >= b' ' && byte != 0x7f && !self.after_cr {
            return Ok(());
        }
        match (std::mem::replace(&mut self.after_cr, byte == b'\r'), byte) {
            (true, b'\n') => Ok(()),
            (true, _) => Err(Refusal::BareCr),
            (false, b'\n') => Err(Refusal::BareLf),
            // The first bytes of a TLS handshake.
            (false, 0x16) if self.at == 0 => Err(Refusal::Tls),
            (false, byte) if byte.is_ascii_control() && !b"\r\t".contains(&byte) => {
                Err(Refusal::Control)
            }
            _ => Ok(()),
        }
    }

    /// A line has ended: was it the empty one behind the head?
    fn end_line(&mut self) -> Result<bool, Refusal> {
        let empty = self.at - self.line_start == 2;
        let first = self.line_start == self.from;
        self.line_start = self.at;
        if !empty || !first {
            return Ok(empty);
        }
        self.blank += 1;
        self.from = self.at;
        match self.blank > BLANK_LINES {
            true => Err(Refusal::RequestLine),
            false => Ok(false),
        }
    }

    /// The beginning of the first line, for the access log.
    pub(super) fn excerpt(&self, input: &[u8]) -> String {
        let seen = input.get(self.from..self.at).unwrap_or_default();
        let line = seen.split(|byte| *byte == b'\r').next().unwrap_or_default();
        String::from_utf8_lossy(&line[..line.len().min(EXCERPT)]).into_owned()
    }
}
