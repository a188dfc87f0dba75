//! Requests one after the other, and requests at a rate.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;

/// How long each answer took, and how many were not what was asked for.
#[derive(Default)]
pub(crate) struct Times {
    pub(crate) took: Vec<Duration>,
    pub(crate) errors: usize,
}

impl Times {
    fn add(&mut self, took: Duration, is_good: bool) {
        self.took.push(took);
        self.errors += usize::from(!is_good);
    }

    /// Milliseconds which this share of the answers took at most.
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let mut sorted = self.took.clone();
        sorted.sort_unstable();
        let at = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len()) - 1;
        sorted[at].as_secs_f64() * 1_000.0
    }
}

/// So many, each when the one before is answered.
pub(crate) async fn in_turn(count: usize, ask: impl AsyncFn(usize) -> bool) -> Times {
    let mut times = Times::default();
    for at in 0..count {
        let begun = Instant::now();
        let is_good = ask(at).await;
        times.add(begun.elapsed(), is_good);
    }
    times
}

/// At a rate, for a while, by whichever client is free; each answer's time counts from the moment its request was due.
pub(crate) async fn at_rate(
    rate: u32,
    clients: usize,
    length: Duration,
    ask: impl AsyncFn(usize) -> bool,
) -> Times {
    let pace = Duration::from_secs(1) / rate;
    let count = (length.as_secs_f64() * f64::from(rate)) as usize;
    let begun = tokio::time::Instant::now();
    let next = AtomicUsize::new(0);
    let client = async || {
        let mut times = Times::default();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= count {
                return times;
            }
            let due = begun + pace * u32::try_from(at).unwrap();
            tokio::time::sleep_until(due).await;
            let is_good = ask(at).await;
            times.add(due.elapsed(), is_good);
        }
    };
    let all = join_all((0..clients).map(|_| client())).await;
    let mut times = Times::default();
    for one in all {
        times.took.extend(one.took);
        times.errors += one.errors;
    }
    times
}
