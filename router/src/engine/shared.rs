//! What all threads of the data path share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::access_log::AccessLog;
use crate::budget::Budget;
use crate::guard::Limits;
use crate::quota::Quota;
use crate::rewrite::{Names, Trust};
use crate::stats::Stats;
use crate::table::Table;

/// How long everything may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    pub(crate) dial: Duration,
    pub(crate) endpoint: Duration,
    pub(crate) keep_alive: Duration,
    pub(crate) header: Duration,
    pub(crate) body_idle: Duration,
}

/// Shared by the threads of the data path, the bus and the status pages.
pub(crate) struct Shared {
    pub(crate) table: Mutex<Table>,
    pub(crate) stats: Mutex<Stats>,
    pub(crate) log: AccessLog,
    pub(crate) trust: Trust,
    pub(crate) times: Times,
    pub(crate) limits: Limits,
    pub(crate) cookies: Names,
    /// What clients are told to wait when a route has no instance.
    pub(crate) retry_after: Duration,
    /// What second attempts are paid from.
    pub(crate) retries: Budget,
    /// Requests at a time, by app.
    pub(crate) per_app: Arc<Quota<String>>,
    pub(crate) max_idle_per_endpoint: usize,
    pub(crate) draining: AtomicBool,
}

impl Shared {
    pub(crate) fn table(&self) -> MutexGuard<'_, Table> {
        // Nothing panics while holding this lock, and a table is valid between any two statements.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why a balancer should send nobody here: what it would send would be answered with 503.
    pub(crate) fn unready(&self, now: Instant) -> Option<&'static str> {
        if self.draining.load(Ordering::Relaxed) {
            return Some("draining");
        }
        let learning = self.table().learning_left(now).is_some();
        learning.then_some("starting: running apps have not all registered yet")
    }

    pub(crate) fn stats(&self) -> MutexGuard<'_, Stats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
