//! Whose password is hashed next: a few at a time, the addresses in turn, so that nobody waits for what another address has queued.
//! The queue has limits, for all and for each address; when it is full whoever has most in it is refused.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::limits::{ADDRESS_WAITING_HASHES, PARALLEL_HASHES, WAITING_HASHES};

/// There is no place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// The queue. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Turns(Arc<Mutex<Line>>);

#[derive(Default)]
struct Line {
    running: usize,
    waiting: usize,
    /// Addresses with somebody waiting, the next one first.
    order: VecDeque<String>,
    by_address: HashMap<String, VecDeque<oneshot::Sender<Turn>>>,
}

/// The right to hash; given on when dropped.
#[derive(Debug)]
pub(crate) struct Turn(Option<Turns>);

impl std::fmt::Debug for Turns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Turns")
    }
}

impl Turns {
    /// Waits for a turn of this address.
    pub(crate) async fn turn(&self, address: &str) -> Result<Turn, Full> {
        let turn = {
            let mut line = self.line();
            if line.running < PARALLEL_HASHES {
                line.running += 1;
                return Ok(Turn(Some(self.clone())));
            }
            line.join(address)?
        };
        // Sent away means: somebody with less in the queue needed the place.
        turn.await.map_err(|_| Full)
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        // Every change of it is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One is done: the next, if any.
    fn pass_on(&self) {
        loop {
            let mut line = self.line();
            let Some(next) = line.next() else {
                line.running -= 1;
                return;
            };
            drop(line);
            match next.send(Turn(Some(self.clone()))) {
                Ok(()) => return,
                // Who waited has gone. Its turn is still ours to give.
                Err(mut turn) => turn.0 = None,
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.pass_on();
        }
    }
}

impl Line {
    fn join(&mut self, address: &str) -> Result<oneshot::Receiver<Turn>, Full> {
        if self.count(address) >= ADDRESS_WAITING_HASHES || self.waiting >= WAITING_HASHES {
            self.forget_who_left();
        }
        if self.count(address) >= ADDRESS_WAITING_HASHES {
            return Err(Full);
        }
        if self.waiting >= WAITING_HASHES {
            self.make_room_for(address)?;
        }
        let (sender, receiver) = oneshot::channel();
        let of_address = self.by_address.entry(address.to_owned()).or_default();
        if of_address.is_empty() {
            self.order.push_back(address.to_owned());
        }
        of_address.push_back(sender);
        self.waiting += 1;
        Ok(receiver)
    }

    fn count(&self, address: &str) -> usize {
        self.by_address.get(address).map_or(0, VecDeque::len)
    }

    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let address = self.order.pop_front()?;
        let of_address = self.by_address.get_mut(&address)?;
        let next = of_address.pop_front();
        self.waiting -= 1;
        if of_address.is_empty() {
            self.by_address.remove(&address);
        } else {
            self.order.push_back(address);
        }
        next
    }

    fn forget_who_left(&mut self) {
        for of_address in self.by_address.values_mut() {
            of_address.retain(|sender| !sender.is_closed());
        }
        self.tidy();
    }

    /// Takes the last of whoever has most, if that is more than this address would have.
    fn make_room_for(&mut self, address: &str) -> Result<(), Full> {
        let would_have = self.count(address) + 1;
        let most = self.by_address.values_mut().max_by_key(|all| all.len());
        let most = most.filter(|all| all.len() > would_have).ok_or(Full)?;
        most.pop_back();
        self.tidy();
        Ok(())
    }

    fn tidy(&mut self) {
        self.by_address.retain(|_, all| !all.is_empty());
        let by_address = &self.by_address;
        self.order
            .retain(|address| by_address.contains_key(address));
        self.waiting = by_address.values().map(VecDeque::len).sum();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A queue in which all that may run does.
    async fn busy() -> (Turns, Vec<Turn>) {
        let turns = Turns::default();
        let mut held = Vec::new();
        for _ in 0..PARALLEL_HASHES {
            held.push(turns.turn("busy").await.unwrap());
        }
        (turns, held)
    }

    fn join(turns: &Turns, address: &str) -> Result<oneshot::Receiver<Turn>, Full> {
        turns.line().join(address)
    }

    #[tokio::test]
    async fn no_more_run_at_once_than_may() {
        let (turns, mut held) = busy().await;
        let mut waiting = join(&turns, "a").unwrap();
        assert!(waiting.try_recv().is_err());
        held.pop();
        let turn = waiting.try_recv().unwrap();
        assert_eq!(turns.line().running, PARALLEL_HASHES);
        drop((turn, held));
        let line = turns.line();
        assert_eq!((line.running, line.waiting), (0, 0));
    }

    #[tokio::test]
    async fn the_addresses_take_turns() {
        let (turns, mut held) = busy().await;
        let mut many: Vec<_> = (0..20).map(|_| join(&turns, "flood").unwrap()).collect();
        let mut one = join(&turns, "known").unwrap();
        held.truncate(1);
        let first = many[0].try_recv().unwrap();
        drop(first);
        assert!(
            one.try_recv().is_ok(),
            "after one of the flood, not after all"
        );
    }

    #[tokio::test]
    async fn one_address_fills_its_own_part_only() {
        let (turns, _held) = busy().await;
        let _waiting: Vec<_> = (0..ADDRESS_WAITING_HASHES)
            .map(|_| join(&turns, "flood").unwrap())
            .collect();
        for _ in 0..100 {
            assert_eq!(join(&turns, "flood").err(), Some(Full));
        }
        assert!(join(&turns, "known").is_ok());
    }

    #[tokio::test]
    async fn a_full_queue_refuses_whoever_has_most_in_it() {
        let (turns, _held) = busy().await;
        let mut waiting = Vec::new();
        let addresses = WAITING_HASHES / ADDRESS_WAITING_HASHES;
        for n in 0..WAITING_HASHES {
            waiting.push(join(&turns, &format!("flood{}", n % addresses)).unwrap());
        }
        let mut known = join(&turns, "known").unwrap();
        assert!(
            known
                .try_recv()
                .is_err_and(|e| e == oneshot::error::TryRecvError::Empty)
        );
        assert_eq!(turns.line().waiting, WAITING_HASHES);
        let sent_away = |one: &mut oneshot::Receiver<Turn>| {
            matches!(one.try_recv(), Err(oneshot::error::TryRecvError::Closed))
        };
        let sent_away = waiting
            .iter_mut()
            .filter_map(|one| sent_away(one).then_some(()))
            .count();
        assert_eq!(sent_away, 1);
    }

    #[tokio::test]
    async fn who_leaves_holds_no_place_and_no_turn() {
        let (turns, held) = busy().await;
        for _ in 0..10 * ADDRESS_WAITING_HASHES {
            drop(join(&turns, "flood").unwrap());
        }
        let mut known = join(&turns, "known").unwrap();
        drop(held);
        assert!(known.try_recv().is_ok());
        assert_eq!(turns.line().waiting, 0);
    }
}
