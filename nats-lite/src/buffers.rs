//! What all connections together hold in buffers: how much it is, and spare buffers for the next burst.

use std::cell::{Cell, RefCell};

/// A buffer larger than this goes back to the allocator.
const LARGEST_SPARE: usize = 256 * 1024;

/// Spare buffers are kept up to this many bytes together: memory goes down after a burst.
const ALL_SPARE: usize = 1024 * 1024;

/// Shared by all connections of a server.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    held: Cell<usize>,
    spare: RefCell<Vec<Vec<u8>>>,
    spare_bytes: Cell<usize>,
}

impl Buffers {
    /// Bytes of unsent output and unfinished input of all connections.
    pub(crate) fn held(&self) -> usize {
        self.held.get()
    }

    /// One connection now holds `after` bytes where it held `before`.
    pub(crate) fn note(&self, before: usize, after: usize) {
        self.held.set(self.held.get() + after - before);
    }

    /// An empty buffer, with room if one is at hand.
    pub(crate) fn take(&self) -> Vec<u8> {
        let found = self.spare.borrow_mut().pop().unwrap_or_default();
        self.spare_bytes
            .set(self.spare_bytes.get() - found.capacity());
        found
    }

    /// Gives the spare buffers to the allocator. Left at the top of the heap they would keep it
    /// from shrinking after a burst.
    pub(crate) fn forget_spares(&self) {
        self.spare.borrow_mut().clear();
        self.spare_bytes.set(0);
    }

    /// Gets a buffer back that is not needed now.
    pub(crate) fn give_back(&self, mut buffer: Vec<u8>) {
        let all = self.spare_bytes.get() + buffer.capacity();
        if buffer.capacity() == 0 || buffer.capacity() > LARGEST_SPARE || all > ALL_SPARE {
            return;
        }
        buffer.clear();
        self.spare_bytes.set(all);
        self.spare.borrow_mut().push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spare_buffers_are_bounded_and_come_back_empty() {
        let buffers = Buffers::default();
        buffers.give_back(vec![7; LARGEST_SPARE + 1]);
        assert_eq!(buffers.take().capacity(), 0, "too large to keep");
        for _ in 0..100 {
            buffers.give_back(vec![7; LARGEST_SPARE / 2]);
        }
        assert_eq!(buffers.spare.borrow().len(), 2 * ALL_SPARE / LARGEST_SPARE);
        let spare = buffers.take();
        assert!(spare.is_empty() && spare.capacity() > 0);
        buffers.give_back(spare);
        assert_eq!(buffers.spare_bytes.get(), ALL_SPARE);
        buffers.forget_spares();
        assert_eq!(buffers.take().capacity(), 0);
    }
}
