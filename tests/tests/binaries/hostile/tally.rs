//! What came of hostile actions, counted by what happened.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Counts by what happened; clones count together.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally(Arc<Mutex<BTreeMap<String, u64>>>);

impl Tally {
    /// It happened once more.
    pub(super) fn count(&self, what: &str) {
        self.add(what, 1);
    }

    /// It happened so many times more.
    pub(super) fn add(&self, what: &str, more: u64) {
        if more > 0 {
            *self.lock().entry(what.to_owned()).or_default() += more;
        }
    }

    /// Whether one of these happened.
    pub(super) fn any(&self, whats: &[&str]) -> bool {
        let counts = self.lock();
        whats.iter().any(|what| counts.contains_key(*what))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counts = self.lock();
        let parts: Vec<String> = counts
            .iter()
            .map(|(what, n)| format!("{what} {n}"))
            .collect();
        f.write_str(&parts.join(", "))
    }
}
