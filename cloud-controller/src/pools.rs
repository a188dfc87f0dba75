//! Who advertised lately. Pure: takes `now`. The next advertisement replaces every guess made here.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::placement::Offer;

/// Live advertisements of one kind (DEAs or stagers).
#[derive(Debug)]
pub struct Pool {
    ttl: Duration,
    entries: HashMap<String, (Offer, Instant)>,
}

impl Pool {
    /// An empty pool whose entries live `ttl`.
    pub fn new(ttl: Duration) -> Pool {
        Pool {
            ttl,
            entries: HashMap::new(),
        }
    }

    /// Notes an advertisement.
    pub fn advertise(&mut self, offer: Offer, now: Instant) {
        self.entries
            .insert(offer.id.clone(), (offer, now + self.ttl));
    }

    /// A DEA takes no more work.
    pub fn remove(&mut self, id: &str) {
        self.entries.remove(id);
    }

    /// What is on offer now; expired entries are forgotten.
    pub fn live(&mut self, now: Instant) -> Vec<Offer> {
        self.entries.retain(|_, (_, expires)| *expires > now);
        let mut offers: Vec<Offer> = self
            .entries
            .values()
            .map(|(offer, _)| offer.clone())
            .collect();
        offers.sort_by(|a, b| a.id.cmp(&b.id));
        offers
    }

    /// Takes `memory` MB from an entry, if it is here, and counts an instance of `process` when given.
    pub fn reserve(&mut self, id: &str, memory: i64, process: Option<&str>) {
        if let Some((offer, _)) = self.entries.get_mut(id) {
            offer.available_memory -= memory;
            if let Some(process) = process {
                *offer.app_counts.entry(process.to_owned()).or_default() += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(id: &str) -> Offer {
        Offer {
            id: id.into(),
            stacks: vec![],
            available_memory: 100,
            available_disk: None,
            app_counts: Default::default(),
            zone: "default".into(),
        }
    }

    #[test]
    fn an_offer_expires_unless_repeated() {
        let start = Instant::now();
        let mut pool = Pool::new(Duration::from_secs(10));
        pool.advertise(offer("a"), start);
        pool.advertise(offer("b"), start);
        pool.advertise(offer("a"), start + Duration::from_secs(6));
        let ids: Vec<_> = pool
            .live(start + Duration::from_secs(11))
            .into_iter()
            .map(|o| o.id)
            .collect();
        assert_eq!(ids, ["a"]);
    }

    #[test]
    fn a_reservation_lasts_until_the_next_advertisement() {
        let now = Instant::now();
        let mut pool = Pool::new(Duration::from_secs(10));
        pool.advertise(offer("a"), now);
        pool.reserve("a", 60, Some("p"));
        pool.reserve("unknown", 60, None);
        let seen = &pool.live(now)[0];
        assert_eq!((seen.available_memory, seen.app_counts["p"]), (40, 1));
        pool.advertise(offer("a"), now);
        assert_eq!(pool.live(now)[0].available_memory, 100);
    }
}
