//! Who holds a connection of a listener. When there are too many, the oldest without a request goes first, then the one that has been
//! idle for longest; whoever is being answered stays, and the new one is refused.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::Limits;
use crate::forwarders::{Forwarders, household};

/// The connections of one listener.
pub(super) struct Seats(Arc<Shared>);

struct Shared {
    most: usize,
    of_address: usize,
    of_forwarder: usize,
    forwarders: Forwarders,
    room: Mutex<Room>,
}

#[derive(Default)]
struct Room {
    next: u64,
    held: HashMap<u64, Held>,
    waiting: Waiting,
    households: HashMap<IpAddr, Household>,
}

/// One connection.
struct Held {
    household: IpAddr,
    /// Wakes its task when the place was given away.
    gone: Arc<Notify>,
    /// Requests in flight.
    busy: usize,
    /// What it is listed under while it has none: when it began to have none.
    listed: Option<(Kind, u64)>,
}

/// The connections from one address.
#[derive(Default)]
struct Household {
    count: usize,
    waiting: Waiting,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Never sent a request.
    Silent,
    /// Was answered, and asks nothing.
    Idle,
}

/// Connections that nobody is waiting for, oldest first: (when, which).
#[derive(Default)]
struct Waiting {
    silent: BTreeSet<(u64, u64)>,
    idle: BTreeSet<(u64, u64)>,
}

impl Waiting {
    fn of(&mut self, kind: Kind) -> &mut BTreeSet<(u64, u64)> {
        match kind {
            Kind::Silent => &mut self.silent,
            Kind::Idle => &mut self.idle,
        }
    }

    fn first(&self) -> Option<u64> {
        let first = self.silent.first().or_else(|| self.idle.first());
        first.map(|(_, id)| *id)
    }
}

impl Seats {
    pub(super) fn new(limits: &Limits) -> Seats {
        Seats(Arc::new(Shared {
            most: limits.connections,
            of_address: limits.of_address,
            of_forwarder: limits.of_forwarder,
            forwarders: limits.forwarders.clone(),
            room: Mutex::default(),
        }))
    }

    /// A seat for a connection from this address, if need be somebody else's.
    pub(super) fn take(&self, address: IpAddr) -> Option<Arc<Seat>> {
        let is_forwarder = self.0.forwarders.trusts(address);
        let share = if is_forwarder {
            self.0.of_forwarder
        } else {
            self.0.of_address
        };
        let household = household(address);
        let mut room = self.0.room();
        let of_household = room.households.get(&household);
        if of_household.is_some_and(|home| home.count >= share) {
            let first = of_household.and_then(|home| home.waiting.first());
            room.send_away(first?);
        }
        if room.held.len() >= self.0.most {
            let first = room.waiting.first();
            room.send_away(first?);
        }
        Some(room.seat(household, &self.0))
    }

    /// Sends the first one away that can go.
    pub(super) fn make_room(&self) {
        let mut room = self.0.room();
        if let Some(first) = room.waiting.first() {
            room.send_away(first);
        }
    }
}

impl Shared {
    fn room(&self) -> MutexGuard<'_, Room> {
        // Nothing in here panics half-way.
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    fn seat(&mut self, household: IpAddr, shared: &Arc<Shared>) -> Arc<Seat> {
        let id = self.tick();
        let seat = Arc::new(Seat {
            id,
            shared: shared.clone(),
            changed: Notify::new(),
            gone: Arc::default(),
        });
        let held = Held {
            household,
            gone: seat.gone.clone(),
            busy: 0,
            listed: None,
        };
        self.held.insert(id, held);
        self.households.entry(household).or_default().count += 1;
        self.list(id, Kind::Silent);
        seat
    }

    fn tick(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn list(&mut self, id: u64, kind: Kind) {
        let now = self.tick();
        let Some(held) = self.held.get_mut(&id) else {
            return;
        };
        held.listed = Some((kind, now));
        self.waiting.of(kind).insert((now, id));
        if let Some(home) = self.households.get_mut(&held.household) {
            home.waiting.of(kind).insert((now, id));
        }
    }

    fn unlist(&mut self, id: u64) {
        let Some(held) = self.held.get_mut(&id) else {
            return;
        };
        let Some((kind, when)) = held.listed.take() else {
            return;
        };
        self.waiting.of(kind).remove(&(when, id));
        if let Some(home) = self.households.get_mut(&held.household) {
            home.waiting.of(kind).remove(&(when, id));
        }
    }

    /// Forgets a connection at once; its task closes it as soon as it runs.
    fn send_away(&mut self, id: u64) {
        if let Some(held) = self.held.get(&id) {
            held.gone.notify_one();
        }
        self.leave(id);
    }

    fn leave(&mut self, id: u64) {
        self.unlist(id);
        let Some(held) = self.held.remove(&id) else {
            return;
        };
        if let Some(home) = self.households.get_mut(&held.household) {
            home.count -= 1;
            if home.count == 0 {
                self.households.remove(&held.household);
            }
        }
    }
}

/// The place of one connection; given back when dropped.
pub(super) struct Seat {
    id: u64,
    shared: Arc<Shared>,
    changed: Notify,
    gone: Arc<Notify>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shared.room().leave(self.id);
    }
}

impl Seat {
    /// A request begins.
    pub(super) fn begin(self: &Arc<Seat>) -> InFlight {
        let mut room = self.shared.room();
        room.unlist(self.id);
        if let Some(held) = room.held.get_mut(&self.id) {
            held.busy += 1;
        }
        drop(room);
        self.changed.notify_one();
        InFlight(Some(self.clone()))
    }

    fn end(&self) {
        let mut room = self.shared.room();
        let left = room.held.get_mut(&self.id).map(|held| {
            held.busy -= 1;
            held.busy
        });
        if left == Some(0) {
            room.list(self.id, Kind::Idle);
        }
        drop(room);
        self.changed.notify_one();
    }

    /// How it stands, if it still has its place.
    fn kind(&self) -> Option<Option<Kind>> {
        let room = self.shared.room();
        let held = room.held.get(&self.id)?;
        Some(held.listed.map(|(kind, _)| kind))
    }

    /// Ends when the connection has to: its place was given away, or it asked nothing for too long.
    pub(super) async fn overdue(&self, first: Duration, idle: Duration) {
        loop {
            let limit = match self.kind() {
                Some(Some(Kind::Silent)) => Some(first),
                Some(Some(Kind::Idle)) => Some(idle),
                Some(None) => None,
                None => return,
            };
            let late = async {
                match limit {
                    Some(limit) => tokio::time::sleep(limit).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.changed.notified() => {}
                () = self.gone.notified() => return,
                () = late => return,
            }
        }
    }
}

/// A request in flight; it ends when dropped.
pub(super) struct InFlight(Option<Arc<Seat>>);

impl InFlight {
    /// The connection became something else, and is in use until it is closed.
    pub(super) fn for_ever(mut self) {
        self.0 = None;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if let Some(seat) = self.0.take() {
            seat.end();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn seats(most: usize, of_address: usize, of_forwarder: usize) -> Seats {
        Seats::new(&Limits {
            connections: most,
            of_address,
            of_forwarder,
            forwarders: Forwarders(vec!["10.0.0.0/24".parse().unwrap()]),
            ..Limits::default()
        })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn holds(seat: &Seat) -> bool {
        seat.kind().is_some()
    }

    #[test]
    fn an_address_at_its_cap_hurts_itself_only() {
        let seats = seats(100, 3, 10);
        let other = seats.take(ip("2001:db8::1")).unwrap();
        let mine: Vec<_> = (0..3).map(|_| seats.take(ip("6.6.6.6")).unwrap()).collect();
        let busy = mine[0].begin();
        let fourth = seats.take(ip("6.6.6.6")).unwrap();
        let held: Vec<bool> = mine.iter().map(|seat| holds(seat)).collect();
        assert_eq!(held, [true, false, true], "the oldest that asked nothing");
        assert!(holds(&fourth) && holds(&other));
        let all_busy = [mine[2].begin(), fourth.begin()];
        assert!(
            seats.take(ip("6.6.6.6")).is_none(),
            "all are being answered"
        );
        assert!(seats.take(ip("6.6.6.7")).is_some());
        drop((busy, all_busy));
        assert!(seats.take(ip("6.6.6.6")).is_some(), "an idle one goes");
        for _ in 0..300 {
            seats.take(ip("6.6.6.6")).unwrap();
        }
        assert!(holds(&other));
    }

    #[test]
    fn this_host_and_forwarders_have_a_larger_share() {
        let seats = seats(100, 2, 5);
        for (address, share) in [
            ("127.0.0.1", 5),
            ("::1", 5),
            ("10.0.0.9", 5),
            ("10.0.1.9", 2),
        ] {
            let held: Vec<_> = (0..share)
                .map(|_| seats.take(ip(address)).unwrap())
                .collect();
            let _all: Vec<_> = held.iter().map(|seat| seat.begin()).collect();
            assert!(seats.take(ip(address)).is_none(), "{address}");
        }
    }

    #[test]
    fn at_the_cap_the_oldest_without_a_request_goes_then_who_is_idle_for_longest() {
        let seats = seats(4, 4, 4);
        let held: Vec<_> = (1..=4)
            .map(|n| seats.take(ip(&format!("6.6.6.{n}"))).unwrap())
            .collect();
        drop(held[1].begin());
        drop(held[0].begin());
        let _busy = held[3].begin();
        let mut order = Vec::new();
        let mut more = Vec::new();
        for n in 10.. {
            let Some(new) = seats.take(ip(&format!("6.6.6.{n}"))) else {
                break;
            };
            std::mem::forget(new.begin());
            more.push(new);
            let gone = (0..4).filter(|at| !holds(&held[*at]));
            order.extend(gone.filter(|at| !order.contains(at)).collect::<Vec<_>>());
        }
        assert_eq!(
            order,
            [2, 1, 0],
            "silent first, then idle by age, never busy"
        );
    }

    #[test]
    fn what_ends_is_forgotten() {
        let seats = seats(10, 10, 10);
        for n in 0..100 {
            let seat = seats.take(ip(&format!("6.6.6.{n}"))).unwrap();
            let request = seat.begin();
            drop(seat);
            drop(request);
        }
        let room = seats.0.room();
        assert!(room.held.is_empty() && room.households.is_empty());
        assert!(room.waiting.silent.is_empty() && room.waiting.idle.is_empty());
    }
}
