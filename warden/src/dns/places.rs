//! Who may ask at a time: a budget per asker, and one for all in which the greediest makes room. Pure, but for the notice that ends
//! an old question.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Places for questions of `A`skers.
#[derive(Debug)]
pub(super) struct Places<A> {
    each: usize,
    all: usize,
    held: Mutex<Held<A>>,
}

#[derive(Debug)]
struct Held<A> {
    /// Oldest first.
    askers: HashMap<A, VecDeque<Seat>>,
    count: usize,
    next: u64,
}

#[derive(Debug)]
struct Seat {
    number: u64,
    /// Dropped to end the question.
    _end: oneshot::Sender<()>,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(super) struct Place<A: Eq + Hash + Copy> {
    asker: A,
    number: u64,
    ends: oneshot::Receiver<()>,
    places: Arc<Places<A>>,
}

impl<A: Eq + Hash + Copy> Places<A> {
    /// `each` asker has so many, `all` of them together so many.
    pub(super) fn new(each: usize, all: usize) -> Arc<Self> {
        let held = Held {
            askers: HashMap::new(),
            count: 0,
            next: 0,
        };
        Arc::new(Self {
            each,
            all,
            held: Mutex::new(held),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Held<A>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place; an older one may have to end for it.
    pub(super) fn enter(self: &Arc<Self>, asker: A) -> Place<A> {
        let mut held = self.lock();
        if held.of(asker) >= self.each {
            held.end_oldest(asker);
        } else if held.count >= self.all
            && let Some(greediest) = held.greediest()
        {
            held.end_oldest(greediest);
        }
        let (end, ends) = oneshot::channel();
        let number = held.next;
        held.next += 1;
        held.count += 1;
        let seat = Seat { number, _end: end };
        held.askers.entry(asker).or_default().push_back(seat);
        Place {
            asker,
            number,
            ends,
            places: Arc::clone(self),
        }
    }
}

impl<A: Eq + Hash + Copy> Held<A> {
    fn of(&self, asker: A) -> usize {
        self.askers.get(&asker).map_or(0, VecDeque::len)
    }

    /// Among equals it does not matter who.
    fn greediest(&self) -> Option<A> {
        let most = self.askers.iter().max_by_key(|(_, seats)| seats.len());
        most.map(|(asker, _)| *asker)
    }

    fn end_oldest(&mut self, asker: A) {
        self.remove(asker, |_| true);
    }

    fn remove(&mut self, asker: A, is_meant: impl Fn(&Seat) -> bool) {
        let Some(seats) = self.askers.get_mut(&asker) else {
            return;
        };
        if let Some(at) = seats.iter().position(is_meant) {
            seats.remove(at);
            self.count -= 1;
        }
        if seats.is_empty() {
            self.askers.remove(&asker);
        }
    }
}

impl<A: Eq + Hash + Copy> Place<A> {
    /// Does the work unless it has to make room first.
    pub(super) async fn hold<T>(mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            _ = &mut self.ends => None,
        }
    }
}

impl<A: Eq + Hash + Copy> Drop for Place<A> {
    fn drop(&mut self) {
        let mut held = self.places.lock();
        held.remove(self.asker, |seat| seat.number == self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_ended<A: Eq + Hash + Copy>(place: &mut Place<A>) -> bool {
        place.ends.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn a_container_has_its_own_budget() {
        let places = Places::new(3, 100);
        let mut mine: Vec<_> = (0..3).map(|_| places.enter("a")).collect();
        let mut other = places.enter("b");
        assert!(!mine.iter_mut().any(has_ended), "at the limit nothing ends");
        let _fourth = places.enter("a");
        let ended: Vec<bool> = mine.iter_mut().map(has_ended).collect();
        assert_eq!(ended, [true, false, false], "beyond it the oldest does");
        let _many: Vec<_> = (0..300).map(|_| places.enter("a")).collect();
        assert_eq!(places.lock().of("a"), 3);
        assert!(!has_ended(&mut other));
    }

    #[test]
    fn whoever_holds_most_makes_room() {
        let places = Places::new(6, 10);
        let mut greedy: Vec<_> = (0..6).map(|_| places.enter("greedy")).collect();
        let mut modest: Vec<_> = (0..4)
            .map(|n| places.enter(["a", "b", "c", "d"][n]))
            .collect();
        let _newcomer = places.enter("e");
        assert!(has_ended(&mut greedy[0]) && !modest.iter_mut().any(has_ended));
        assert_eq!(places.lock().count, 10);
        drop((greedy, modest));
        assert_eq!(places.lock().count, 1, "what was dropped twice counts once");
    }

    #[tokio::test]
    async fn a_question_that_makes_room_ends_and_one_that_is_done_gives_its_place_back() {
        let places = Places::new(1, 10);
        let first = places.enter(1);
        let waits = tokio::spawn(first.hold(std::future::pending::<()>()));
        assert_eq!(places.enter(1).hold(async { 5 }).await, Some(5));
        assert_eq!(waits.await.ok().flatten(), None);
        assert!(places.lock().askers.is_empty());
    }
}
