//! What the server sends, appended to a buffer.

use super::Publish;
use crate::subjects::has_wildcard;

/// The verb of a delivery with headers; without the first letter it is the other verb.
const VERB: &[u8] = b"HMSG ";

/// The start of every delivery to one subscription, `HMSG subject sid `, written once.
///
/// The subscription's subject and id are found in it again, so they are kept nowhere else.
#[derive(Debug)]
pub struct Head {
    text: Box<[u8]>,
    subject_len: usize,
    literal: bool,
}

impl Head {
    /// For a subscription to this subject under this client-chosen id.
    pub fn new(subject: &[u8], sid: &[u8]) -> Self {
        Self {
            text: [VERB, subject, b" ", sid, b" "].concat().into_boxed_slice(),
            subject_len: subject.len(),
            literal: !has_wildcard(subject),
        }
    }

    /// The subject subscribed to.
    pub fn subject(&self) -> &[u8] {
        &self.text[VERB.len()..VERB.len() + self.subject_len]
    }

    /// The client-chosen id.
    pub fn sid(&self) -> &[u8] {
        let around = self.behind_subject();
        &around[1..around.len() - 1]
    }

    /// ` sid `
    fn behind_subject(&self) -> &[u8] {
        &self.text[VERB.len() + self.subject_len..]
    }

    /// Appends the message as `HMSG`, or as `MSG` when it has no headers or the client does not
    /// understand them; returns the bytes of headers and payload it then has.
    pub fn append(&self, out: &mut Vec<u8>, message: &Publish<'_>, headers: bool) -> usize {
        let shown = match message.header_len {
            // An empty block is none, as in the original.
            Some(len) if !headers || len == 0 => without_headers(message, len),
            _ => *message,
        };
        out.reserve(self.text.len() + shown.subject.len() + shown.body.len() + 300);
        let verb = usize::from(shown.header_len.is_none());
        if self.literal {
            out.extend_from_slice(&self.text[verb..]);
        } else {
            out.extend_from_slice(&VERB[verb..]);
            out.extend_from_slice(shown.subject);
            out.extend_from_slice(self.behind_subject());
        }
        match shown.verbatim {
            Some(rest) => out.extend_from_slice(rest),
            None => append_rest(out, &shown),
        }
        shown.body.len()
    }
}

/// What a client without header support gets: the payload only.
fn without_headers<'a>(message: &Publish<'a>, header_len: usize) -> Publish<'a> {
    Publish {
        header_len: None,
        body: &message.body[header_len..],
        verbatim: None,
        ..*message
    }
}

/// Everything behind the subscription id.
fn append_rest(out: &mut Vec<u8>, message: &Publish<'_>) {
    if let Some(reply) = message.reply {
        out.extend_from_slice(reply);
        out.push(b' ');
    }
    if let Some(len) = message.header_len {
        append_number(out, len);
        out.push(b' ');
    }
    append_number(out, message.body.len());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(message.body);
    out.extend_from_slice(b"\r\n");
}

/// Appends the answer to a request that nobody hears; `reply` is where the requester listens.
pub fn append_no_responders(out: &mut Vec<u8>, reply: &[u8], sid: &[u8]) {
    const STATUS: &[u8] = b"NATS/1.0 503\r\n\r\n";
    let message = Publish {
        subject: reply,
        reply: None,
        header_len: Some(STATUS.len()),
        body: STATUS,
        verbatim: None,
    };
    Head::new(reply, sid).append(out, &message, true);
}

/// Appends an `-ERR` line.
pub fn append_err(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b"-ERR '");
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"'\r\n");
}

fn append_number(out: &mut Vec<u8>, mut number: usize) {
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: Publish<'_> = Publish {
        subject: b"a.b",
        reply: Some(b"r"),
        header_len: Some(4),
        body: b"head0123456789",
        verbatim: None,
    };

    fn written(subscription: &str, message: &Publish<'_>, headers: bool) -> (String, usize) {
        let mut out = Vec::new();
        let head = Head::new(subscription.as_bytes(), b"12");
        let bytes = head.append(&mut out, message, headers);
        (String::from_utf8_lossy(&out).into_owned(), bytes)
    }

    #[test]
    fn writes_a_message_as_the_protocol_says() {
        let plain = Publish {
            header_len: None,
            body: b"0123456789",
            ..MESSAGE
        };
        for subscription in ["a.b", "a.*"] {
            let (text, bytes) = written(subscription, &plain, true);
            assert_eq!(
                (text.as_str(), bytes),
                ("MSG a.b 12 r 10\r\n0123456789\r\n", 10)
            );
            let (text, bytes) = written(subscription, &MESSAGE, true);
            assert_eq!(
                (text.as_str(), bytes),
                ("HMSG a.b 12 r 4 14\r\nhead0123456789\r\n", 14)
            );
            let (text, bytes) = written(subscription, &MESSAGE, false);
            assert_eq!(
                (text.as_str(), bytes),
                ("MSG a.b 12 r 10\r\n0123456789\r\n", 10)
            );
        }
    }

    #[test]
    fn what_came_is_passed_on_as_it_came() {
        let message = Publish {
            verbatim: Some(b"r 04 14\r\nhead0123456789\r\n"),
            ..MESSAGE
        };
        assert_eq!(
            written("a.b", &message, true).0,
            "HMSG a.b 12 r 04 14\r\nhead0123456789\r\n"
        );
        assert_eq!(
            written("a.b", &message, false).0,
            "MSG a.b 12 r 10\r\n0123456789\r\n"
        );
    }

    #[test]
    fn subject_and_id_are_found_again() {
        let head = Head::new(b"a.*", b"7");
        assert_eq!((head.subject(), head.sid()), (&b"a.*"[..], &b"7"[..]));
    }

    #[test]
    fn no_responders_is_an_empty_message_with_status_503() {
        let mut out = Vec::new();
        append_no_responders(&mut out, b"_INBOX.1", b"4");
        assert_eq!(out, b"HMSG _INBOX.1 4 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
    }
}
