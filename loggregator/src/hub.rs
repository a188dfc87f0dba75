//! Lines in, recent lines and live streams out.
//!
//! A burst is paced: lines that the readers of an app have no room for are for their sender to keep and send again
//! ([`Hub::offer`]); for senders that cannot, the intake waits a moment ([`Hub::pace`]). A reader that does not catch up in that moment is not waited for again for a while: it
//! loses the oldest lines of its own backlog and is told how many.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bus::log::{LogAnswer, LogBatch, LogLine, LogStream};
use tokio::sync::{Notify, broadcast};

use crate::config::Config;
use crate::numbering::{Numbering, Verdict};
use crate::ring::Ring;

/// How long readers of one app are waited for.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long an app whose readers did not catch up is not waited for again.
const DISTRUST: Duration = Duration::from_secs(30);

/// Counters since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Lines accepted.
    pub accepted: u64,
    /// Lines that came twice and were dropped.
    pub duplicates: u64,
    /// Lines whose number was skipped by their sender.
    pub missing: u64,
    /// Recent lines pushed out by newer ones.
    pub displaced: u64,
    /// Lines slow readers lost.
    pub lagged: u64,
}

/// The log server's memory. Cheap to clone.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    per_app: usize,
    total: usize,
    backlog: usize,
    state: Mutex<State>,
    lagged: AtomicU64,
    // Some reader has taken a line.
    taken: Notify,
}

#[derive(Default)]
struct State {
    apps: HashMap<String, App>,
    numbering: Numbering,
    counters: Counters,
    bytes: usize,
    clock: u64,
}

struct App {
    ring: Ring,
    /// As long as somebody reads: a backlog has its full size from the beginning, and most apps have no reader.
    live: Option<broadcast::Sender<Arc<LogLine>>>,
    touched: u64,
    /// Since when its readers have had no room.
    crowded: Option<Instant>,
    distrusted: Option<Instant>,
}

impl App {
    fn readers(&self) -> usize {
        self.live
            .as_ref()
            .map_or(0, broadcast::Sender::receiver_count)
    }

    /// Lines that the slowest reader has not taken.
    fn waiting(&self) -> usize {
        self.live.as_ref().map_or(0, broadcast::Sender::len)
    }

    /// Whether its readers have no room for a line and are worth waiting for. From the first look on they are waited for a while,
    /// and after that not for a longer while.
    fn is_to_wait(&mut self, backlog: usize, now: Instant) -> bool {
        if self.waiting() < backlog {
            self.crowded = None;
            return false;
        }
        if self.distrusted.is_some_and(|at| now < at + DISTRUST) {
            return false;
        }
        let since = *self.crowded.get_or_insert(now);
        if now < since + PATIENCE {
            return true;
        }
        (self.crowded, self.distrusted) = (None, Some(now));
        false
    }

    /// Hands a line to the readers; the backlog goes with the last of them.
    fn send(&mut self, line: Arc<LogLine>) {
        self.live.take_if(|live| live.send(line).is_err());
    }
}

/// What a stream reader gets next.
#[derive(Debug)]
pub enum Next {
    /// A line.
    Line(Arc<LogLine>),
    /// This many lines were lost because the reader was too slow.
    Lost(u64),
}

/// A live stream of one app's lines.
pub struct Stream {
    hub: Hub,
    live: broadcast::Receiver<Arc<LogLine>>,
}

impl Stream {
    /// The next line, or how many were lost; `None` when the app's lines are forgotten (reconnect).
    pub async fn next(&mut self) -> Option<Next> {
        match self.live.recv().await {
            Ok(line) => {
                self.hub.0.taken.notify_waiters();
                Some(Next::Line(line))
            }
            Err(broadcast::error::RecvError::Lagged(lost)) => {
                self.hub.0.lagged.fetch_add(lost, Ordering::Relaxed);
                Some(Next::Lost(lost))
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

impl Hub {
    /// An empty hub.
    pub fn new(config: &Config) -> Hub {
        Hub(Arc::new(Inner {
            per_app: config.recent_bytes_per_app,
            total: config.recent_bytes_total,
            backlog: config.stream_backlog_lines.max(1),
            state: Mutex::default(),
            lagged: AtomicU64::new(0),
            taken: Notify::new(),
        }))
    }

    /// Takes what readers have room for, without waiting: lines of an app whose readers are behind are for their sender to
    /// keep, and hold up nobody else's.
    pub fn offer(&self, batch: LogBatch) -> LogAnswer {
        let (mut state, now) = (self.lock(), Instant::now());
        let mut answer = LogAnswer::default();
        for line in batch.lines {
            if let Some(count) = answer.deferred.get_mut(&line.app_id) {
                *count += 1;
                continue;
            }
            let app = state.apps.get_mut(&line.app_id);
            if app.is_some_and(|app| app.is_to_wait(self.0.backlog, now)) {
                answer.deferred.insert(line.app_id, 1);
            } else if state.judge(&line) {
                self.store(&mut state, line);
                answer.accepted += 1;
            }
        }
        answer
    }

    /// Takes a batch in parts that fit into the readers' backlog, waiting up to two seconds for readers to catch up.
    pub async fn pace(&self, batch: LogBatch) -> usize {
        let mut lines = batch.lines;
        let mut taken = 0;
        while !lines.is_empty() {
            let rest = lines.split_off(lines.len().min(self.0.backlog.div_ceil(2)));
            let part = LogBatch {
                lines,
                may_defer: false,
            };
            self.wait_for_readers(&part).await;
            taken += self.accept(part);
            lines = rest;
        }
        taken
    }

    async fn wait_for_readers(&self, part: &LogBatch) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let taken = self.0.taken.notified();
            let Some(app) = self.crowded(part) else {
                return;
            };
            if tokio::time::timeout_at(deadline, taken).await.is_err() {
                let mut state = self.lock();
                self.app(&mut state, &app).distrusted = Some(Instant::now());
                return;
            }
        }
    }

    /// An app of this part whose slowest reader has no room for it and deserves to be waited for.
    fn crowded(&self, part: &LogBatch) -> Option<String> {
        let state = self.lock();
        let mut apps = part.lines.iter().map(|line| &line.app_id);
        let crowded = |guid: &&String| {
            state.apps.get(*guid).is_some_and(|app| {
                let distrusted = app.distrusted.is_some_and(|at| at.elapsed() < DISTRUST);
                !distrusted && app.waiting() + part.lines.len() > self.0.backlog
            })
        };
        apps.find(crowded).cloned()
    }

    /// Takes a batch at once; returns how many lines were new. Repeating a batch changes nothing.
    pub fn accept(&self, batch: LogBatch) -> usize {
        let mut state = self.lock();
        batch
            .lines
            .into_iter()
            .filter(|line| state.judge(line))
            .collect::<Vec<_>>()
            .into_iter()
            .map(|line| self.store(&mut state, line))
            .count()
    }

    /// Adds one line of the platform itself.
    pub fn say(&self, app: &str, source: &str, message: impl Into<String>, timestamp_ns: i64) {
        let line = LogLine {
            app_id: app.to_owned(),
            source_type: source.to_owned(),
            source_instance: "0".into(),
            instance_id: String::new(),
            seq: 0,
            timestamp_ns,
            stream: LogStream::Out,
            message: message.into(),
        };
        self.accept(LogBatch {
            lines: vec![line],
            may_defer: false,
        });
    }

    /// Recent lines of an app, oldest first.
    pub fn recent(&self, app: &str) -> Vec<Arc<LogLine>> {
        self.lock()
            .apps
            .get(app)
            .map(|app| app.ring.lines())
            .unwrap_or_default()
    }

    /// Follows an app from now on.
    pub fn follow(&self, app: &str) -> Stream {
        let mut state = self.lock();
        let live = &mut self.app(&mut state, app).live;
        let live = match live {
            Some(live) => live.subscribe(),
            None => {
                let (sender, receiver) = broadcast::channel(self.0.backlog);
                *live = Some(sender);
                receiver
            }
        };
        Stream {
            hub: self.clone(),
            live,
        }
    }

    /// Streams of an app that are being read.
    #[cfg(test)]
    pub(crate) fn readers(&self, app: &str) -> usize {
        let state = self.lock();
        let app = state.apps.get(app);
        app.map_or(0, App::readers)
    }

    /// Counters since the start.
    pub fn counters(&self) -> Counters {
        Counters {
            lagged: self.0.lagged.load(Ordering::Relaxed),
            ..self.lock().counters
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        // The state is consistent after every statement, so a panic elsewhere does not spoil it.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn app<'a>(&self, state: &'a mut State, app: &str) -> &'a mut App {
        state.clock += 1;
        let touched = state.clock;
        let entry = state.apps.entry(app.to_owned()).or_insert_with(|| App {
            ring: Ring::default(),
            live: None,
            touched,
            crowded: None,
            distrusted: None,
        });
        entry.touched = touched;
        entry
    }

    fn store(&self, state: &mut State, mut line: LogLine) {
        bus::log::cut(&mut line.message);
        let line = Arc::new(line);
        let limit = self.0.per_app;
        let app = self.app(state, &line.app_id);
        let before = app.ring.bytes();
        let displaced = app.ring.push(line.clone(), limit);
        let after = app.ring.bytes();
        app.send(line);
        state.bytes = state.bytes + after - before;
        state.counters.accepted += 1;
        state.counters.displaced += displaced;
        while state.bytes > self.0.total && state.forget_quietest() {}
    }
}

impl State {
    fn judge(&mut self, line: &LogLine) -> bool {
        match self
            .numbering
            .judge(&line.instance_id, &line.source_type, line.seq)
        {
            Verdict::New { missing } => {
                self.counters.missing += missing;
                true
            }
            Verdict::Duplicate => {
                self.counters.duplicates += 1;
                false
            }
        }
    }

    /// Drops the recent lines of the app silent for longest; its readers keep their stream.
    fn forget_quietest(&mut self) -> bool {
        let quietest = self
            .apps
            .iter()
            .filter(|(_, app)| app.ring.len() > 0)
            .min_by_key(|(_, app)| app.touched)
            .map(|(guid, _)| guid.clone());
        let Some(app) = quietest.and_then(|guid| self.apps.get_mut(&guid)) else {
            return false;
        };
        let ring = std::mem::take(&mut app.ring);
        self.bytes -= ring.bytes();
        self.counters.displaced += ring.len() as u64;
        self.apps
            .retain(|_, app| app.ring.len() > 0 || app.readers() > 0);
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn line(app: &str, seq: u64, text: &str) -> LogLine {
        LogLine {
            app_id: app.into(),
            source_type: "App".into(),
            source_instance: "0".into(),
            instance_id: format!("{app}-i"),
            seq,
            timestamp_ns: seq as i64,
            stream: LogStream::Out,
            message: text.into(),
        }
    }

    fn batch(lines: Vec<LogLine>) -> LogBatch {
        LogBatch {
            lines,
            may_defer: false,
        }
    }

    #[tokio::test]
    async fn an_app_has_a_backlog_only_while_somebody_reads() {
        let hub = Hub::new(&Config::default());
        let has_backlog = || hub.lock().apps["a"].live.is_some();
        hub.accept(batch(vec![line("a", 1, "before")]));
        assert!(!has_backlog());
        let (mut one, two) = (hub.follow("a"), hub.follow("a"));
        assert_eq!(hub.readers("a"), 2);
        drop(two);
        hub.accept(batch(vec![line("a", 2, "during")]));
        assert!(matches!(one.next().await, Some(Next::Line(line)) if line.message == "during"));
        drop(one);
        hub.accept(batch(vec![line("a", 3, "after")]));
        assert!(!has_backlog(), "it went with the last reader");
        let mut again = hub.follow("a");
        hub.accept(batch(vec![line("a", 4, "again")]));
        assert!(matches!(again.next().await, Some(Next::Line(line)) if line.message == "again"));
        assert_eq!(hub.recent("a").len(), 4);
    }

    #[test]
    fn a_repeated_batch_is_accepted_once() {
        let hub = Hub::new(&Config::default());
        let lines = vec![line("a", 1, "x"), line("a", 2, "y")];
        assert_eq!(hub.accept(batch(lines.clone())), 2);
        assert_eq!(hub.accept(batch(lines)), 0);
        assert_eq!(hub.recent("a").len(), 2);
        assert_eq!(hub.counters().duplicates, 2);
    }

    #[test]
    fn recent_lines_are_bounded_per_app_and_in_all() {
        let config = Config {
            recent_bytes_per_app: 1_000,
            recent_bytes_total: 1_500,
            ..Config::default()
        };
        let hub = Hub::new(&config);
        for seq in 1..=50 {
            hub.accept(batch(vec![line("old", seq, "0123456789")]));
        }
        assert!(hub.recent("old").len() < 10);
        assert_eq!(hub.recent("old").last().unwrap().seq, 50);
        for seq in 1..=50 {
            hub.accept(batch(vec![line("new", seq, "0123456789")]));
        }
        assert!(
            hub.recent("old").is_empty(),
            "the quiet app is forgotten first"
        );
        assert!(!hub.recent("new").is_empty());
        let counters = hub.counters();
        assert_eq!(
            counters.accepted,
            counters.displaced + hub.recent("new").len() as u64
        );
    }

    #[tokio::test]
    async fn a_burst_larger_than_the_backlog_reaches_a_reader_that_reads() {
        let hub = Hub::new(&Config {
            stream_backlog_lines: 4,
            ..Config::default()
        });
        let mut reader = hub.follow("a");
        let burst = batch((1..=1_000).map(|seq| line("a", seq, "x")).collect());
        let writer = tokio::spawn({
            let hub = hub.clone();
            async move { hub.pace(burst).await }
        });
        for expected in 1..=1_000 {
            match reader.next().await.unwrap() {
                Next::Line(line) => assert_eq!(line.seq, expected),
                Next::Lost(n) => panic!("{n} lines lost before {expected}"),
            }
        }
        assert_eq!(writer.await.unwrap(), 1_000);
    }

    // Were it waited for at every part, this would take a quarter of an hour.
    #[tokio::test]
    async fn a_reader_that_does_not_read_is_waited_for_once() {
        let hub = Hub::new(&Config {
            stream_backlog_lines: 4,
            ..Config::default()
        });
        let _asleep = hub.follow("a");
        let burst = batch((1..=1_000).map(|seq| line("a", seq, "x")).collect());
        assert_eq!(hub.pace(burst).await, 1_000);
    }

    #[tokio::test]
    async fn lines_a_reader_has_no_room_for_are_left_to_their_sender_and_hold_up_nobody() {
        let hub = Hub::new(&Config {
            stream_backlog_lines: 4,
            ..Config::default()
        });
        let mut slow = hub.follow("slow");
        let lines = |from: u64| {
            let pair = |seq| [line("slow", seq, "x"), line("quick", seq, "y")];
            batch((from..=10).flat_map(pair).collect())
        };
        let answer = hub.offer(lines(1));
        assert_eq!(answer.deferred, [("slow".to_owned(), 6)].into());
        assert_eq!((answer.accepted, hub.recent("quick").len()), (14, 10));
        // Its sender comes again, and what it took meanwhile has made room.
        for expected in 1..=2 {
            assert!(matches!(slow.next().await, Some(Next::Line(line)) if line.seq == expected));
        }
        let answer = hub.offer(lines(5));
        assert_eq!(answer.deferred, [("slow".to_owned(), 4)].into());
        assert_eq!(answer.accepted, 2, "the others came before");
        assert_eq!(hub.recent("slow").last().unwrap().seq, 6);
    }

    #[test]
    fn readers_are_waited_for_a_while_and_then_not_for_a_longer_while() {
        let hub = Hub::new(&Config {
            stream_backlog_lines: 1,
            ..Config::default()
        });
        let _asleep = hub.follow("a");
        hub.accept(batch(vec![line("a", 1, "x")]));
        let mut state = hub.lock();
        let app = state.apps.get_mut("a").unwrap();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let waits = [0, 1, 2, 3, 31, 32, 33, 34].map(|second| app.is_to_wait(1, at(second)));
        assert_eq!(waits, [true, true, false, false, false, true, true, false]);
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_what_it_lost_and_blocks_nobody() {
        let hub = Hub::new(&Config {
            stream_backlog_lines: 4,
            ..Config::default()
        });
        let mut slow = hub.follow("a");
        for seq in 1..=10 {
            hub.accept(batch(vec![line("a", seq, "x")]));
        }
        let mut lost = 0;
        let mut seen = Vec::new();
        while seen.last() != Some(&10) {
            match slow.next().await.unwrap() {
                Next::Lost(n) => lost += n,
                Next::Line(line) => seen.push(line.seq),
            }
        }
        assert!(lost > 0);
        assert_eq!(lost + seen.len() as u64, 10);
    }
}
