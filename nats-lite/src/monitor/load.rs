//! The share of a core the server uses, for `/varz`.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Two readings closer together than this say little; the earlier answer is given again.
const SHORTEST: Duration = Duration::from_secs(1);

#[derive(Clone, Copy)]
struct Reading {
    at: Instant,
    run_time: Duration,
}

/// Remembers when it was last asked.
pub(crate) struct Load {
    last: Cell<Reading>,
    percent: Cell<f64>,
}

impl Default for Load {
    /// Measures from now on; must be made on the server's own thread.
    fn default() -> Self {
        let first = Reading {
            at: Instant::now(),
            run_time: own_run_time(),
        };
        Self {
            last: Cell::new(first),
            percent: Cell::new(0.0),
        }
    }
}

impl Load {
    /// Percent of one core since the last question (100 is a whole core), with one decimal.
    pub(super) fn percent(&self, now: Instant) -> f64 {
        let last = self.last.get();
        let elapsed = now.saturating_duration_since(last.at);
        if elapsed >= SHORTEST {
            let run_time = own_run_time();
            let busy = run_time.saturating_sub(last.run_time);
            self.last.set(Reading { at: now, run_time });
            self.percent.set(share(busy, elapsed));
        }
        self.percent.get()
    }
}

fn share(busy: Duration, elapsed: Duration) -> f64 {
    (busy.as_secs_f64() / elapsed.as_secs_f64() * 1000.0).round() / 10.0
}

/// How long this thread has run, by the scheduler; zero where /proc does not say.
fn own_run_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().unwrap_or_default();
    Duration::from_nanos(nanoseconds.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_has_worked_has_used_a_part_of_a_core() {
        let load = Load::default();
        let mut sum = 0_u64;
        while own_run_time() == load.last.get().run_time {
            sum = std::hint::black_box(sum + 1);
        }
        let later = load.last.get().at + SHORTEST;
        assert_eq!(load.percent(load.last.get().at), 0.0, "too soon to tell");
        assert!(load.percent(later) >= 0.0 && load.last.get().at == later);
        assert_eq!(
            share(Duration::from_millis(123), Duration::from_secs(1)),
            12.3
        );
    }
}
