//! Where a body ends, whichever way it is told. Requests and answers alike.

use super::{Chunked, Limits, Refusal};

/// What goes on of the bytes of a body.
#[derive(Debug)]
pub(crate) struct Passing {
    /// So many belong to the body.
    pub(crate) used: usize,
    /// The first so many go on as they are.
    pub(crate) plain: usize,
    /// This goes on behind them: trailers that may.
    pub(crate) tail: Vec<u8>,
}

/// A body being passed on.
#[derive(Debug)]
pub(crate) enum Body {
    /// So many bytes are left.
    Length(u64),
    /// It ends where the chunks say. Boxed: most bodies are not of this kind.
    Chunked(Box<Chunked>),
    /// It ends with the connection.
    Endless,
}

impl Body {
    /// How many of the bytes belong to the body, and whether it ends behind them.
    ///
    /// # Errors
    /// What is wrong with its chunks.
    pub(crate) fn take(&mut self, input: &[u8], limits: Limits) -> Result<(usize, bool), Refusal> {
        match self {
            Self::Length(left) => {
                let used = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= used as u64;
                Ok((used, *left == 0))
            }
            Self::Chunked(chunks) => chunks.take(input, limits),
            Self::Endless => Ok((input.len(), false)),
        }
    }

    /// What goes on of the bytes that were taken last.
    pub(crate) fn passing(&mut self, used: usize) -> Passing {
        let (plain, tail) = match self {
            Self::Chunked(chunks) => chunks.passing(),
            Self::Length(_) | Self::Endless => (used, Vec::new()),
        };
        Passing { used, plain, tail }
    }
}
