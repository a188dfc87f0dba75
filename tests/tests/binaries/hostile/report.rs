//! What is printed, and what fails the story.

use std::time::Duration;

use super::daemons::Memory;
use super::good::{Log, Work};
use super::plan::Plan;
use super::tally::Tally;
use super::tenants::{KINDS, Kind};

/// How many times longer the good tenant may wait, where times are judged.
const TIMES: f64 = 2.0;
/// After this the slowest limits have been met: a door gives a connection 15 s for its first head.
const TO_A_LIMIT: Duration = Duration::from_secs(30);

/// All that was seen.
pub(super) struct Report {
    /// How it was done.
    pub(super) plan: Plan,
    /// The good tenant's work before.
    pub(super) before: Work,
    /// And beside hostile ones.
    pub(super) during: Work,
    /// Its log.
    pub(super) log: Log,
    /// What came of each kind of hostility.
    pub(super) tallies: Vec<Tally>,
    /// How long the daemons rested.
    pub(super) rest: Duration,
    /// Their memory.
    pub(super) memory: Vec<Memory>,
    /// Daemons that are not what they were.
    pub(super) changes: Vec<String>,
}

impl Report {
    /// As tables.
    pub(super) fn print(&self) {
        let seconds = self.plan.time.as_secs();
        println!("\nhostile for {seconds} s, seed {}\n", self.plan.seed);
        println!("{:<32} counted", "kind");
        for (kind, tally) in self.kinds() {
            println!("{:<32} {tally}", kind.name);
        }
        self.print_memory();
        self.print_good();
        for slow in self.slow() {
            println!("slow: {slow}");
        }
    }

    fn kinds(&self) -> impl Iterator<Item = (&Kind, &Tally)> {
        let all = KINDS.iter().zip(&self.tallies);
        all.filter(|(kind, _)| kind.is_wanted())
    }

    fn print_memory(&self) {
        let rest = self.rest.as_secs_f64();
        println!(
            "\n{:<20} {:>10} {:>10} {:>10} {:>6}   after {rest:.1} s of rest",
            "daemon, MB", "start", "peak", "end", "ratio"
        );
        for daemon in &self.memory {
            let [start, peak, end] = [daemon.start, daemon.peak, daemon.end].map(mb);
            println!(
                "{:<20} {start:>10.1} {peak:>10.1} {end:>10.1} {:>6.2}",
                daemon.name,
                end / start
            );
        }
    }

    fn print_good(&self) {
        let (before, during) = (&self.before, &self.during);
        println!(
            "\n{:<20} {:>10} {:>10} {:>6}",
            "good tenant", "before", "during", "ratio"
        );
        let counts = |what, of: fn(&Work) -> u64| {
            println!("{what:<20} {:>10} {:>10}", of(before), of(during))
        };
        counts("requests", |w| {
            (w.times.taken.len() + w.times.failures.len()) as u64
        });
        counts("failed", |w| w.times.failures.len() as u64);
        for (what, before, during) in self.times() {
            println!(
                "{what:<20} {:>10.1} {:>10.1} {:>6.2}",
                ms(before),
                ms(during),
                ratio(before, during)
            );
        }
        counts("pushes", |w| w.pushes.len() as u64);
        counts("scalings", |w| w.scalings);
        counts("failed commands", |w| w.failed.len() as u64);
        let log = &self.log;
        println!(
            "\nlog: {} lines written, {} seen, {} missing, {} doubled or out of order, {} lines about gaps\n",
            log.written,
            log.seen,
            log.written.saturating_sub(log.seen),
            log.wrong,
            log.gaps.len()
        );
    }

    fn times(&self) -> [(&'static str, Duration, Duration); 3] {
        let (before, during) = (&self.before, &self.during);
        [
            (
                "answer, p50, ms",
                before.times.percentile(50),
                during.times.percentile(50),
            ),
            (
                "answer, p99, ms",
                before.times.percentile(99),
                during.times.percentile(99),
            ),
            ("push, median, ms", before.push(), during.push()),
        ]
    }

    /// Times that are longer than they may be.
    fn slow(&self) -> Vec<String> {
        let judged = self.times().into_iter().skip(1);
        let slow = judged.filter(|(_, before, during)| ratio(*before, *during) > TIMES);
        let said = slow.map(|(what, before, during)| {
            format!(
                "{what}: {:.1} after {:.1}, more than {TIMES} times",
                ms(during),
                ms(before)
            )
        });
        said.collect()
    }

    /// Every promise that was broken.
    pub(super) fn broken(&self) -> Vec<String> {
        let mut broken = self.changes.clone();
        for work in [&self.before, &self.during] {
            let failures = work
                .times
                .failures
                .iter()
                .map(|f| format!("a request failed: {f}"));
            broken.extend(failures.take(5));
            broken.extend(work.failed.iter().map(|f| format!("a command failed: {f}")));
        }
        let log = &self.log;
        if log.seen != log.written || log.wrong > 0 || !log.gaps.is_empty() {
            broken.push(format!("the good tenant's log: {log:?}"));
        }
        let grown = self.memory.iter().filter(|m| !m.is_back());
        broken.extend(grown.map(|m| format!("memory is not given back: {m:?}")));
        for (kind, tally) in self.kinds() {
            if !tally.any(kind.effect) {
                broken.push(format!("no effect: {} ({tally})", kind.name));
            }
            let is_seen = self.plan.time >= TO_A_LIMIT && !kind.limit.is_empty();
            if is_seen && !tally.any(kind.limit) {
                broken.push(format!("not limited: {} ({tally})", kind.name));
            }
        }
        if self.plan.judge {
            broken.extend(self.slow());
        }
        broken
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn ratio(before: Duration, during: Duration) -> f64 {
    during.as_secs_f64() / before.as_secs_f64().max(f64::MIN_POSITIVE)
}
