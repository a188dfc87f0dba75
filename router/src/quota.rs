//! How many of something one key may hold at a time: connections per client, requests per app.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts permits by key.
pub(crate) struct Quota<K> {
    limit: usize,
    held: Mutex<HashMap<K, usize>>,
}

/// One held; given back when dropped.
pub(crate) struct Permit<K: Hash + Eq> {
    key: K,
    quota: Arc<Quota<K>>,
}

impl<K: Hash + Eq + Clone> Quota<K> {
    /// At most `limit` per key; 0 means any number.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit: if limit == 0 { usize::MAX } else { limit },
            held: Mutex::default(),
        })
    }

    /// False when any number may be held, so that nobody needs to ask.
    pub(crate) fn is_limited(&self) -> bool {
        self.limit != usize::MAX
    }

    /// A permit, unless the key holds as many as it may.
    pub(crate) fn take(self: &Arc<Self>, key: &K) -> Option<Permit<K>> {
        let mut held = self.held();
        let count = held.entry(key.clone()).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Permit {
            key: key.clone(),
            quota: self.clone(),
        })
    }
}

impl<K> Quota<K> {
    fn held(&self) -> MutexGuard<'_, HashMap<K, usize>> {
        // Nothing panics between the two halves of a change.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq> Drop for Permit<K> {
    fn drop(&mut self) {
        let mut held = self.quota.held();
        if let Some(count) = held.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gets_its_limit_and_gets_it_again_when_given_back() {
        let quota = Quota::new(2);
        let held = (quota.take(&"a"), quota.take(&"a"));
        assert!(held.0.is_some() && held.1.is_some());
        assert!(quota.take(&"a").is_none() && quota.take(&"b").is_some());
        drop(held);
        assert!(quota.take(&"a").is_some());
        assert!(quota.held().is_empty(), "nothing is remembered of the idle");
    }

    #[test]
    fn zero_is_no_limit() {
        let quota = Quota::new(0);
        let held: Vec<_> = (0..1000).map(|_| quota.take(&())).collect();
        assert!(held.iter().all(Option::is_some));
    }
}
