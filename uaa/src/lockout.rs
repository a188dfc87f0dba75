//! When a wrong password locks an account. Pure: takes `now`.

/// Failures in a row that lock an account.
pub(crate) const MAX_FAILURES: i64 = 5;
/// Microseconds an account stays locked.
pub(crate) const LOCK_MICROS: i64 = 5 * 60 * 1_000_000;

/// What is stored per user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Attempts {
    /// Failures since the last success or lock.
    pub(crate) failures: i64,
    /// Unix microseconds; 0 when never locked.
    pub(crate) locked_until: i64,
}

impl Attempts {
    /// Seconds (rounded up) until the account opens again, if it is locked.
    pub(crate) fn locked_for(self, now: i64) -> Option<i64> {
        (self.locked_until > now).then(|| (self.locked_until - now + 999_999) / 1_000_000)
    }

    /// The state after one more failure.
    pub(crate) fn after_failure(self, now: i64) -> Attempts {
        if self.failures + 1 >= MAX_FAILURES {
            Attempts {
                failures: 0,
                locked_until: now + LOCK_MICROS,
            }
        } else {
            Attempts {
                failures: self.failures + 1,
                ..self
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fifth_failure_locks_for_five_minutes() {
        let mut attempts = Attempts::default();
        for _ in 0..4 {
            attempts = attempts.after_failure(1_000);
            assert_eq!(attempts.locked_for(1_000), None);
        }
        attempts = attempts.after_failure(1_000);
        assert_eq!(attempts.locked_for(1_000), Some(300));
        assert_eq!(attempts.locked_for(1_000 + LOCK_MICROS), None);
    }

    #[test]
    fn after_a_lock_counting_starts_anew() {
        let locked = Attempts {
            failures: 4,
            locked_until: 0,
        }
        .after_failure(0);
        let later = locked.after_failure(LOCK_MICROS + 1);
        assert_eq!(later.failures, 1);
        assert_eq!(later.locked_for(LOCK_MICROS + 1), None);
    }
}
