//! When attempts lock an account. An attempt counts before it is tested, so that no more are tested than are counted, however many
//! come at once; success takes all of them back. Names nobody has are counted alike. Pure: takes `now`.

use crate::limits::{ACCOUNT_ATTEMPTS, ACCOUNT_LOCK_SECONDS};

/// Microseconds an account stays locked, and attempts are remembered.
pub(crate) const LOCK_MICROS: i64 = ACCOUNT_LOCK_SECONDS.as_secs() as i64 * 1_000_000;

/// What is stored per name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Attempts {
    /// Attempts since the last success or lock.
    pub(crate) counted: i64,
    /// Unix microseconds; 0 when never locked.
    pub(crate) locked_until: i64,
}

impl Attempts {
    /// Seconds (rounded up) until the account opens again, if it is locked.
    pub(crate) fn locked_for(self, now: i64) -> Option<i64> {
        (self.locked_until > now).then(|| (self.locked_until - now + 999_999) / 1_000_000)
    }

    /// The state with one more attempt, which may be tested.
    pub(crate) fn with_another(self, now: i64) -> Attempts {
        if self.counted + 1 >= i64::from(ACCOUNT_ATTEMPTS) {
            Attempts {
                counted: 0,
                locked_until: now + LOCK_MICROS,
            }
        } else {
            Attempts {
                counted: self.counted + 1,
                ..self
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_attempt_locks_for_its_time() {
        let mut attempts = Attempts::default();
        for _ in 1..ACCOUNT_ATTEMPTS {
            attempts = attempts.with_another(1_000);
            assert_eq!(attempts.locked_for(1_000), None);
        }
        attempts = attempts.with_another(1_000);
        assert_eq!(attempts.locked_for(1_000), Some(300));
        assert_eq!(attempts.locked_for(1_000 + LOCK_MICROS), None);
    }

    #[test]
    fn after_a_lock_counting_starts_again() {
        let locked = Attempts {
            counted: 4,
            locked_until: 0,
        }
        .with_another(0);
        let later = locked.with_another(LOCK_MICROS + 1);
        assert_eq!(later.counted, 1);
        assert_eq!(later.locked_for(LOCK_MICROS + 1), None);
    }
}
