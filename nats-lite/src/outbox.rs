//! Bytes waiting for one client: append at the end, send from the front.

/// Sent bytes are dropped from the front only when that many have gathered.
const COMPACT_MARK: usize = 1024 * 1024;

/// Output buffer of one connection.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    buffer: Vec<u8>,
    sent: usize,
    torn: bool,
}

impl Outbox {
    pub(crate) fn pending(&self) -> usize {
        self.buffer.len() - self.sent
    }

    pub(crate) fn unsent(&self) -> &[u8] {
        &self.buffer[self.sent..]
    }

    /// Where to append whole frames.
    pub(crate) fn tail(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Notes that the socket took `count` bytes.
    pub(crate) fn advance(&mut self, count: usize) {
        self.sent += count;
        self.torn = self.sent < self.buffer.len();
        if !self.torn {
            // An idle connection holds no memory: bursts are over, and the allocator keeps the hot sizes.
            self.buffer = Vec::new();
            self.sent = 0;
        } else if self.sent >= COMPACT_MARK && self.sent >= self.buffer.len() / 2 {
            self.buffer.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Drops what was not sent. True when the stream ends at a frame boundary, so that an `-ERR` line may follow.
    pub(crate) fn discard(&mut self) -> bool {
        self.buffer = Vec::new();
        self.sent = 0;
        !self.torn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_its_memory_back_when_everything_is_sent() {
        let mut out = Outbox::default();
        out.tail().extend_from_slice(&[7; 1000]);
        out.advance(400);
        assert_eq!(out.pending(), 600);
        out.advance(600);
        assert_eq!((out.pending(), out.buffer.capacity()), (0, 0));
    }

    #[test]
    fn knows_when_a_frame_is_half_sent() {
        let mut out = Outbox::default();
        out.tail().extend_from_slice(b"MSG a 1 2\r\nok\r\n");
        out.advance(5);
        assert!(!out.discard());
        let mut fresh = Outbox::default();
        fresh.tail().extend_from_slice(b"PING\r\n");
        assert!(fresh.discard());
    }
}
