//! What clients were refused, in the log: every one of them, up to so many a second that a client cannot fill a disk with it.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::limits::VIOLATION_LINES;

const PERIOD: Duration = Duration::from_secs(1);

/// Logs and counts. Belongs to the server's one thread.
#[derive(Default)]
pub(crate) struct Violations {
    since: Cell<Option<Instant>>,
    written: Cell<u32>,
    left_out: Cell<u64>,
}

impl Violations {
    /// Logs one line, unless too many were in this second; says later how many were left out.
    pub(crate) fn log(&self, line: impl FnOnce() -> String) {
        if self.may_write(Instant::now()) {
            let left_out = self.left_out.take();
            if left_out > 0 {
                tracing::error!("{left_out} more violations were not logged");
            }
            tracing::error!("{}", line());
        } else {
            self.left_out.set(self.left_out.get() + 1);
        }
    }

    fn may_write(&self, now: Instant) -> bool {
        let fresh = self.since.get().is_some_and(|since| now - since < PERIOD);
        if !fresh {
            self.since.set(Some(now));
            self.written.set(0);
        }
        self.written.set(self.written.get().saturating_add(1));
        self.written.get() <= VIOLATION_LINES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_lines_and_no_more() {
        let (violations, now) = (Violations::default(), Instant::now());
        for _ in 0..VIOLATION_LINES {
            assert!(violations.may_write(now));
        }
        assert!(!violations.may_write(now));
        assert!(violations.may_write(now + PERIOD));
    }
}
