//! The endpoints of one uri, and whose turn it is.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Endpoint;

/// An endpoint as one uri knows it.
#[derive(Debug, Clone)]
pub struct Slot {
    /// The instance.
    pub endpoint: Arc<Endpoint>,
    /// When it was last registered here.
    pub refreshed: Instant,
    /// How long a registration lasts.
    pub threshold: Duration,
    /// How many ordinary instances it counts for.
    pub weight: u32,
    failed_until: Option<Instant>,
    /// What it is owed by those whose turn came before, for instances of different weights.
    credit: i64,
}

/// How the instances of a route share its requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Balancing {
    /// One after the other, as the original.
    #[default]
    RoundRobin,
    /// Whoever serves the fewest at the moment.
    LeastConnection,
}

impl Slot {
    /// Compares the load per weight, with one more request on either.
    fn lighter(&self, other: &Self) -> Ordering {
        let load = |slot: &Self| u64::from(slot.endpoint.in_flight()) + 1;
        let (ours, theirs) = (load(self), load(other));
        (ours * u64::from(other.weight)).cmp(&(theirs * u64::from(self.weight)))
    }
}

/// Whose turn it is: from a random start, failed endpoints skipped.
#[derive(Debug, Default)]
pub struct Pool {
    slots: Vec<Slot>,
    next: Option<usize>,
}

impl Pool {
    /// The endpoints, in order of registration.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// True without endpoints.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(super) fn refresh(
        &mut self,
        endpoint: &Arc<Endpoint>,
        threshold: Duration,
        weight: u32,
        now: Instant,
    ) {
        match self
            .slots
            .iter_mut()
            .find(|slot| slot.endpoint.serial == endpoint.serial)
        {
            Some(slot) => (slot.refreshed, slot.threshold, slot.weight) = (now, threshold, weight),
            None => self.slots.push(Slot {
                endpoint: endpoint.clone(),
                refreshed: now,
                threshold,
                weight,
                failed_until: None,
                credit: 0,
            }),
        }
    }

    pub(super) fn refresh_all(&mut self, now: Instant) {
        self.slots.iter_mut().for_each(|slot| slot.refreshed = now);
    }

    pub(super) fn remove(&mut self, serial: u64) {
        self.slots.retain(|slot| slot.endpoint.serial != serial);
    }

    pub(super) fn stale(&self, now: Instant) -> impl Iterator<Item = &Endpoint> {
        let stale =
            move |slot: &&Slot| now.saturating_duration_since(slot.refreshed) >= slot.threshold;
        self.slots.iter().filter(stale).map(|slot| &*slot.endpoint)
    }

    pub(super) fn mark_failed(&mut self, serial: u64, until: Instant) {
        if let Some(slot) = self
            .slots
            .iter_mut()
            .find(|slot| slot.endpoint.serial == serial)
        {
            slot.failed_until = Some(until);
        }
    }

    /// The next endpoint that is not in `tried`; true beside it when only failed ones were left.
    pub(super) fn choose(
        &mut self,
        sticky: Option<&str>,
        tried: &[u64],
        balancing: Balancing,
        now: Instant,
    ) -> Option<(Arc<Endpoint>, bool)> {
        let untried = |slot: &Slot| !tried.contains(&slot.endpoint.serial);
        let healthy = |slot: &Slot| slot.failed_until.is_none_or(|until| until <= now);
        if let Some(id) = sticky
            && let Some(slot) = self
                .slots
                .iter()
                .find(|slot| slot.endpoint.label() == id && untried(slot) && healthy(slot))
        {
            return Some((slot.endpoint.clone(), false));
        }
        let desperate = !self.slots.iter().any(healthy);
        let at = self
            .turn(balancing, |slot| {
                untried(slot) && (desperate || healthy(slot))
            })
            .or_else(|| self.turn(balancing, untried))?;
        Some((self.slots[at].endpoint.clone(), desperate))
    }

    /// Whose turn it is among those that fit.
    fn turn(&mut self, balancing: Balancing, fits: impl Fn(&Slot) -> bool) -> Option<usize> {
        let count = self.slots.len();
        if count == 0 {
            return None;
        }
        let start = *self
            .next
            .get_or_insert_with(|| rand::random_range(0..count));
        let mut around = (0..count)
            .map(|step| (start + step) % count)
            .filter(|&at| fits(&self.slots[at]));
        let at = match balancing {
            Balancing::LeastConnection => {
                around.min_by(|&a, &b| self.slots[a].lighter(&self.slots[b]))?
            }
            Balancing::RoundRobin if self.slots.iter().all(|slot| slot.weight == 1) => {
                around.next()?
            }
            Balancing::RoundRobin => return self.weighted_turn(fits),
        };
        self.next = Some((at + 1) % count);
        Some(at)
    }

    /// Everybody earns its weight, the richest has its turn and pays what all have earned: turns
    /// follow the weights and stand as far apart as they can.
    fn weighted_turn(&mut self, fits: impl Fn(&Slot) -> bool) -> Option<usize> {
        let mut earned = 0;
        for slot in self.slots.iter_mut().filter(|slot| fits(slot)) {
            slot.credit += i64::from(slot.weight);
            earned += i64::from(slot.weight);
        }
        let fitting = (0..self.slots.len()).filter(|&at| fits(&self.slots[at]));
        let at = fitting.max_by_key(|&at| self.slots[at].credit)?;
        self.slots[at].credit -= earned;
        Some(at)
    }
}
