//! Every instance of this DEA.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Instance;
use crate::resources::Reserved;

/// Instances by id. One lock, held for a look or a change only.
#[derive(Default)]
pub struct Registry(Mutex<BTreeMap<String, Arc<Instance>>>);

impl Registry {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Instance>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds one.
    pub fn insert(&self, instance: Arc<Instance>) {
        self.lock().insert(instance.id.clone(), instance);
    }

    /// Removes one.
    pub fn remove(&self, id: &str) {
        self.lock().remove(id);
    }

    /// The instance of that id.
    pub fn get(&self, id: &str) -> Option<Arc<Instance>> {
        self.lock().get(id).cloned()
    }

    /// All of them.
    pub fn all(&self) -> Vec<Arc<Instance>> {
        self.lock().values().cloned().collect()
    }

    /// What they have been promised.
    pub fn reserved(&self) -> Reserved {
        let mut sum = Reserved::default();
        for instance in self.all() {
            let one = instance.reserved();
            sum.memory_mb += one.memory_mb;
            sum.disk_mb += one.disk_mb;
        }
        sum
    }

    /// Entries per process, crashed and evacuating ones included, as advertised.
    pub fn count_by_app(&self) -> BTreeMap<String, u32> {
        let mut counts = BTreeMap::new();
        for instance in self.all() {
            *counts.entry(instance.message.droplet.clone()).or_insert(0) += 1;
        }
        counts
    }

    /// Whether a live instance of this (process, version, index) is here already.
    pub fn has_live(&self, droplet: &str, version: &str, index: u32) -> bool {
        self.all().iter().any(|i| {
            i.message.droplet == droplet
                && i.message.index == index
                && i.standing().version == version
                && matches!(
                    i.state(),
                    super::state::State::Born
                        | super::state::State::Starting
                        | super::state::State::Running
                )
        })
    }
}
