//! The endpoints of one uri, and whose turn it is.

use std::sync::Arc;
use std::time::{Duration, Instant};

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
    failed_until: Option<Instant>,
}

/// Round robin from a random start, failed endpoints skipped.
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

    pub(super) fn refresh(&mut self, endpoint: &Arc<Endpoint>, threshold: Duration, now: Instant) {
        match self
            .slots
            .iter_mut()
            .find(|slot| slot.endpoint.serial == endpoint.serial)
        {
            Some(slot) => (slot.refreshed, slot.threshold) = (now, threshold),
            None => self.slots.push(Slot {
                endpoint: endpoint.clone(),
                refreshed: now,
                threshold,
                failed_until: None,
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
            .turn(|slot| untried(slot) && (desperate || healthy(slot)))
            .or_else(|| self.turn(untried))?;
        Some((self.slots[at].endpoint.clone(), desperate))
    }

    fn turn(&mut self, fits: impl Fn(&Slot) -> bool) -> Option<usize> {
        let count = self.slots.len();
        if count == 0 {
            return None;
        }
        let start = *self
            .next
            .get_or_insert_with(|| rand::random_range(0..count));
        let at = (0..count)
            .map(|step| (start + step) % count)
            .find(|&at| fits(&self.slots[at]))?;
        self.next = Some((at + 1) % count);
        Some(at)
    }
}
