//! A careless reader of heads: it takes any line end and any space around a name. What we pass on must mean the same to it.

use crate::guard::Framing;

/// Header lines as name and value.
pub(super) struct Lines(Vec<(String, Vec<u8>)>);

impl Lines {
    /// The header lines of a head, behind its first line.
    pub(super) fn of(head: &[u8]) -> Self {
        let lines = head.split(|byte| b"\r\n".contains(byte));
        let full = lines.filter(|line| !line.is_empty());
        Self(full.skip(1).map(Self::line).collect())
    }

    fn line(line: &[u8]) -> (String, Vec<u8>) {
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = line.split_at(colon.unwrap_or(line.len()));
        let name = String::from_utf8_lossy(name.trim_ascii());
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        (name.to_lowercase(), value.to_vec())
    }

    /// To an app server that hands lines on as CGI does, `_` and `-` are the same.
    pub(super) fn with_dashes(mut self) -> Self {
        for (name, _) in &mut self.0 {
            *name = name.replace('_', "-");
        }
        self
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Values of a name, in whatever spelling it came.
    pub(super) fn values(&self, name: &str) -> Vec<&[u8]> {
        let lines = self.0.iter().filter(|(given, _)| given == name);
        lines.map(|(_, value)| &**value).collect()
    }

    /// The framing is said once and in one way.
    pub(super) fn check_framing(&self, framing: Framing) {
        let length = self.values("content-length");
        let coding = self.values("transfer-encoding");
        match framing {
            Framing::None => assert!(length.is_empty() && coding.is_empty()),
            Framing::Length(bytes) => {
                assert_eq!(length, [bytes.to_string().as_bytes()]);
                assert!(coding.is_empty(), "two framings");
            }
            Framing::Chunked => {
                assert_eq!(coding, [b"chunked"]);
                assert!(length.is_empty(), "two framings");
            }
        }
    }
}

/// What a chunked body carries, read in the plainest way there is; it must be whole.
pub(super) fn joined_chunks(mut body: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    loop {
        let end = body.windows(2).position(|two| two == b"\r\n");
        let (line, rest) = body.split_at(end.expect("a size has a line of its own"));
        let digits = line.split(|byte| *byte == b';').next();
        let digits = std::str::from_utf8(digits.unwrap_or_default());
        let size = u64::from_str_radix(digits.expect("a size is text"), 16);
        let size = size.expect("a size is a number") as usize;
        if size == 0 {
            assert!(rest.ends_with(b"\r\n\r\n"), "nothing ends the trailers");
            return data;
        }
        let (chunk, rest) = rest[2..].split_at(size);
        data.extend_from_slice(chunk);
        body = rest.strip_prefix(b"\r\n").expect("a chunk has an end");
    }
}
