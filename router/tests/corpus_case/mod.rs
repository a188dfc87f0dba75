//! Reads `tests/corpus/requests.tsv`.
// Each test that reads it uses its own part.
#![allow(clippy::unwrap_used, unreachable_pub, dead_code)]

/// What we say to one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Refused(u16),
    Pass(Message),
    Cut,
    Close,
}

/// A request as an instance gets it. Chunks are joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub method: String,
    pub target: String,
    pub chunked: bool,
    pub body: Vec<u8>,
}

/// One line of the table.
pub struct Case {
    pub line: usize,
    pub clause: String,
    pub verdicts: Vec<Verdict>,
    pub request: Vec<u8>,
    pub text: String,
}

impl Case {
    /// The requests that instances must get.
    pub fn messages(&self) -> Vec<Message> {
        let message = |verdict: &Verdict| match verdict {
            Verdict::Pass(message) => Some(message.clone()),
            _ => None,
        };
        self.verdicts.iter().filter_map(message).collect()
    }

    /// The statuses that the client must get; instances answer 200.
    pub fn statuses(&self) -> Vec<u16> {
        let status = |verdict: &Verdict| match verdict {
            Verdict::Pass(_) => Some(200),
            Verdict::Refused(status) => Some(*status),
            Verdict::Cut | Verdict::Close => None,
        };
        self.verdicts.iter().filter_map(status).collect()
    }
}

pub fn cases() -> Vec<Case> {
    let table = include_str!("../corpus/requests.tsv");
    let lines = table.lines().enumerate();
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(at, line)| case(at + 1, line))
        .collect()
}

fn case(line: usize, text: &str) -> Case {
    let columns: Vec<&str> = text.split('\t').collect();
    let [clause, verdicts, request] = columns[..] else {
        panic!("line {line} has {} columns", columns.len());
    };
    assert!(clause.contains('-'), "line {line} names no clause");
    Case {
        line,
        clause: clause.into(),
        verdicts: verdicts.split(" | ").map(verdict).collect(),
        request: unescape(request),
        text: request.chars().take(300).collect(),
    }
}

fn verdict(text: &str) -> Verdict {
    let words: Vec<&str> = text.splitn(4, ' ').collect();
    match words[..] {
        ["cut"] => Verdict::Cut,
        ["close"] => Verdict::Close,
        ["pass", method, target, body] => {
            let (framing, body) = body.split_once(':').unwrap_or(("", ""));
            let message = Message {
                method: method.into(),
                target: String::from_utf8(unescape(target)).unwrap(),
                chunked: framing == "chunked",
                body: unescape(body),
            };
            let length = framing.parse::<usize>().ok();
            assert!(
                length.is_none_or(|length| length == message.body.len()),
                "{text}"
            );
            Verdict::Pass(message)
        }
        [status] => Verdict::Refused(status.parse().unwrap()),
        _ => panic!("no verdict: {text}"),
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some((part, times, after)) = repetition(rest) {
            out.extend(unescape(part).repeat(times));
            rest = after;
        } else if first == '\\' {
            let (byte, length) = escape(&rest[1..]);
            out.push(byte);
            rest = &rest[1 + length..];
        } else {
            out.extend(first.to_string().as_bytes());
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

fn escape(text: &str) -> (u8, usize) {
    match text.as_bytes()[0] {
        b'r' => (b'\r', 1),
        b'n' => (b'\n', 1),
        b't' => (b'\t', 1),
        b'0' => (0, 1),
        b'\\' => (b'\\', 1),
        b'x' => (u8::from_str_radix(&text[1..3], 16).unwrap(), 3),
        other => panic!("unknown escape \\{}", char::from(other)),
    }
}

/// `{TEXT*TIMES}` at the beginning.
fn repetition(text: &str) -> Option<(&str, usize, &str)> {
    let (inside, after) = text.strip_prefix('{')?.split_once('}')?;
    let (part, times) = inside.rsplit_once('*')?;
    Some((part, times.parse().ok()?, after))
}
