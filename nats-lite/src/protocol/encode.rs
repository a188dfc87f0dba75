//! What the server sends, appended to a buffer.

/// A message on its way to one subscription.
#[derive(Debug, Clone, Copy)]
pub struct Delivery<'a> {
    /// Literal subject.
    pub subject: &'a [u8],
    /// Subscription id of the receiver.
    pub sid: &'a [u8],
    /// Where answers go.
    pub reply: Option<&'a [u8]>,
    /// Length of the header block in `body`; `None` sends `MSG`.
    pub header_len: Option<usize>,
    /// Headers (if any) and payload.
    pub body: &'a [u8],
}

/// Appends `MSG` or `HMSG`.
pub fn append_message(out: &mut Vec<u8>, message: &Delivery<'_>) {
    let verb: &[u8] = if message.header_len.is_some() {
        b"HMSG "
    } else {
        b"MSG "
    };
    out.reserve(
        message.subject.len() + message.body.len() + message.reply.map_or(0, <[u8]>::len) + 48,
    );
    out.extend_from_slice(verb);
    out.extend_from_slice(message.subject);
    out.push(b' ');
    out.extend_from_slice(message.sid);
    out.push(b' ');
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

/// Appends the answer to a request that nobody hears.
pub fn append_no_responders(out: &mut Vec<u8>, reply: &[u8], sid: &[u8]) {
    const STATUS: &[u8] = b"NATS/1.0 503\r\n\r\n";
    let message = Delivery {
        subject: reply,
        sid,
        reply: None,
        header_len: Some(STATUS.len()),
        body: STATUS,
    };
    append_message(out, &message);
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

    #[test]
    fn writes_a_message_as_the_protocol_says() {
        let mut out = Vec::new();
        let message = Delivery {
            subject: b"a.b",
            sid: b"12",
            reply: Some(b"r"),
            header_len: None,
            body: b"0123456789",
        };
        append_message(&mut out, &message);
        assert_eq!(out, b"MSG a.b 12 r 10\r\n0123456789\r\n");
    }

    #[test]
    fn no_responders_is_an_empty_message_with_status_503() {
        let mut out = Vec::new();
        append_no_responders(&mut out, b"_INBOX.1", b"4");
        assert_eq!(out, b"HMSG _INBOX.1 4 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
    }
}
