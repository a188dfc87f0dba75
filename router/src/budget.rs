//! How much of the traffic may be second attempts: instances in trouble must not get three times the load.

use std::sync::atomic::{AtomicU64, Ordering};

/// A second attempt costs this much; so a share of the traffic is a whole number.
const WHOLE: u64 = 1000;
/// Second attempts that may be saved up: also what a router starts with.
const SAVED: u64 = 100 * WHOLE;

/// A share of requests, saved up to a bound and spent on second attempts.
pub(crate) struct Budget {
    share: u64,
    saved: AtomicU64,
}

impl Budget {
    /// `share` second attempts per request on average.
    pub(crate) fn new(share: f64) -> Self {
        Self {
            // Checked to lie between 0 and 2 by the configuration.
            share: (share * WHOLE as f64) as u64,
            saved: AtomicU64::new(SAVED),
        }
    }

    /// A request came.
    pub(crate) fn earn(&self) {
        let more = |saved: u64| Some((saved + self.share).min(SAVED));
        // Never an error: the function always gives a value.
        let _ = self
            .saved
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// True if a second attempt may be made, which is then paid for.
    pub(crate) fn spend(&self) -> bool {
        let less = |saved: u64| saved.checked_sub(WHOLE);
        self.saved
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_attempts_are_a_share_of_requests_once_savings_are_spent() {
        let budget = Budget::new(0.2);
        let spent = (0..1000).filter(|_| budget.spend()).count();
        assert_eq!(spent, 100);
        for _ in 0..50 {
            budget.earn();
        }
        assert_eq!((0..1000).filter(|_| budget.spend()).count(), 10);
    }

    #[test]
    fn savings_have_a_bound() {
        let budget = Budget::new(2.0);
        for _ in 0..1000 {
            budget.earn();
        }
        assert_eq!((0..1000).filter(|_| budget.spend()).count(), 100);
    }
}
