//! What requests may hold at a time, in bytes or in number: so much for everybody together, so much for one user. Asked before it is
//! taken, given back when its holder goes, however that ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So much for all.
#[derive(Debug)]
pub(crate) struct Budget {
    all: usize,
    each: usize,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    total: usize,
    by: HashMap<String, usize>,
}

/// A part of a budget, somebody's.
#[derive(Debug)]
pub(crate) struct Held {
    budget: Arc<Budget>,
    who: String,
    amount: usize,
}

impl Budget {
    pub(crate) fn new(all: usize, each: usize) -> Arc<Budget> {
        Arc::new(Budget {
            all,
            each,
            used: Mutex::default(),
        })
    }

    /// Nothing yet, for one request of this user.
    pub(crate) fn of(self: &Arc<Budget>, who: &str) -> Held {
        Held {
            budget: self.clone(),
            who: who.to_owned(),
            amount: 0,
        }
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        // Each holder leaves the sums right after every statement.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Takes more; false when there is not so much left, for this user or for anybody.
    #[must_use]
    pub(crate) fn grow(&mut self, by: usize) -> bool {
        let mut used = self.budget.used();
        let own = used.by.get(&self.who).copied().unwrap_or(0);
        let fits = |used: usize, limit: usize| used.checked_add(by).is_some_and(|sum| sum <= limit);
        if !fits(own, self.budget.each) || !fits(used.total, self.budget.all) {
            return false;
        }
        used.total += by;
        used.by.insert(self.who.clone(), own + by);
        drop(used);
        self.amount += by;
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut used = self.budget.used();
        used.total = used.total.saturating_sub(self.amount);
        let own = used.by.get(&self.who).copied().unwrap_or(0);
        match own.saturating_sub(self.amount) {
            0 => drop(used.by.remove(&self.who)),
            left => drop(used.by.insert(self.who.clone(), left)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_cannot_hold_what_is_there_for_all() {
        let budget = Budget::new(100, 60);
        let mut greedy = budget.of("greedy");
        assert!(greedy.grow(60) && !greedy.grow(1));
        let mut again = budget.of("greedy");
        assert!(!again.grow(1), "two requests of one user share its part");
        let mut other = budget.of("other");
        assert!(other.grow(40) && !other.grow(1) && !other.grow(usize::MAX));
        drop(greedy);
        assert!(again.grow(60) && !other.grow(1));
        drop((again, other));
        let used = budget.used();
        assert!(used.total == 0 && used.by.is_empty(), "{used:?}");
    }
}
