//! What a server sends, read without trust in what other clients may have put into it. No IO.
//!
//! Header blocks are skipped, never read beyond their status: no message of this platform has headers, and what one client puts
//! into them must not cost another its connection.

use bytes::{Buf, Bytes, BytesMut};
use serde::{Deserialize, Deserializer};

use crate::limits::{MESSAGE_BYTES, SERVER_LINE_BYTES};

/// One operation of the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Op {
    Info(Box<Info>),
    Ping,
    Pong,
    Ok,
    Err(String),
    Message(Message),
    /// A message that is not delivered, and why.
    PassedOver(&'static str),
}

/// A message as it came.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) sid: u64,
    pub(super) subject: String,
    pub(super) reply: Option<String>,
    /// Set by the server only where nobody listens (503).
    pub(super) status: Option<u16>,
    pub(super) payload: Bytes,
}

/// What a server says of itself; missing keys and `null` are zero, as old servers send neither.
#[derive(Debug, Default, Deserialize, PartialEq, Eq, Clone)]
#[serde(default)]
pub(super) struct Info {
    #[serde(deserialize_with = "or_default")]
    pub(super) max_payload: usize,
    #[serde(deserialize_with = "or_default")]
    pub(super) headers: bool,
    #[serde(deserialize_with = "or_default")]
    pub(super) tls_required: bool,
    #[serde(deserialize_with = "or_default")]
    pub(super) connect_urls: Vec<String>,
}

fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The server broke the protocol: where the next operation begins is unknown.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProtocolError {
    #[error("the server sent a line of more than {SERVER_LINE_BYTES} bytes")]
    LineTooLong,
    #[error("the server sent an operation that is not understood: {0:?}")]
    Unknown(String),
    #[error("a message of the server has no end")]
    NoEnd,
    #[error("the server's INFO cannot be read: {0}")]
    Info(String),
}

/// An incremental reader.
#[derive(Debug, Default)]
pub(super) struct Parser {
    buffer: BytesMut,
    /// Bytes known to hold no line end.
    searched: usize,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Line,
    Body(Head),
    /// Bytes that are thrown away.
    Skip(usize, &'static str),
}

#[derive(Debug)]
struct Head {
    sid: u64,
    subject: Bytes,
    reply: Option<Bytes>,
    headers: usize,
    total: usize,
}

impl Parser {
    /// Where to read into.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        self.buffer.reserve(16 * 1024);
        &mut self.buffer
    }

    /// The next operation, `None` until more bytes have been read.
    ///
    /// # Errors
    /// [`ProtocolError`]; the connection is of no use afterwards.
    pub(super) fn next(&mut self) -> Result<Option<Op>, ProtocolError> {
        loop {
            match std::mem::take(&mut self.state) {
                State::Line => {
                    let Some(line) = self.line()? else {
                        return Ok(None);
                    };
                    if let Some(op) = self.understand(&line)? {
                        return Ok(Some(op));
                    }
                }
                State::Body(head) => {
                    if self.buffer.len() < head.total + 2 {
                        self.state = State::Body(head);
                        return Ok(None);
                    }
                    return self.body(head).map(Some);
                }
                State::Skip(left, why) => {
                    let now = left.min(self.buffer.len());
                    self.buffer.advance(now);
                    if now < left {
                        self.state = State::Skip(left - now, why);
                        return Ok(None);
                    }
                    return Ok(Some(Op::PassedOver(why)));
                }
            }
        }
    }

    /// A line without its end.
    fn line(&mut self) -> Result<Option<Bytes>, ProtocolError> {
        let found = self.buffer[self.searched..]
            .iter()
            .position(|&b| b == b'\n');
        let Some(at) = found.map(|at| at + self.searched) else {
            self.searched = self.buffer.len();
            return if self.searched > SERVER_LINE_BYTES {
                Err(ProtocolError::LineTooLong)
            } else {
                Ok(None)
            };
        };
        self.searched = 0;
        let mut line = self.buffer.split_to(at + 1).freeze();
        line.truncate(at);
        if line.last() == Some(&b'\r') {
            line.truncate(at - 1);
        }
        Ok(Some(line))
    }

    /// `None` when the line began a message or was empty.
    fn understand(&mut self, line: &Bytes) -> Result<Option<Op>, ProtocolError> {
        let unknown = || ProtocolError::Unknown(shortened(line));
        let verb_end = line.iter().position(|b| b.is_ascii_whitespace());
        let (verb, rest) = line.split_at(verb_end.unwrap_or(line.len()));
        match verb.to_ascii_uppercase().as_slice() {
            b"" if rest.is_empty() => Ok(None),
            b"PING" => Ok(Some(Op::Ping)),
            b"PONG" => Ok(Some(Op::Pong)),
            b"+OK" => Ok(Some(Op::Ok)),
            b"-ERR" => {
                let words = String::from_utf8_lossy(rest);
                Ok(Some(Op::Err(words.trim().trim_matches('\'').to_owned())))
            }
            b"INFO" => serde_json::from_slice(rest)
                .map(|info| Some(Op::Info(Box::new(info))))
                .map_err(|e| ProtocolError::Info(e.to_string())),
            b"MSG" => {
                let head = head(line, verb.len(), false).ok_or_else(unknown)?;
                self.state = begun(head);
                Ok(None)
            }
            b"HMSG" => {
                let head = head(line, verb.len(), true).ok_or_else(unknown)?;
                self.state = begun(head);
                Ok(None)
            }
            _ => Err(unknown()),
        }
    }

    fn body(&mut self, head: Head) -> Result<Op, ProtocolError> {
        let content = self.buffer.split_to(head.total);
        if !self.buffer.starts_with(b"\r\n") {
            return Err(ProtocolError::NoEnd);
        }
        self.buffer.advance(2);
        let text = |bytes: &Bytes| std::str::from_utf8(bytes).map(str::to_owned);
        let Ok(subject) = text(&head.subject) else {
            return Ok(Op::PassedOver("its subject is not UTF-8"));
        };
        let Ok(reply) = head.reply.as_ref().map(text).transpose() else {
            return Ok(Op::PassedOver("its reply subject is not UTF-8"));
        };
        Ok(Op::Message(Message {
            sid: head.sid,
            subject,
            reply,
            status: status(&content[..head.headers]),
            // Copied, so that a message that waits does not hold the whole of what was read with it.
            payload: Bytes::copy_from_slice(&content[head.headers..]),
        }))
    }
}

fn begun(head: Head) -> State {
    if head.total > MESSAGE_BYTES {
        State::Skip(head.total + 2, "it is larger than any message may be")
    } else if head.headers > head.total {
        State::Skip(head.total + 2, "its headers are longer than the message")
    } else {
        State::Body(head)
    }
}

/// `<subject> <sid> [reply] [<headers>] <total>`.
fn head(line: &Bytes, from: usize, with_headers: bool) -> Option<Head> {
    let words: Vec<Bytes> = line[from..]
        .split(|&b| b == b' ' || b == b'\t')
        .filter(|word| !word.is_empty())
        .map(|word| line.slice_ref(word))
        .collect();
    let (numbers, fixed) = if with_headers { (2, 4) } else { (1, 3) };
    let reply = match words.len().checked_sub(fixed)? {
        0 => None,
        1 => Some(words[2].clone()),
        _ => return None,
    };
    let total = number(words.last()?)?;
    let headers = if numbers == 2 {
        number(&words[words.len() - 2])?
    } else {
        0
    };
    Some(Head {
        subject: words[0].clone(),
        sid: number(&words[1])? as u64,
        reply,
        headers,
        total,
    })
}

/// At most what leaves room for arithmetic.
fn number(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > 12 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0, |n, d| n * 10 + usize::from(d - b'0'));
    Some(value)
}

/// The status in the first line of a header block: `NATS/1.0 503`.
fn status(headers: &[u8]) -> Option<u16> {
    let digits = headers.strip_prefix(b"NATS/1.0 ")?.get(..3)?;
    number(digits).and_then(|n| u16::try_from(n).ok())
}

fn shortened(line: &[u8]) -> String {
    String::from_utf8_lossy(&line[..line.len().min(80)]).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// All operations of `input`, fed in pieces of `step` bytes.
    fn read(input: &[u8], step: usize) -> Result<Vec<Op>, ProtocolError> {
        let mut parser = Parser::default();
        let mut ops = Vec::new();
        for piece in input.chunks(step) {
            parser.buffer().extend_from_slice(piece);
            while let Some(op) = parser.next()? {
                ops.push(op);
            }
        }
        Ok(ops)
    }

    fn message(subject: &str, reply: Option<&str>, payload: &str) -> Op {
        Op::Message(Message {
            sid: 7,
            subject: subject.into(),
            reply: reply.map(str::to_owned),
            status: None,
            payload: Bytes::copy_from_slice(payload.as_bytes()),
        })
    }

    #[test]
    fn operations_are_read_whatever_the_cut() {
        let input = b"PING\r\nMSG a.b 7 2\r\nhi\r\n+OK\r\npong\r\nMSG a 7 _INBOX.x 0\r\n\r\n-ERR 'Some Words'\r\nPING\r\n";
        for step in 1..input.len() {
            let ops = read(input, step).unwrap();
            assert_eq!(
                ops,
                [
                    Op::Ping,
                    message("a.b", None, "hi"),
                    Op::Ok,
                    Op::Pong,
                    message("a", Some("_INBOX.x"), ""),
                    Op::Err("Some Words".into()),
                    Op::Ping
                ]
            );
        }
    }

    /// nats.rs#1612 and its kind: whatever stands in a header block, the message behind it arrives.
    #[test]
    fn header_blocks_are_bytes() {
        let blocks: [&[u8]; 9] = [
            b"NATS/1.0\r\nA: x\ry\r\n\r\n",
            b"NATS/1.0\r\nno colon\r\n\r\n",
            b"NATS/1.0\r\nA: \xff\xfe\r\n\r\n",
            b"NATS/1.0 abc\r\n\r\n",
            b"NATS/1.0 99999999999\r\n\r\n",
            b"NATS/9.9\r\n\r\n",
            b"xx",
            b"\r\n\r\n",
            b"",
        ];
        for block in blocks {
            let mut input =
                format!("HMSG s 7 {} {}\r\n", block.len(), block.len() + 2).into_bytes();
            input.extend_from_slice(block);
            input.extend_from_slice(b"hi\r\nMSG after 7 2\r\nhi\r\n");
            let ops = read(&input, 3).unwrap();
            assert_eq!(ops.len(), 2, "{block:?}");
            assert_eq!(ops[1], message("after", None, "hi"));
            assert!(matches!(&ops[0], Op::Message(m) if m.payload == "hi"));
        }
    }

    #[test]
    fn the_server_says_that_nobody_listens() {
        let ops = read(b"HMSG i 7 16 16\r\nNATS/1.0 503\r\n\r\n\r\n", 64).unwrap();
        assert!(matches!(&ops[0], Op::Message(m) if m.status == Some(503)));
    }

    #[test]
    fn what_is_not_utf8_is_passed_over() {
        let input =
            b"MSG a.\xff 7 2\r\nhi\r\nMSG a 7 _INBOX.\xc3 2\r\nhi\r\nMSG after 7 2\r\nhi\r\n";
        let ops = read(input, 5).unwrap();
        assert!(matches!(ops[0], Op::PassedOver(_)));
        assert!(matches!(ops[1], Op::PassedOver(_)));
        assert_eq!(ops[2], message("after", None, "hi"));
    }

    #[test]
    fn a_message_beyond_the_limit_is_passed_over() {
        let mut parser = Parser::default();
        let total = MESSAGE_BYTES + 1;
        let head = format!("MSG big 7 {total}\r\n");
        parser.buffer().extend_from_slice(head.as_bytes());
        assert_eq!(parser.next(), Ok(None));
        let piece = vec![b'x'; 1 << 20];
        let mut left = total + 2;
        while left > 0 {
            let now = left.min(piece.len());
            parser.buffer().extend_from_slice(&piece[..now]);
            left -= now;
            let op = parser.next().unwrap();
            assert_eq!(op.is_some(), left == 0);
            assert!(parser.buffer.len() < 2 * piece.len());
        }
        let mut at_limit = Parser::default();
        let head = format!("MSG big 7 {MESSAGE_BYTES}\r\n");
        at_limit.buffer().extend_from_slice(head.as_bytes());
        assert_eq!(at_limit.next(), Ok(None));
        assert!(matches!(at_limit.state, State::Body(_)));
    }

    #[test]
    fn headers_longer_than_the_message_do_not_end_the_connection() {
        let ops = read(b"HMSG s 7 9 2\r\nhi\r\nPING\r\n", 4).unwrap();
        assert!(matches!(ops[..], [Op::PassedOver(_), Op::Ping]));
    }

    #[test]
    fn a_line_without_an_end_is_refused() {
        let mut parser = Parser::default();
        let long = vec![b'x'; SERVER_LINE_BYTES];
        parser.buffer().extend_from_slice(&long);
        assert_eq!(parser.next(), Ok(None));
        parser.buffer().extend_from_slice(b"x");
        assert_eq!(parser.next(), Err(ProtocolError::LineTooLong));
    }

    #[test]
    fn what_breaks_the_framing_is_an_error() {
        for input in [
            &b"MSG a 7\r\n"[..],
            b"MSG a 7 b c 2\r\n",
            b"MSG a x 2\r\n",
            b"MSG a 7 -2\r\n",
            b"MSG a 7 99999999999999999999\r\n",
            b"HMSG a 7 2\r\n",
            b"HELLO\r\n",
            b"MSG a 7 2\r\nhello\r\n",
            b"INFO {\r\n",
        ] {
            assert!(read(input, 64).is_err(), "{input:?}");
        }
    }

    #[test]
    fn info_of_old_and_new_servers() {
        let ops = read(b"INFO {\"server_id\":\"x\",\"max_payload\":1048576,\"connect_urls\":null,\"jetstream\":{}}\r\n", 9);
        let expected = Info {
            max_payload: 1_048_576,
            ..Info::default()
        };
        assert_eq!(ops, Ok(vec![Op::Info(Box::new(expected))]));
    }

    proptest::proptest! {
        /// No byte string panics, whatever the cut, and the cut does not matter.
        #[test]
        fn any_bytes_read_the_same_in_any_pieces(input: Vec<u8>, step in 1usize..20) {
            proptest::prop_assert_eq!(read(&input, step).ok(), read(&input, usize::MAX).ok());
        }

        /// Any header block and payload leave the framing whole.
        #[test]
        fn any_message_leaves_the_framing_whole(block: Vec<u8>, payload: Vec<u8>, step in 1usize..40) {
            let mut input = format!("HMSG s 7 {} {}\r\n", block.len(), block.len() + payload.len()).into_bytes();
            input.extend_from_slice(&block);
            input.extend_from_slice(&payload);
            input.extend_from_slice(b"\r\nPING\r\n");
            let ops = read(&input, step).unwrap();
            proptest::prop_assert_eq!(ops.last(), Some(&Op::Ping));
            let delivered = matches!(&ops[0], Op::Message(m) if m.payload == payload);
            proptest::prop_assert!(delivered);
        }
    }
}
