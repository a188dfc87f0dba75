//! The newest lines within a number of bytes. Pure.

use std::collections::VecDeque;
use std::sync::Arc;

use bus::log::LogLine;

/// Bytes a line counts for besides its text.
const OVERHEAD: usize = 96;

/// Recent lines of one app.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    lines: VecDeque<Arc<LogLine>>,
    bytes: usize,
}

impl Ring {
    /// Adds a line and returns how many old ones had to go.
    pub(crate) fn push(&mut self, line: Arc<LogLine>, limit: usize) -> u64 {
        self.bytes += cost(&line);
        self.lines.push_back(line);
        let mut dropped = 0;
        while self.bytes > limit && self.lines.len() > 1 {
            if let Some(old) = self.lines.pop_front() {
                self.bytes -= cost(&old);
                dropped += 1;
            }
        }
        dropped
    }

    /// Oldest first.
    pub(crate) fn lines(&self) -> Vec<Arc<LogLine>> {
        self.lines.iter().cloned().collect()
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Lines held.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }
}

fn cost(line: &LogLine) -> usize {
    line.message.len() + OVERHEAD
}
