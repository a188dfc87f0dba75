//! Slots (subnet, uid range, link name) and ports of one depot. Pure: time is
//! passed in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::register::{Block, SLOTS, UIDS};
use crate::depot::record::Slot;

/// A freed subnet rests this long: its link is removed in the background.
const SLOT_REST: Duration = Duration::from_secs(5);

/// Moments are durations since the Unix epoch, so that they can be stored.
pub(crate) type Now = Duration;

/// What is in use and what rests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pools {
    blocks: Vec<Block>,
    port_rest: Duration,
    slots: BTreeSet<u32>,
    resting_slots: BTreeMap<u32, Now>,
    ports: BTreeSet<u16>,
    resting_ports: BTreeMap<u16, Now>,
    next_slot: u32,
    next_port: usize,
}

impl Pools {
    pub(crate) fn new(blocks: Vec<Block>, port_rest: Duration) -> Self {
        Self {
            blocks,
            port_rest,
            slots: BTreeSet::new(),
            resting_slots: BTreeMap::new(),
            ports: BTreeSet::new(),
            resting_ports: BTreeMap::new(),
            next_slot: 0,
            next_port: 0,
        }
    }

    /// Adds a block claimed later.
    pub(crate) fn add(&mut self, block: Block) {
        self.blocks.push(block);
    }

    /// A free slot; goes round, so that a freed one is used again as late as possible.
    pub(crate) fn take_slot(&mut self, now: Now) -> Option<Slot> {
        self.resting_slots
            .retain(|_, freed| now.saturating_sub(*freed) < SLOT_REST);
        let total = self.blocks.len() as u32 * SLOTS;
        for step in 0..total {
            let number = (self.next_slot + step) % total;
            if !self.slots.contains(&number) && !self.resting_slots.contains_key(&number) {
                self.next_slot = (number + 1) % total;
                self.slots.insert(number);
                return Some(self.slot(number));
            }
        }
        None
    }

    /// Slots and ports given out and not yet freed.
    pub(crate) fn in_use(&self) -> (Vec<Slot>, Vec<u16>) {
        let slots = self.slots.iter().map(|number| self.slot(*number));
        (slots.collect(), self.ports.iter().copied().collect())
    }

    fn slot(&self, number: u32) -> Slot {
        let block = &self.blocks[(number / SLOTS) as usize];
        let index = number % SLOTS;
        Slot {
            number,
            subnet: (block.subnet + index * 4).into(),
            uid_base: block.uid + index * UIDS,
        }
    }

    /// Marks an adopted container's slot. False: the slot is not this depot's.
    pub(crate) fn adopt_slot(&mut self, slot: &Slot) -> bool {
        let known =
            slot.number < self.blocks.len() as u32 * SLOTS && self.slot(slot.number) == *slot;
        known && self.slots.insert(slot.number)
    }

    pub(crate) fn free_slot(&mut self, number: u32, now: Now) {
        self.slots.remove(&number);
        self.resting_slots.insert(number, now);
    }

    /// A free port that has rested.
    pub(crate) fn take_port(&mut self, now: Now) -> Option<u16> {
        let rest = self.port_rest;
        self.resting_ports
            .retain(|_, freed| now.saturating_sub(*freed) < rest);
        let all: Vec<u16> = self
            .blocks
            .iter()
            .flat_map(|b| b.ports.0..=b.ports.1)
            .collect();
        for step in 0..all.len() {
            let index = (self.next_port + step) % all.len();
            let port = all[index];
            if !self.resting_ports.contains_key(&port) && self.ports.insert(port) {
                self.next_port = (index + 1) % all.len();
                return Some(port);
            }
        }
        None
    }

    pub(crate) fn adopt_port(&mut self, port: u16) {
        self.ports.insert(port);
    }

    pub(crate) fn free_port(&mut self, port: u16, now: Now) {
        if self.ports.remove(&port) {
            self.resting_ports.insert(port, now);
        }
    }

    /// Resting ports, to be stored: a restart must not shorten the rest.
    pub(crate) fn resting(&self) -> &BTreeMap<u16, Now> {
        &self.resting_ports
    }

    pub(crate) fn set_resting(&mut self, resting: BTreeMap<u16, Now>) {
        self.resting_ports = resting;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pools() -> Pools {
        let block = Block {
            subnet: 0x0afe_0000,
            uid: 1 << 30,
            ports: (61_001, 61_003),
        };
        Pools::new(vec![block], Duration::from_secs(130))
    }

    fn at(seconds: u64) -> Now {
        Duration::from_secs(1_000_000 + seconds)
    }

    #[test]
    fn every_slot_is_given_once() {
        let mut pools = pools();
        let slots: BTreeSet<_> = (0..64)
            .map(|_| pools.take_slot(at(0)).unwrap().subnet)
            .collect();
        assert_eq!(slots.len(), 64);
        assert_eq!(pools.take_slot(at(0)), None);
        pools.free_slot(7, at(0));
        assert_eq!(pools.take_slot(at(4)), None);
        assert_eq!(pools.take_slot(at(5)).unwrap().number, 7);
    }

    #[test]
    fn a_freed_port_rests() {
        let mut pools = pools();
        let taken: Vec<u16> = (0..3).map(|_| pools.take_port(at(0)).unwrap()).collect();
        assert_eq!(taken, [61_001, 61_002, 61_003]);
        pools.free_port(61_002, at(10));
        assert_eq!(pools.take_port(at(139)), None);
        assert_eq!(pools.take_port(at(140)), Some(61_002));
    }

    #[test]
    fn the_rest_survives_a_restart() {
        let (mut old, mut new) = (pools(), pools());
        for _ in 0..3 {
            old.take_port(at(0));
        }
        (61_001..=61_003).for_each(|port| old.free_port(port, at(10)));
        new.set_resting(old.resting().clone());
        assert_eq!(new.take_port(at(20)), None);
    }

    #[test]
    fn a_foreign_slot_is_not_adopted() {
        let mut pools = pools();
        let mut slot = pools.clone().take_slot(at(0)).unwrap();
        assert!(pools.adopt_slot(&slot));
        assert!(!pools.adopt_slot(&slot), "twice");
        slot.uid_base += 1;
        assert!(!pools.adopt_slot(&slot));
    }
}
