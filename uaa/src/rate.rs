//! How many failed logins an address may have. Pure: takes `now`.

use std::collections::HashMap;

/// Addresses remembered; beyond it those with most left are forgotten.
const MAX_ADDRESSES: usize = 10_000;

/// What fractions of a second may be wrong by.
const ROUNDING: f64 = 1e-6;

/// What an address has left.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    /// Unix microseconds.
    at: i64,
}

/// A bucket of failures per address: it holds `per_minute` of them and fills again within a minute.
#[derive(Debug)]
pub(crate) struct Limiter {
    per_minute: f64,
    buckets: HashMap<String, Bucket>,
}

impl Limiter {
    /// 0 means: no limit.
    pub(crate) fn new(per_minute: u32) -> Limiter {
        Limiter {
            per_minute: f64::from(per_minute),
            buckets: HashMap::new(),
        }
    }

    /// Seconds an address has to wait before it may try again, if it has to.
    pub(crate) fn wait(&self, address: &str, now: i64) -> Option<i64> {
        let left = self.left(address, now);
        let is_limited = self.per_minute > 0.0 && left < 1.0;
        // At least one: a client that waits no time only comes back.
        is_limited
            .then(|| (((1.0 - left) * 60.0 / self.per_minute - ROUNDING).ceil() as i64).max(1))
    }

    /// Notes a failure.
    pub(crate) fn failed(&mut self, address: &str, now: i64) {
        if self.buckets.len() >= MAX_ADDRESSES {
            let full = self.per_minute;
            let refilled = |bucket: &Bucket| full - bucket.left > filled(full, bucket.at, now);
            self.buckets.retain(|_, bucket| refilled(bucket));
        }
        let left = (self.left(address, now) - 1.0).max(0.0);
        if self.buckets.len() < MAX_ADDRESSES || self.buckets.contains_key(address) {
            self.buckets
                .insert(address.to_owned(), Bucket { left, at: now });
        }
    }

    fn left(&self, address: &str, now: i64) -> f64 {
        match self.buckets.get(address) {
            Some(bucket) => {
                let grown = bucket.left + filled(self.per_minute, bucket.at, now);
                grown.min(self.per_minute)
            }
            None => self.per_minute,
        }
    }
}

/// How much came back since then.
fn filled(per_minute: f64, since: i64, now: i64) -> f64 {
    let minutes = (now - since).max(0) as f64 / 60_000_000.0;
    minutes * per_minute
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn failures_beyond_the_limit_wait_and_others_do_not() {
        let mut limiter = Limiter::new(3);
        for _ in 0..3 {
            assert_eq!(limiter.wait("a", 0), None);
            limiter.failed("a", 0);
        }
        assert_eq!(limiter.wait("a", 0), Some(20));
        assert_eq!(limiter.wait("b", 0), None, "another address is free");
        assert_eq!(limiter.wait("a", 19 * SECOND), Some(1));
        assert_eq!(limiter.wait("a", 21 * SECOND), None);
        limiter.failed("a", 21 * SECOND);
        assert!(limiter.wait("a", 22 * SECOND).is_some());
        assert_eq!(limiter.wait("a", 600 * SECOND), None);
    }

    #[test]
    fn zero_means_no_limit_and_memory_is_bounded() {
        let mut off = Limiter::new(0);
        off.failed("a", 0);
        assert_eq!(off.wait("a", 0), None);
        let mut limiter = Limiter::new(3);
        for address in 0..2 * MAX_ADDRESSES {
            limiter.failed(&address.to_string(), 0);
        }
        assert!(limiter.buckets.len() <= MAX_ADDRESSES);
        limiter.failed("late", 600 * SECOND);
        assert_eq!(
            limiter.buckets.len(),
            1,
            "those that are full again are forgotten"
        );
    }
}
