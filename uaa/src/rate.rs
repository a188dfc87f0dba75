//! How many wrong secrets an address may send. What is being tested counts already. Pure: takes `now`.

use std::collections::HashMap;

use crate::limits::REMEMBERED_ADDRESSES;

/// Whom addresses are counted as that find no place of their own.
const OTHERS: &str = "others";
/// What fractions of a second may be wrong by.
const ROUNDING: f64 = 1e-6;

/// What an address has left.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    /// Unix microseconds.
    at: i64,
    /// Attempts being tested.
    testing: u32,
}

/// What becomes of an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// It is counted, under this name, and may be tested.
    Counted(String),
    /// So many are being tested that no more may fail: one has to end first.
    Busy,
    /// Too many failed: not before so many seconds.
    Wait(i64),
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

    /// Counts an attempt of an address, if it may have one more.
    pub(crate) fn enter(&mut self, address: &str, now: i64) -> Entry {
        if self.per_minute == 0.0 {
            return Entry::Counted(address.to_owned());
        }
        let name = self.name(address, now);
        let mut bucket = self.bucket(&name, now);
        if bucket.left < 1.0 {
            return Entry::Wait(self.seconds_until_one(bucket.left));
        }
        if bucket.left - f64::from(bucket.testing) < 1.0 {
            return Entry::Busy;
        }
        bucket.testing += 1;
        self.buckets.insert(name.clone(), bucket);
        Entry::Counted(name)
    }

    /// An attempt was tested. One that was right, or said nothing about a secret, is taken back.
    pub(crate) fn leave(&mut self, name: &str, was_wrong: bool, now: i64) {
        if !self.buckets.contains_key(name) {
            return;
        }
        let mut bucket = self.bucket(name, now);
        bucket.testing = bucket.testing.saturating_sub(1);
        if was_wrong {
            bucket.left = (bucket.left - 1.0).max(0.0);
        }
        if bucket.testing == 0 && bucket.left >= self.per_minute {
            self.buckets.remove(name);
        } else {
            self.buckets.insert(name.to_owned(), bucket);
        }
    }

    fn seconds_until_one(&self, left: f64) -> i64 {
        // At least one: a client that waits no time only comes back.
        (((1.0 - left) * 60.0 / self.per_minute - ROUNDING).ceil() as i64).max(1)
    }

    /// What an address is counted as.
    fn name(&mut self, address: &str, now: i64) -> String {
        if self.buckets.len() >= REMEMBERED_ADDRESSES && !self.buckets.contains_key(address) {
            let full = self.per_minute;
            self.buckets.retain(|_, bucket| {
                bucket.testing > 0 || full - bucket.left > filled(full, bucket.at, now)
            });
            if self.buckets.len() >= REMEMBERED_ADDRESSES {
                return OTHERS.to_owned();
            }
        }
        address.to_owned()
    }

    fn bucket(&self, name: &str, now: i64) -> Bucket {
        match self.buckets.get(name) {
            Some(bucket) => {
                let grown = bucket.left + filled(self.per_minute, bucket.at, now);
                Bucket {
                    left: grown.min(self.per_minute),
                    at: now,
                    ..*bucket
                }
            }
            None => Bucket {
                left: self.per_minute,
                at: now,
                testing: 0,
            },
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

    fn fail(limiter: &mut Limiter, address: &str, now: i64) {
        match limiter.enter(address, now) {
            Entry::Counted(name) => limiter.leave(&name, true, now),
            other => panic!("{address}: {other:?}"),
        }
    }

    #[test]
    fn failures_beyond_the_limit_wait_and_others_do_not() {
        let mut limiter = Limiter::new(3);
        for _ in 0..3 {
            fail(&mut limiter, "a", 0);
        }
        assert_eq!(limiter.enter("a", 0), Entry::Wait(20));
        fail(&mut limiter, "b", 0);
        assert_eq!(limiter.enter("a", 19 * SECOND), Entry::Wait(1));
        fail(&mut limiter, "a", 21 * SECOND);
        assert!(matches!(limiter.enter("a", 22 * SECOND), Entry::Wait(_)));
        fail(&mut limiter, "a", 600 * SECOND);
    }

    #[test]
    fn what_is_being_tested_counts() {
        let mut limiter = Limiter::new(3);
        for _ in 0..3 {
            assert_eq!(limiter.enter("a", 0), Entry::Counted("a".into()));
        }
        assert_eq!(limiter.enter("a", 0), Entry::Busy);
        limiter.leave("a", false, 0);
        assert_eq!(limiter.enter("a", 0), Entry::Counted("a".into()));
        for _ in 0..3 {
            limiter.leave("a", true, 0);
        }
        assert_eq!(limiter.enter("a", 0), Entry::Wait(20));
    }

    #[test]
    fn success_leaves_nothing_behind_and_zero_means_no_limit() {
        let mut limiter = Limiter::new(3);
        for _ in 0..100 {
            assert_eq!(limiter.enter("a", 0), Entry::Counted("a".into()));
            limiter.leave("a", false, 0);
        }
        assert!(limiter.buckets.is_empty());
        let mut off = Limiter::new(0);
        for _ in 0..100 {
            fail(&mut off, "a", 0);
        }
    }

    #[test]
    fn addresses_beyond_the_bound_are_counted_together() {
        let mut limiter = Limiter::new(3);
        for address in 0..REMEMBERED_ADDRESSES {
            fail(&mut limiter, &address.to_string(), 0);
        }
        for address in ["x", "y", "z"] {
            fail(&mut limiter, address, 0);
        }
        assert!(matches!(limiter.enter("w", 0), Entry::Wait(_)));
        assert!(limiter.buckets.len() <= REMEMBERED_ADDRESSES + 1);
        fail(&mut limiter, "late", 600 * SECOND);
        assert_eq!(
            limiter.buckets.len(),
            1,
            "those that are full again are forgotten"
        );
    }
}
