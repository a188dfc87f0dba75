//! A part of a message, as positions: what was found in a head stays valid when its bytes move.

/// From a position up to another one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    from: u32,
    to: u32,
}

impl Span {
    /// Positions beyond 4 GiB do not occur: heads are bounded far below.
    pub(crate) fn new(from: usize, to: usize) -> Self {
        let short = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            from: short(from),
            to: short(to),
        }
    }

    /// The bytes meant, in the message that this was found in.
    pub fn of<'a>(&self, message: &'a [u8]) -> &'a [u8] {
        message
            .get(self.from as usize..self.to as usize)
            .unwrap_or_default()
    }

    /// Where it begins.
    pub fn from(&self) -> usize {
        self.from as usize
    }

    /// Where it ends.
    pub fn to(&self) -> usize {
        self.to as usize
    }

    /// Without spaces and tabs around it.
    pub(crate) fn trimmed(self, message: &[u8]) -> Self {
        let text = self.of(message);
        let from = self.from() + (text.len() - text.trim_ascii_start().len());
        let to = self.to() - (text.len() - text.trim_ascii_end().len());
        Self::new(from, to.max(from))
    }
}
