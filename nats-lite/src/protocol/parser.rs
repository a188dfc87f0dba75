//! The incremental parser: a function from a byte slice to one step.
//!
//! It keeps no state. An operation that is not complete is asked for again
//! with more bytes, which costs one rescan of a line of at most
//! `max_control_line` bytes and makes it indifferent to how input is split.

use memchr::memchr;

use super::arguments::{Header, split_verb, subscribe, unsubscribe};
use super::{Op, ProtocolError, Publish, usual};

/// Result of looking at the bytes received so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<'a> {
    /// An operation and the number of bytes it took.
    Op(Op<'a>, usize),
    /// More bytes are needed: at least this many in total before asking again is useful.
    Incomplete(usize),
}

/// Parser with its two limits.
#[derive(Debug, Clone, Copy)]
pub struct Parser {
    /// Longest arguments of a line, without its verb and end.
    pub max_control_line: usize,
    /// Largest payload including headers.
    pub max_payload: usize,
}

impl Parser {
    /// Reads one operation from the front of `input`.
    ///
    /// # Errors
    /// Any [`ProtocolError`] is final: there is no way to find the next operation.
    pub fn next<'a>(&self, input: &'a [u8]) -> Result<Step<'a>, ProtocolError> {
        match usual::publish(self, input) {
            Some((message, used)) => Ok(Step::Op(Op::Publish(message), used)),
            None => self.next_in_any_spelling(input),
        }
    }

    /// The same without the short cut for the usual spelling: for tests that compare the two.
    ///
    /// # Errors
    /// As [`Self::next`].
    #[doc(hidden)]
    pub fn next_in_any_spelling<'a>(&self, input: &'a [u8]) -> Result<Step<'a>, ProtocolError> {
        check_first_bytes(input)?;
        let Some(line_end) = memchr(b'\n', input) else {
            return self.line_unfinished(input);
        };
        let line = input[..line_end]
            .strip_suffix(b"\r")
            .unwrap_or(&input[..line_end]);
        let consumed = line_end + 1;
        let (verb, rest) = split_verb(line);
        if rest.len() > self.max_control_line {
            return Err(ProtocolError::ControlLine);
        }
        if verb.len() == line.len() && Verb::of(verb)?.needs_arguments() {
            return Err(ProtocolError::UnknownOperation);
        }
        match Verb::of(verb)? {
            Verb::Ping => Ok(Step::Op(Op::Ping, consumed)),
            Verb::Pong => Ok(Step::Op(Op::Pong, consumed)),
            Verb::Ignored => Ok(Step::Op(Op::Ignored, consumed)),
            Verb::Error => Err(ProtocolError::ClientGaveUp),
            Verb::Connect => Ok(Step::Op(Op::Connect(rest), consumed)),
            Verb::Sub => Ok(Step::Op(subscribe(rest)?, consumed)),
            Verb::Unsub => Ok(Step::Op(unsubscribe(rest)?, consumed)),
            Verb::Pub => self.publish(Header::parse_pub(rest)?, input, consumed),
            Verb::Hpub => self.publish(Header::parse_hpub(rest)?, input, consumed),
        }
    }

    fn line_unfinished<'a>(&self, input: &[u8]) -> Result<Step<'a>, ProtocolError> {
        // Only the arguments count, as in the original; one byte more may be the carriage return.
        let (verb, rest) = split_verb(input);
        let blanks = input.len() - verb.len() - rest.len();
        if rest.len() > self.max_control_line + 1 || blanks > self.max_control_line {
            return Err(ProtocolError::ControlLine);
        }
        Ok(Step::Incomplete(input.len() + 1))
    }

    fn publish<'a>(
        &self,
        header: Header<'a>,
        input: &'a [u8],
        start: usize,
    ) -> Result<Step<'a>, ProtocolError> {
        if header.size > self.max_payload {
            return Err(ProtocolError::MaxPayload);
        }
        let end = start + header.size;
        if let Some(tail) = input.get(end..) {
            let expected = &b"\r\n"[..tail.len().min(2)];
            if &tail[..expected.len()] != expected {
                return Err(ProtocolError::UnknownOperation);
            }
            if expected.len() == 2 {
                let body = &input[start..end];
                let Header {
                    subject,
                    reply,
                    header_len,
                    ..
                } = header;
                return Ok(Step::Op(
                    Op::Publish(Publish {
                        subject,
                        reply,
                        header_len,
                        body,
                        verbatim: None,
                    }),
                    end + 2,
                ));
            }
        }
        Ok(Step::Incomplete(end + 2))
    }
}

#[derive(Clone, Copy)]
enum Verb {
    Connect,
    Ping,
    Pong,
    Pub,
    Hpub,
    Sub,
    Unsub,
    Ignored,
    Error,
}

const VERBS: [(&[u8], Verb); 10] = [
    (b"PUB", Verb::Pub),
    (b"HPUB", Verb::Hpub),
    (b"SUB", Verb::Sub),
    (b"UNSUB", Verb::Unsub),
    (b"PING", Verb::Ping),
    (b"PONG", Verb::Pong),
    (b"CONNECT", Verb::Connect),
    (b"+OK", Verb::Ignored),
    (b"-ERR", Verb::Error),
    (b"INFO", Verb::Ignored),
];

impl Verb {
    fn of(word: &[u8]) -> Result<Self, ProtocolError> {
        VERBS
            .iter()
            .find(|(name, verb)| verb.is_named(name, word))
            .map(|(_, verb)| *verb)
            .ok_or(ProtocolError::UnknownOperation)
    }

    /// Whatever follows `PING`, `PONG` and `+OK` up to the end of the line is ignored, as in `nats-server`.
    fn is_named(self, name: &[u8], word: &[u8]) -> bool {
        let word = match self {
            Self::Ping | Self::Pong | Self::Ignored => word.get(..name.len()).unwrap_or(word),
            _ => word,
        };
        name.eq_ignore_ascii_case(word)
    }

    fn needs_arguments(self) -> bool {
        matches!(self, Self::Pub | Self::Hpub | Self::Sub | Self::Unsub)
    }
}

/// Refuses garbage at once, so that a stranger who never sends a line end is not waited for.
fn check_first_bytes(input: &[u8]) -> Result<(), ProtocolError> {
    let word_len = input
        .iter()
        .position(|b| b.is_ascii_whitespace())
        .unwrap_or(input.len());
    let word = &input[..word_len];
    let complete = word_len < input.len();
    let begins = |name: &[u8]| {
        let len = word.len().min(name.len());
        word[..len].eq_ignore_ascii_case(&name[..len])
    };
    let fits = |name: &[u8], verb: Verb| match complete {
        true => verb.is_named(name, word),
        // A word that goes on beyond its name is only known to be wrong where the rest counts.
        false => begins(name) && (word.len() <= name.len() || verb.is_named(name, word)),
    };
    match VERBS.iter().any(|(name, verb)| fits(name, *verb)) {
        true => Ok(()),
        false => Err(ProtocolError::UnknownOperation),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARSER: Parser = Parser {
        max_control_line: 64,
        max_payload: 16,
    };

    #[track_caller]
    fn op(input: &str) -> Op<'_> {
        match PARSER.next(input.as_bytes()) {
            Ok(Step::Op(op, used)) if used == input.len() => op,
            other => panic!("{input:?} gave {other:?}"),
        }
    }

    #[test]
    fn accepts_any_case_and_any_blanks() {
        assert_eq!(op("ping\r\n"), Op::Ping);
        assert_eq!(op("PoNg\n"), Op::Pong);
        assert_eq!(
            op("sub \t a.b   7 \r\n"),
            Op::Subscribe {
                subject: b"a.b",
                queue: None,
                sid: b"7"
            }
        );
        assert_eq!(
            op("UNSUB 7 3\r\n"),
            Op::Unsubscribe {
                sid: b"7",
                max: Some(3)
            }
        );
    }

    #[test]
    fn splits_headers_from_the_payload_by_length() {
        let Op::Publish(message) = op("HPUB a r 2 4\r\nhhpp\r\n") else {
            panic!("not a publish")
        };
        assert_eq!(
            (message.header_len, message.body, message.reply),
            (Some(2), &b"hhpp"[..], Some(&b"r"[..]))
        );
    }

    #[test]
    fn refuses_what_is_no_operation() {
        let bad = [
            "XYZ\r\n",
            "PUB\r\n",
            "SUB\r\n",
            "UNSUB\r\n",
            "PUB a 1\r\nabc",
            "-ERRX\r\n",
            "+FOO\r\n",
            "Q",
            "\r\n",
        ];
        for input in bad {
            assert_eq!(
                PARSER.next(input.as_bytes()),
                Err(ProtocolError::UnknownOperation),
                "{input:?}"
            );
        }
    }

    #[test]
    fn refuses_arguments_that_make_no_sense() {
        let bad = [
            "PUB a\r\n",
            "PUB a -1\r\n",
            "PUB a b c 1\r\n",
            "SUB a\r\n",
            "SUB a b c d\r\n",
            "UNSUB 1 2 3\r\n",
            "HPUB a 5 4\r\n",
            "PUB a 9999999999\r\n",
        ];
        for input in bad {
            assert_eq!(
                PARSER.next(input.as_bytes()),
                Err(ProtocolError::BadArguments),
                "{input:?}"
            );
        }
    }

    #[test]
    fn ignores_what_follows_a_ping() {
        assert_eq!(op("PING now\r\n"), Op::Ping);
        assert_eq!(op("PINGS\r\n"), Op::Ping);
        assert_eq!(
            op("UNSUB 7 x\r\n"),
            Op::Unsubscribe {
                sid: b"7",
                max: None
            }
        );
        assert_eq!(
            PARSER.next(b"-ERR 'x'\r\n"),
            Err(ProtocolError::ClientGaveUp)
        );
    }

    #[test]
    fn refuses_long_lines_before_their_end_arrives() {
        let args = |n: usize| format!("SUB {}", "a".repeat(n));
        let most = PARSER.max_control_line + 1;
        assert_eq!(
            PARSER.next(args(most).as_bytes()),
            Ok(Step::Incomplete(most + 5))
        );
        for endless in [args(most + 1), format!("SUB{}", " ".repeat(most + 1))] {
            assert_eq!(
                PARSER.next(endless.as_bytes()),
                Err(ProtocolError::ControlLine)
            );
        }
    }

    #[test]
    fn only_arguments_count_against_the_line_limit() {
        let line = |n: usize| format!("SUB {} 1\r\n", "a".repeat(n));
        assert!(PARSER.next(line(62).as_bytes()).is_ok());
        assert_eq!(
            PARSER.next(line(63).as_bytes()),
            Err(ProtocolError::ControlLine)
        );
    }

    #[test]
    fn refuses_large_payloads_at_the_header() {
        assert_eq!(PARSER.next(b"PUB a 17\r\n"), Err(ProtocolError::MaxPayload));
    }

    #[test]
    fn says_how_many_bytes_the_frame_needs() {
        assert_eq!(PARSER.next(b"PUB a 10\r\n123"), Ok(Step::Incomplete(22)));
    }
}
