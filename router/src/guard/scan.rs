//! Finds the end of a head, and refuses early what can never become one.

use super::{Limits, Refusal};

/// Empty lines tolerated before a request line (RFC 9112 §2.2).
const BLANK_LINES: u8 = 1;

/// Bytes of a refused request line that are logged.
const EXCERPT: usize = 256;

/// The head read so far.
#[derive(Debug, Default)]
pub(super) struct Scan {
    bytes: Vec<u8>,
    line_start: usize,
    blank: u8,
}

impl Scan {
    /// Takes bytes up to the end of the head; true beside their number when it is complete.
    pub(super) fn take(&mut self, input: &[u8], limits: Limits) -> Result<(usize, bool), Refusal> {
        for (at, &byte) in input.iter().enumerate() {
            self.admit(byte)?;
            self.bytes.push(byte);
            if byte == b'\n' && self.end_line()? {
                return Ok((at + 1, true));
            }
            if self.bytes.len() > limits.head_bytes {
                return Err(match self.line_start {
                    0 => Refusal::TargetTooLong,
                    _ => Refusal::HeadTooLarge,
                });
            }
        }
        Ok((input.len(), false))
    }

    /// A CR is followed by LF, a LF follows a CR, and nothing else below a space is text.
    fn admit(&self, byte: u8) -> Result<(), Refusal> {
        match (self.bytes.last() == Some(&b'\r'), byte) {
            (true, b'\n') => Ok(()),
            (true, _) => Err(Refusal::BareCr),
            (false, b'\n') => Err(Refusal::BareLf),
            // The first bytes of a TLS handshake.
            (false, 0x16) if self.bytes.is_empty() => Err(Refusal::Tls),
            (false, byte) if byte.is_ascii_control() && !b"\r\t".contains(&byte) => {
                Err(Refusal::Control)
            }
            _ => Ok(()),
        }
    }

    /// A line has ended: was it the empty one behind the head?
    fn end_line(&mut self) -> Result<bool, Refusal> {
        let empty = self.bytes.len() - self.line_start == 2;
        if empty && self.line_start > 0 {
            return Ok(true);
        }
        if empty {
            self.blank += 1;
            self.bytes.clear();
            return match self.blank > BLANK_LINES {
                true => Err(Refusal::RequestLine),
                false => Ok(false),
            };
        }
        self.line_start = self.bytes.len();
        Ok(false)
    }

    /// What was read of the head; all of it once it is complete.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The beginning of the first line, for the access log.
    pub(super) fn excerpt(&self) -> String {
        let line = self.bytes.split(|byte| *byte == b'\r').next();
        let line = line.unwrap_or_default();
        String::from_utf8_lossy(&line[..line.len().min(EXCERPT)]).into_owned()
    }
}
