//! The gate every secret passes on its way to be tested, by the address it came from: an attempt is counted, then tested, and taken
//! back if it was right. So of many at once no more are tested than may fail. Accounts have their own count (`lockout`); clients have
//! none, because anybody could lock everybody out of a client with a few wrong secrets.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::error::Refusal;
use crate::limits::ADDRESS_WAITING_REQUESTS;
use crate::rate::{Entry, Limiter};
use crate::service::now_micros;

/// The gate. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Shared>);

struct Shared {
    counts: Mutex<Limiter>,
    waiting: Mutex<HashMap<String, usize>>,
    left: Notify,
}

impl Gate {
    /// So many may fail per minute and address; 0: any number.
    pub(crate) fn new(per_minute: u32) -> Gate {
        Gate(Arc::new(Shared {
            counts: Mutex::new(Limiter::new(per_minute)),
            waiting: Mutex::default(),
            left: Notify::new(),
        }))
    }

    /// Counts an attempt.
    ///
    /// # Errors
    /// 429 when too many failed, or too many wait.
    pub(crate) async fn enter(&self, address: &str) -> Result<Attempt, Refusal> {
        let mut place = None;
        loop {
            let mut left = std::pin::pin!(self.0.left.notified());
            // Listens before it looks: nobody leaves unnoticed in between.
            left.as_mut().enable();
            match self.counts().enter(address, now_micros()) {
                Entry::Counted(name) => {
                    return Ok(Attempt {
                        gate: self.clone(),
                        name,
                        is_wrong: true,
                    });
                }
                Entry::Wait(seconds) => return Err(Refusal::too_many(seconds)),
                Entry::Busy => {}
            }
            if place.is_none() {
                place = Some(Place::take(&self.0, address)?);
            }
            left.await;
        }
    }

    fn counts(&self) -> MutexGuard<'_, Limiter> {
        // Every change of it is whole.
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt that is counted. Dropped, it stays so: who goes away in the middle has tried.
pub(crate) struct Attempt {
    gate: Gate,
    name: String,
    is_wrong: bool,
}

impl Attempt {
    /// Takes it back: it was right, or said nothing about the secret.
    pub(crate) fn take_back(mut self) {
        self.is_wrong = false;
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let now = now_micros();
        self.gate.counts().leave(&self.name, self.is_wrong, now);
        self.gate.0.left.notify_waiters();
    }
}

/// One of those who wait.
struct Place {
    shared: Arc<Shared>,
    address: String,
}

impl Place {
    fn take(shared: &Arc<Shared>, address: &str) -> Result<Place, Refusal> {
        let mut waiting = shared.waiting();
        let count = waiting.entry(address.to_owned()).or_default();
        if *count >= ADDRESS_WAITING_REQUESTS {
            return Err(Refusal::crowded());
        }
        *count += 1;
        Ok(Place {
            shared: shared.clone(),
            address: address.to_owned(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut waiting = self.shared.waiting();
        if let Some(count) = waiting.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.address);
            }
        }
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures_util::future::join_all;

    use super::*;

    #[tokio::test]
    async fn of_many_at_once_no_more_are_tested_than_may_fail() {
        let gate = Gate::new(5);
        let tested = Mutex::new(0);
        let guess = |_| async {
            let attempt = gate.enter("a").await?;
            *tested.lock().unwrap() += 1;
            tokio::task::yield_now().await;
            drop(attempt);
            Ok::<_, Refusal>(())
        };
        let all = join_all((0..5 + ADDRESS_WAITING_REQUESTS).map(guess)).await;
        assert_eq!(all.iter().filter(|one| one.is_ok()).count(), 5);
        assert_eq!(*tested.lock().unwrap(), 5);
        assert!(gate.enter("b").await.is_ok());
    }

    #[tokio::test]
    async fn who_is_right_waits_and_is_served() {
        let gate = Gate::new(2);
        let log_in = |_| async {
            let attempt = gate.enter("a").await.unwrap();
            tokio::task::yield_now().await;
            attempt.take_back();
        };
        join_all((0..2 + ADDRESS_WAITING_REQUESTS).map(log_in)).await;
        assert!(gate.0.waiting().is_empty());
    }

    #[tokio::test]
    async fn beyond_the_waiting_an_address_is_refused() {
        let gate = Gate::new(1);
        let held = gate.enter("a").await.unwrap();
        let waiting: Vec<_> = (0..ADDRESS_WAITING_REQUESTS)
            .map(|_| Place::take(&gate.0, "a").unwrap())
            .collect();
        let refused = gate.enter("a").await.err().unwrap();
        assert_eq!(refused.status, http::StatusCode::TOO_MANY_REQUESTS);
        assert!(refused.retry_after.is_some());
        drop(waiting);
        held.take_back();
        assert!(gate.enter("a").await.is_ok());
    }
}
