//! What waits for the loggregator: one queue per app with a bound of its own, and batches that are filled in turns. Pure: no IO and
//! no clock of its own.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bus::log::{BATCH_BYTES, LogLine};

use super::Source;
use super::line::{self, Loss};
use crate::limits::{LOG_BATCH_LINES, LOG_QUEUE_BYTES, LOG_QUEUES_BYTES, LOG_TURN_BYTES};

/// What a request holds beside its lines: the names around them.
const FRAME_BYTES: usize = 64;

/// One line, encoded once.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) app: Arc<str>,
    /// Its JSON text.
    pub(super) text: Vec<u8>,
    seq: u64,
    source: Arc<Source>,
    /// Follows what was acknowledged.
    cursor: Option<Arc<AtomicU64>>,
    /// It reports a loss itself.
    pub(super) is_report: bool,
}

impl Item {
    pub(super) fn new(
        source: &Arc<Source>,
        line: &LogLine,
        cursor: Option<Arc<AtomicU64>>,
    ) -> Self {
        Self {
            app: Arc::from(line.app_id.as_str()),
            // A line is plain strings and numbers.
            text: serde_json::to_vec(line).unwrap_or_default(),
            seq: line.seq,
            source: Arc::clone(source),
            cursor,
            is_report: false,
        }
    }

    fn report(source: &Arc<Source>, loss: Loss, count: u64) -> Self {
        Self {
            is_report: true,
            ..Self::new(source, &line::lost(source, loss, count), None)
        }
    }

    /// Nothing more will be done for it: a DEA that starts again need not send it.
    pub(super) fn is_settled(&self) {
        if let Some(cursor) = &self.cursor {
            cursor.fetch_max(self.seq, Ordering::AcqRel);
        }
    }
}

/// Lines that are lost and not reported yet.
#[derive(Debug)]
struct Losses {
    source: Arc<Source>,
    counts: [u64; Loss::KINDS],
}

#[derive(Debug, Default)]
struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
    losses: Option<Losses>,
    /// Its readers have no room: it sits out until then.
    paused: Option<Instant>,
}

impl Queue {
    fn push(&mut self, item: Item) {
        self.bytes += item.text.len();
        self.items.push_back(item);
    }

    fn push_front(&mut self, item: Item) {
        self.bytes += item.text.len();
        self.items.push_front(item);
    }

    fn pop(&mut self) -> Option<Item> {
        let item = self.items.pop_front()?;
        self.bytes -= item.text.len();
        Some(item)
    }

    /// Puts what is lost into words, after all that was queued before.
    fn report_losses(&mut self) {
        let Some(losses) = self.losses.take() else {
            return;
        };
        for (loss, count) in Loss::ALL.into_iter().zip(losses.counts) {
            if count > 0 {
                self.push(Item::report(&losses.source, loss, count));
            }
        }
    }
}

/// The queues of one DEA.
#[derive(Debug, Default)]
pub(super) struct Queues {
    apps: HashMap<Arc<str>, Queue>,
    /// Apps with something to send, the next one first.
    turns: VecDeque<Arc<str>>,
}

impl Queues {
    /// Bytes that one app may have waiting now.
    fn allowance(&self) -> usize {
        LOG_QUEUE_BYTES.min(LOG_QUEUES_BYTES / self.apps.len().max(1))
    }

    /// Queues a line, or gives it back when the app has its share waiting.
    pub(super) fn offer(&mut self, item: Item) -> Result<(), Item> {
        let allowance = self.allowance();
        let queue = self.queue(&item.app);
        // One line always fits, whatever its size.
        if !queue.items.is_empty() && queue.bytes + item.text.len() > allowance {
            return Err(item);
        }
        queue.report_losses();
        queue.push(item);
        Ok(())
    }

    /// Counts lines that nobody will see; the log says so as soon as it can.
    pub(super) fn lose(&mut self, source: &Arc<Source>, loss: Loss, count: u64) {
        if count == 0 {
            return;
        }
        let queue = self.queue(&Arc::from(source.app_id.as_str()));
        let losses = queue.losses.get_or_insert_with(|| Losses {
            source: Arc::clone(source),
            counts: [0; Loss::KINDS],
        });
        losses.counts[loss as usize] += count;
    }

    /// Lines that the loggregator refused for good.
    pub(super) fn refuse(&mut self, item: &Item) {
        item.is_settled();
        if !item.is_report {
            self.lose(&item.source, Loss::Refused, 1);
        }
    }

    /// What was not taken comes back to the front, in its order; those apps sit out until `until`.
    pub(super) fn put_back(&mut self, items: Vec<Item>, until: Instant) {
        for item in items.into_iter().rev() {
            let queue = self.queue(&item.app);
            queue.paused = Some(until);
            queue.push_front(item);
        }
    }

    /// The next batch: apps take turns. Empty when there is nothing to send now.
    pub(super) fn fill(&mut self, now: Instant) -> Vec<Item> {
        let (mut batch, mut bytes) = (Vec::new(), FRAME_BYTES);
        let mut resting = Vec::new();
        while let Some(app) = self.turns.pop_front() {
            let Some(queue) = self.apps.get_mut(&app) else {
                continue;
            };
            if queue.paused.is_some_and(|until| until > now) {
                resting.push(app);
                continue;
            }
            queue.paused = None;
            let before = batch.len();
            let is_full = take_turn(queue, &mut batch, &mut bytes);
            if queue.items.is_empty() && queue.losses.is_none() {
                self.apps.remove(&app);
            } else if batch.len() == before {
                // Its line is too large for what is left: it comes first next time.
                self.turns.push_front(app);
            } else {
                self.turns.push_back(app);
            }
            if is_full {
                break;
            }
        }
        self.turns.extend(resting);
        batch
    }

    /// When the first of the apps that sit out may go on; `None` when none does.
    pub(super) fn next_pause_ends(&self) -> Option<Instant> {
        self.apps.values().filter_map(|queue| queue.paused).min()
    }

    fn queue(&mut self, app: &Arc<str>) -> &mut Queue {
        if !self.apps.contains_key(app) {
            self.turns.push_back(Arc::clone(app));
        }
        self.apps.entry(Arc::clone(app)).or_default()
    }
}

/// One app's turn; true when the batch takes no more.
fn take_turn(queue: &mut Queue, batch: &mut Vec<Item>, bytes: &mut usize) -> bool {
    let mut taken = 0;
    while taken < LOG_TURN_BYTES {
        if queue.items.is_empty() {
            queue.report_losses();
        }
        let Some(next) = queue.items.front() else {
            return false;
        };
        let size = next.text.len() + 1;
        let is_full = batch.len() == LOG_BATCH_LINES || *bytes + size > BATCH_BYTES;
        if is_full && !batch.is_empty() {
            return true;
        }
        taken += size;
        *bytes += size;
        batch.extend(queue.pop());
    }
    false
}

#[cfg(test)]
mod tests;
