//! Follows a chunked body to its end (RFC 9112 §7.1) without decoding it. Its data passes as it comes; trailers are held back line by line,
//! because who reads them may take them for headers: those that a head may not bring in either are dropped.

use super::head::{parse_field, refuse_lookalike};
use super::{Limits, Name, Refusal, Span};

/// Digits of a chunk size; fifteen hold a petabyte and cannot overflow.
const SIZE_DIGITS: u8 = 15;
/// Bytes of one chunk's extensions. Nobody uses them but attackers.
const EXTENSION_BYTES: u16 = 256;

/// Position inside a chunked body. The byte expected next is …
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// … a digit of a size (this many were seen), or what ends it.
    Size(u8),
    /// … of an extension (this many were seen), or its CR.
    Extension(u16),
    /// … the LF behind a size.
    SizeLf,
    /// … of a chunk's data.
    Data,
    /// … the CR behind the data.
    DataCr,
    /// … the LF behind that.
    DataLf,
    /// … of a trailer line, or of the empty line that ends the body.
    Trailer,
}

/// A chunked body being read.
#[derive(Debug)]
pub(crate) struct Chunked {
    at: At,
    left: u64,
    line: Vec<u8>,
    trailers: usize,
    trailer_bytes: usize,
    /// How many of the bytes taken last stand before the trailers.
    plain: usize,
    /// The end of the body as it goes on, as far as it is known and was not fetched.
    tail: Vec<u8>,
}

impl Default for Chunked {
    fn default() -> Self {
        Self {
            at: At::Size(0),
            left: 0,
            line: Vec::new(),
            trailers: 0,
            trailer_bytes: 0,
            plain: 0,
            tail: Vec::new(),
        }
    }
}

impl Chunked {
    /// Takes bytes up to the end of the body; true beside their number when it was reached.
    pub(crate) fn take(&mut self, input: &[u8], limits: Limits) -> Result<(usize, bool), Refusal> {
        let mut used = 0;
        self.plain = 0;
        while let Some(&byte) = input.get(used) {
            if self.at == At::Data {
                let rest = (input.len() - used) as u64;
                let take = self.left.min(rest);
                self.skip(take);
                // Not more than `rest`, which came from a usize.
                used += take as usize;
                self.plain = used;
                continue;
            }
            used += 1;
            if self.at == At::Trailer {
                if self.trailer(byte, limits)? {
                    return Ok((used, true));
                }
            } else {
                self.at = self.frame(byte)?;
                self.plain = used;
            }
        }
        Ok((used, false))
    }

    /// Of the bytes that [`Chunked::take`] took last: how many go on as they are, and what goes on behind them.
    pub(crate) fn passing(&mut self) -> (usize, Vec<u8>) {
        (self.plain, std::mem::take(&mut self.tail))
    }

    /// Takes bytes as [`Chunked::take`] does, and appends what they carry to `out`.
    pub(crate) fn decode(
        &mut self,
        input: &[u8],
        limits: Limits,
        out: &mut Vec<u8>,
    ) -> Result<(usize, bool), Refusal> {
        let mut used = 0;
        while used < input.len() {
            // All of the data at once, everything else byte by byte.
            let data = match self.at {
                At::Data => usize::try_from(self.left).unwrap_or(usize::MAX),
                _ => 0,
            };
            let take = data.clamp(1, input.len() - used);
            let piece = &input[used..used + take];
            if data > 0 {
                out.extend_from_slice(piece);
            }
            used += take;
            let (_, done) = self.take(piece, limits)?;
            // Who gets no chunks gets no trailers.
            self.tail.clear();
            if done {
                return Ok((used, true));
            }
        }
        Ok((used, false))
    }

    /// Everything around the data.
    fn frame(&mut self, byte: u8) -> Result<At, Refusal> {
        match (self.at, byte) {
            (At::Size(seen), byte) if byte.is_ascii_hexdigit() => {
                if seen == SIZE_DIGITS {
                    return Err(Refusal::ChunkSize);
                }
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                self.left = self.left << 4 | u64::from(digit);
                Ok(At::Size(seen + 1))
            }
            (At::Size(1..), b';') => Ok(At::Extension(0)),
            (At::Size(1..) | At::Extension(1..), b'\r') => Ok(At::SizeLf),
            (At::Size(_), _) => Err(Refusal::ChunkSize),
            (At::Extension(seen), byte) if is_text(byte) && seen < EXTENSION_BYTES => {
                Ok(At::Extension(seen + 1))
            }
            (At::Extension(_), _) => Err(Refusal::ChunkExtension),
            (At::SizeLf, b'\n') if self.left == 0 => Ok(At::Trailer),
            (At::SizeLf, b'\n') => Ok(At::Data),
            (At::SizeLf, _) => Err(Refusal::ChunkSize),
            (At::DataCr, b'\r') => Ok(At::DataLf),
            (At::DataLf, b'\n') => Ok(At::Size(0)),
            _ => Err(Refusal::ChunkEnd),
        }
    }

    /// True at the end of the body.
    fn trailer(&mut self, byte: u8, limits: Limits) -> Result<bool, Refusal> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > limits.head_bytes {
            return Err(Refusal::HeadTooLarge);
        }
        let after_cr = self.line.last() == Some(&b'\r');
        match (after_cr, byte) {
            (true, b'\n') => {
                self.line.pop();
                let line = std::mem::take(&mut self.line);
                self.end_trailer(&line, limits)
            }
            (true, _) => Err(Refusal::BareCr),
            (false, b'\n') => Err(Refusal::BareLf),
            (false, byte) => {
                self.line.push(byte);
                Ok(false)
            }
        }
    }

    fn end_trailer(&mut self, line: &[u8], limits: Limits) -> Result<bool, Refusal> {
        if line.is_empty() {
            self.tail.extend_from_slice(b"\r\n");
            return Ok(true);
        }
        self.trailers += 1;
        if self.trailers > limits.fields {
            return Err(Refusal::TooManyFields);
        }
        if line.iter().any(|byte| !is_text(*byte)) {
            return Err(Refusal::Control);
        }
        let field = parse_field(line, Span::new(0, line.len()))?;
        refuse_lookalike(line, &field)?;
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        // RFC 9110 §6.5.1: what decides framing and routing cannot come last.
        let forbidden: [&[u8]; 4] = [b"content-length", b"transfer-encoding", b"host", b"trailer"];
        if forbidden.iter().any(|bad| name.eq_ignore_ascii_case(bad)) {
            return Err(Refusal::TrailerField);
        }
        if Name::may_trail(name) {
            self.tail.extend_from_slice(line);
            self.tail.extend_from_slice(b"\r\n");
        }
        Ok(false)
    }

    fn skip(&mut self, count: u64) {
        self.left = self.left.saturating_sub(count);
        if self.left == 0 {
            self.at = At::DataCr;
        }
    }
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}
