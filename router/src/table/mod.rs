//! The route table: uri to endpoints. Pure: every method that depends on time takes `now`.

mod endpoint;
mod keys;
mod pool;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use endpoint::Busy;
pub use endpoint::Endpoint;
pub use keys::{Keys, normalize};
pub use pool::{Balancing, Pool, Slot};

/// Time constants of the table.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// An endpoint not refreshed for this long is stale. A failed one is skipped for a quarter of it.
    pub stale: Duration,
    /// After the bus is first reached, registrars need this long to tell us everything.
    pub learning: Duration,
    /// Endpoints go stale even while the bus is away.
    pub prune_without_bus: bool,
    /// How instances share requests.
    pub balancing: Balancing,
}

/// What a request wants.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The Host header, port and case as received.
    pub host: &'a str,
    /// Path of the request.
    pub path: &'a str,
    /// Instance id of a sticky session.
    pub sticky: Option<&'a str>,
}

/// Where a request goes.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The instance.
    pub endpoint: Arc<Endpoint>,
    /// The table key that matched: host, wildcard or host with context path.
    pub route: Arc<str>,
    /// All endpoints were marked failed before this one was tried once more.
    pub desperate: bool,
}

/// Why a request goes nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Miss {
    /// Nobody ever registered it, or long ago.
    Unknown,
    /// The table is not complete yet: nobody has registered it so far.
    Learning,
    /// Its endpoints went stale a short while ago.
    Pruned,
    /// Every endpoint has been tried for this request.
    Exhausted,
}

/// An endpoint and the uris it serves.
struct Known {
    endpoint: Arc<Endpoint>,
    uris: BTreeSet<String>,
}

/// The table. Connections to an endpoint belong to its serial; serials in
/// `retired` results must be closed by the caller.
pub struct Table {
    settings: Settings,
    pools: HashMap<Arc<str>, Pool>,
    /// Room for the keys of a lookup.
    keys: Keys,
    /// Everybody, by address.
    known: HashMap<String, Known>,
    /// Uris that lost their last endpoint to pruning, and until when that is remembered.
    pruned: HashMap<String, Instant>,
    next_serial: u64,
    /// When the bus was first reached.
    learning_since: Option<Instant>,
    /// While the bus is away, nobody can refresh anything.
    paused: bool,
    last_update: Option<Instant>,
}

impl Table {
    /// An empty table; pruning rests until [`Table::resume`].
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            pools: HashMap::new(),
            keys: Keys::default(),
            known: HashMap::new(),
            pruned: HashMap::new(),
            next_serial: 1,
            learning_since: None,
            paused: true,
            last_update: None,
        }
    }

    /// Adds or refreshes an endpoint under all its uris. Returns the serials retired by it:
    /// whoever lived at this address under another identity is gone.
    pub fn register(&mut self, message: &bus::router::Endpoint, now: Instant) -> Vec<u64> {
        let uris: Vec<String> = message
            .uris
            .iter()
            .map(|uri| normalize(uri))
            .filter(|uri| !uri.is_empty())
            .collect();
        if uris.is_empty() {
            return Vec::new();
        }
        self.last_update = Some(now);
        let address = endpoint::address(message);
        let stranger = self
            .known
            .get(&address)
            .is_some_and(|known| !known.endpoint.is(message));
        let retired = if stranger {
            self.retire(&address)
        } else {
            Vec::new()
        };
        let endpoint = self.known_or_new(&address, message);
        let threshold = endpoint::threshold(message, self.settings.stale);
        let weight = endpoint::weight(message);
        for uri in uris {
            self.pruned.remove(&uri);
            if let Some(known) = self.known.get_mut(&address) {
                known.uris.insert(uri.clone());
            }
            self.pools
                .entry(uri.into())
                .or_default()
                .refresh(&endpoint, threshold, weight, now);
        }
        retired
    }

    /// Removes an endpoint from the uris named; returns its serial when it serves nothing any more.
    pub fn unregister(&mut self, message: &bus::router::Endpoint, now: Instant) -> Vec<u64> {
        let address = endpoint::address(message);
        self.last_update = Some(now);
        let uris = message.uris.iter().map(|uri| normalize(uri));
        let gone: Vec<u64> = uris.filter_map(|uri| self.leave(&address, &uri)).collect();
        gone
    }

    /// Drops endpoints that were not refreshed in time; returns the serials that serve nothing any more.
    pub fn prune(&mut self, now: Instant) -> Vec<u64> {
        self.pruned.retain(|_, until| *until > now);
        if self.paused {
            return Vec::new();
        }
        let stale: Vec<(String, String)> = self
            .pools
            .iter()
            .flat_map(|(uri, pool)| {
                pool.stale(now)
                    .map(|endpoint| (endpoint.address.clone(), uri.to_string()))
            })
            .collect();
        let mut gone = Vec::new();
        for (address, uri) in stale {
            gone.extend(self.leave(&address, &uri));
            if !self.pools.contains_key(uri.as_str()) {
                self.pruned.insert(uri, now + self.settings.stale);
            }
        }
        gone
    }

    /// The bus is away: nothing goes stale.
    pub fn pause(&mut self) {
        self.paused = !self.settings.prune_without_bus;
    }

    /// The bus is (back) there: everything counts as refreshed once, and the first time learning begins.
    pub fn resume(&mut self, now: Instant) {
        self.paused = false;
        self.learning_since.get_or_insert(now);
        self.pools
            .values_mut()
            .for_each(|pool| pool.refresh_all(now));
    }

    /// Picks an endpoint, leaving out those in `tried`.
    ///
    /// # Errors
    /// [`Miss`] says why there is none.
    pub fn choose(
        &mut self,
        wanted: &Wanted<'_>,
        tried: &[u64],
        now: Instant,
    ) -> Result<Choice, Miss> {
        self.keys.read(wanted.host, wanted.path);
        let pools = &self.pools;
        let known = |key: &str| pools.get_key_value(key).map(|(key, _)| key.clone());
        let Some(route) = self.keys.find(known) else {
            return Err(self.miss(now));
        };
        let pool = self
            .pools
            .get_mut(&route)
            .expect("the key was found a line above");
        match pool.choose(wanted.sticky, tried, self.settings.balancing, now) {
            Some((endpoint, desperate)) => Ok(Choice {
                endpoint,
                route,
                desperate,
            }),
            None => Err(Miss::Exhausted),
        }
    }

    /// Why the keys read last lead nowhere.
    fn miss(&mut self, now: Instant) -> Miss {
        let pruned = &self.pruned;
        let recently = |key: &str| pruned.get(key).filter(|until| **until > now).map(drop);
        if self.keys.find(recently).is_some() {
            Miss::Pruned
        } else if self.learning_left(now).is_some() {
            Miss::Learning
        } else {
            Miss::Unknown
        }
    }

    /// How long the table may still be incomplete after the start.
    pub fn learning_left(&self, now: Instant) -> Option<Duration> {
        match self.learning_since {
            None => Some(self.settings.learning),
            Some(since) => (since + self.settings.learning)
                .checked_duration_since(now)
                .filter(|left| !left.is_zero()),
        }
    }

    /// A dial failed: the endpoint is skipped for a quarter of the stale threshold, on every route.
    pub fn mark_failed(&mut self, endpoint: &Endpoint, now: Instant) {
        let until = now + self.settings.stale / 4;
        for uri in self
            .known
            .get(&endpoint.address)
            .into_iter()
            .flat_map(|known| &known.uris)
        {
            if let Some(pool) = self.pools.get_mut(uri.as_str()) {
                pool.mark_failed(endpoint.serial, until);
            }
        }
    }

    /// Uris and their slots, for `/routes`.
    pub fn routes(&self) -> impl Iterator<Item = (&str, &[Slot])> {
        self.pools.iter().map(|(uri, pool)| (&**uri, pool.slots()))
    }

    /// Number of uris.
    pub fn uri_count(&self) -> usize {
        self.pools.len()
    }

    /// Number of distinct endpoints.
    pub fn endpoint_count(&self) -> usize {
        self.known.len()
    }

    /// Time since the last registration or unregistration.
    pub fn since_last_update(&self, now: Instant) -> Option<Duration> {
        self.last_update.map(|at| now.saturating_duration_since(at))
    }

    fn known_or_new(&mut self, address: &str, message: &bus::router::Endpoint) -> Arc<Endpoint> {
        if let Some(known) = self.known.get(address) {
            return known.endpoint.clone();
        }
        let endpoint = Arc::new(Endpoint::new(self.next_serial, message));
        self.next_serial += 1;
        self.known.insert(
            address.to_owned(),
            Known {
                endpoint: endpoint.clone(),
                uris: BTreeSet::new(),
            },
        );
        endpoint
    }

    /// Takes the endpoint at an address off all its uris.
    fn retire(&mut self, address: &str) -> Vec<u64> {
        let uris: Vec<String> = self
            .known
            .get(address)
            .into_iter()
            .flat_map(|known| known.uris.iter().cloned())
            .collect();
        uris.iter()
            .filter_map(|uri| self.leave(address, uri))
            .collect()
    }

    /// Takes an endpoint off one uri; returns its serial if that was its last.
    fn leave(&mut self, address: &str, uri: &str) -> Option<u64> {
        let known = self.known.get_mut(address)?;
        let serial = known.endpoint.serial;
        known.uris.remove(uri);
        let last = known.uris.is_empty();
        if last {
            self.known.remove(address);
        }
        if let Some(pool) = self.pools.get_mut(uri) {
            pool.remove(serial);
            if pool.is_empty() {
                self.pools.remove(uri);
            }
        }
        last.then_some(serial)
    }
}

#[cfg(test)]
mod tests;
