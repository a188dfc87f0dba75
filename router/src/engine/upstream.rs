//! Connections to instances: one while it serves a client, and those that wait for work.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::slots::{Key, Slots};
use super::wire::Wire;

/// A connection to an instance.
pub(super) struct Upstream {
    pub(super) key: Key,
    pub(super) wire: Wire,
    /// Of the endpoint it leads to.
    pub(super) serial: u64,
    pub(super) connecting: bool,
    /// It has served before, so it may have died unnoticed.
    pub(super) reused: bool,
    /// The beginning of an answer's head.
    pub(super) head: Vec<u8>,
    /// Writing failed: the instance may have answered all the same.
    pub(super) deaf: bool,
    idle_since: Instant,
}

impl Upstream {
    pub(super) fn new(key: Key, wire: Wire, serial: u64, now: Instant) -> Self {
        Self {
            key,
            wire,
            serial,
            connecting: true,
            reused: false,
            head: Vec::new(),
            deaf: false,
            idle_since: now,
        }
    }
}

/// Who has a connection.
pub(super) enum Owner {
    /// A client's request.
    Client(Key),
    /// Nobody.
    Idle(Box<Upstream>),
}

/// All connections to instances, and the idle ones by endpoint.
pub(super) struct Upstreams {
    owners: Slots<Owner>,
    idle: HashMap<u64, Vec<Key>>,
    keep_alive: Duration,
    most: usize,
}

impl Upstreams {
    pub(super) fn new(keep_alive: Duration, most: usize) -> Self {
        Self {
            owners: Slots::new(),
            idle: HashMap::new(),
            keep_alive,
            most,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.owners.len() == 0
    }

    /// A place for a connection that serves a client.
    pub(super) fn reserve(&mut self, client: Key) -> Key {
        let key = self.owners.reserve();
        self.owners.put(key, Owner::Client(client));
        key
    }

    pub(super) fn release(&mut self, key: Key) {
        self.owners.release(key);
    }

    /// The client whose connection this is; an idle one on which something happened is closed.
    pub(super) fn owner(&mut self, key: Key) -> Option<Key> {
        match self.owners.get_mut(key)? {
            Owner::Client(client) => Some(*client),
            Owner::Idle(upstream) => {
                let serial = upstream.serial;
                self.remove_idle(serial, key);
                None
            }
        }
    }

    fn remove_idle(&mut self, serial: u64, key: Key) {
        if let Some(list) = self.idle.get_mut(&serial) {
            list.retain(|other| *other != key);
            if list.is_empty() {
                self.idle.remove(&serial);
            }
        }
        self.owners.release(key);
    }

    /// The connection used last, for a client.
    pub(super) fn lend(&mut self, serial: u64, client: Key) -> Option<Box<Upstream>> {
        let list = self.idle.get_mut(&serial)?;
        let key = list.pop()?;
        if list.is_empty() {
            self.idle.remove(&serial);
        }
        let Some(Owner::Idle(mut upstream)) = self.owners.take(key) else {
            return None;
        };
        self.owners.put(key, Owner::Client(client));
        upstream.reused = true;
        upstream.wire.count_anew();
        Some(upstream)
    }

    /// Keeps a connection for the next request, unless there are enough.
    pub(super) fn give_back(&mut self, mut upstream: Box<Upstream>, now: Instant) {
        let key = upstream.key;
        let list = self.idle.entry(upstream.serial).or_default();
        if list.len() >= self.most {
            return self.owners.release(key);
        }
        list.push(key);
        upstream.idle_since = now;
        self.owners.put(key, Owner::Idle(upstream));
    }

    /// Closes idle connections to an endpoint that is gone.
    pub(super) fn forget(&mut self, serial: u64) {
        for key in self.idle.remove(&serial).unwrap_or_default() {
            self.owners.release(key);
        }
    }

    /// Closes connections that have been idle for too long.
    pub(super) fn sweep(&mut self, now: Instant) {
        let keep_alive = self.keep_alive;
        let old = self.owners.iter().filter_map(|(key, owner)| match owner {
            Owner::Idle(upstream) if now.duration_since(upstream.idle_since) >= keep_alive => {
                Some((key, upstream.serial))
            }
            _ => None,
        });
        for (key, serial) in old.collect::<Vec<_>>() {
            self.remove_idle(serial, key);
        }
    }
}
