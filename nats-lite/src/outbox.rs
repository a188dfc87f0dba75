//! Bytes waiting for one client: append at the end, send from the front.

use crate::buffers::Buffers;

/// Sent bytes are dropped from the front only when that many have gathered.
const COMPACT_MARK: usize = 1024 * 1024;

/// Output buffer of one connection. An idle one has no memory: it takes a buffer from the
/// server's [`Buffers`] when there is something to send and gives it back when all is sent.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    buffer: Vec<u8>,
    sent: usize,
}

impl Outbox {
    pub(crate) fn pending(&self) -> usize {
        self.buffer.len() - self.sent
    }

    pub(crate) fn unsent(&self) -> &[u8] {
        &self.buffer[self.sent..]
    }

    /// Appends whole frames.
    pub(crate) fn append<T>(
        &mut self,
        buffers: &Buffers,
        write: impl FnOnce(&mut Vec<u8>) -> T,
    ) -> T {
        if self.buffer.capacity() == 0 {
            self.buffer = buffers.take();
        }
        let before = self.buffer.len();
        let outcome = write(&mut self.buffer);
        buffers.note(before, self.buffer.len());
        outcome
    }

    /// Notes that the socket took `count` bytes.
    pub(crate) fn advance(&mut self, buffers: &Buffers, count: usize) {
        buffers.note(count, 0);
        self.sent += count;
        if self.sent == self.buffer.len() {
            buffers.give_back(std::mem::take(&mut self.buffer));
            self.sent = 0;
        } else if self.sent >= COMPACT_MARK && self.sent >= self.buffer.len() / 2 {
            self.buffer.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Drops what was not sent. The stream mostly ends in the middle of a frame then: nothing may follow.
    pub(crate) fn discard(&mut self, buffers: &Buffers) {
        buffers.note(self.pending(), 0);
        self.buffer = Vec::new();
        self.sent = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_its_memory_back_when_everything_is_sent() {
        let buffers = Buffers::default();
        let mut out = Outbox::default();
        out.append(&buffers, |out| out.extend_from_slice(&[7; 1000]));
        out.advance(&buffers, 400);
        assert_eq!((out.pending(), buffers.held()), (600, 600));
        out.advance(&buffers, 600);
        assert_eq!((out.pending(), out.buffer.capacity()), (0, 0));
        assert_eq!(buffers.held(), 0);
    }

    #[test]
    fn what_is_discarded_is_no_longer_held() {
        let buffers = Buffers::default();
        let mut out = Outbox::default();
        out.append(&buffers, |out| {
            out.extend_from_slice(b"MSG a 1 2\r\nok\r\n");
        });
        out.advance(&buffers, 5);
        out.discard(&buffers);
        assert_eq!((out.pending(), buffers.held()), (0, 0));
    }
}
