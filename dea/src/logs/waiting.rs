//! The queues with those who wait for them: pumps for room, the shipper for lines.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

use super::Source;
use super::line::Loss;
use super::queue::{Item, Queues};

#[derive(Debug, Default)]
pub(super) struct Waiting {
    queues: Mutex<Queues>,
    /// A line came.
    filled: Notify,
    /// Lines were taken.
    room: Notify,
}

impl Waiting {
    pub(super) fn lock(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a line; waits while its app has its share waiting.
    pub(super) async fn push(&self, mut item: Item) {
        loop {
            // Before the look, so that room made after it is noticed.
            let room = self.room.notified();
            match self.lock().offer(item) {
                Ok(()) => break,
                Err(back) => item = back,
            }
            room.await;
        }
        self.filled.notify_one();
    }

    /// Queues a line or counts it as lost; never waits.
    pub(super) fn push_or_lose(&self, item: Item, source: &Arc<Source>) {
        let mut queues = self.lock();
        if queues.offer(item).is_err() {
            queues.lose(source, Loss::QueueFull, 1);
        }
        drop(queues);
        self.filled.notify_one();
    }

    /// Counts lines as lost.
    pub(super) fn lose(&self, source: &Arc<Source>, loss: Loss, count: u64) {
        self.lock().lose(source, loss, count);
        self.filled.notify_one();
    }

    /// The next batch, never empty.
    pub(super) async fn next_batch(&self) -> Vec<Item> {
        loop {
            let (batch, pause) = {
                let mut queues = self.lock();
                (queues.fill(Instant::now()), queues.next_pause_ends())
            };
            if !batch.is_empty() {
                self.room.notify_waiters();
                return batch;
            }
            match pause {
                Some(end) => {
                    let _ = tokio::time::timeout_at(end.into(), self.filled.notified()).await;
                }
                None => self.filled.notified().await,
            }
        }
    }
}
