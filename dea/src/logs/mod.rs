//! Log lines on their way to the loggregator: a queue per app, batches in which apps take turns, acknowledged, sent again.
//! A full queue holds the readers of that app back, so its lines wait in the keepers' rings on disk rather than being lost
//! here; what is lost in the end is counted, and the count stands in the app's log.
//!
//! `queue` decides and does no IO; `ship` speaks to the loggregator; `waiting` is between them.

mod line;
mod queue;
mod ship;
mod waiting;

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bus::log::{INTAKE_PATH, LogStream};
use component::Tasks;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use warden::Output;

use self::line::Loss;
use self::queue::Item;
use self::ship::Shipper;
use self::waiting::Waiting;
use crate::config::LoggregatorConfig;

/// Apps whose own lines are numbered; beyond, the DEA takes a new name and numbers from 1.
const NUMBERED_APPS: usize = 10_000;
/// Between two items of an output that is only counted any more.
const COUNTING: Duration = Duration::from_secs(1);

/// How lines of one origin are labelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// App guid.
    pub app_id: String,
    /// `App`, `DEA`, `STG`.
    pub kind: &'static str,
    /// Instance index, or the DEA's index.
    pub instance: String,
    /// What the sequence numbers belong to.
    pub instance_id: String,
}

/// The way out. Cheap to clone.
#[derive(Clone)]
pub struct Logs {
    waiting: Arc<Waiting>,
    /// Numbers the DEA's own lines; the lock covers number and queue, so that
    /// lines leave in the order of their numbers.
    own: Arc<Mutex<Numbering>>,
}

/// The DEA's own lines, numbered by app and kind: apps overtake each other on the way.
struct Numbering {
    /// This run of the DEA.
    id: String,
    last: HashMap<(String, &'static str), u64>,
}

impl Numbering {
    fn new() -> Self {
        Self {
            id: bus::ids::hex32(),
            last: HashMap::new(),
        }
    }

    /// What the next number of such a line belongs to, and the number.
    fn next(&mut self, source: &Source) -> (String, u64) {
        let key = (source.app_id.clone(), source.kind);
        if self.last.len() >= NUMBERED_APPS && !self.last.contains_key(&key) {
            *self = Self::new();
        }
        let last = self.last.entry(key).or_default();
        *last += 1;
        (format!("{}-{}", self.id, source.app_id), *last)
    }
}

impl Logs {
    /// Starts the shipper.
    pub fn start(config: &LoggregatorConfig, tasks: &Tasks) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .build()?;
        let logs = Self {
            waiting: Arc::default(),
            own: Arc::new(Mutex::new(Numbering::new())),
        };
        let shipper = Shipper {
            http,
            target: target(config),
            auth: config.auth.clone(),
            waiting: Arc::clone(&logs.waiting),
        };
        tasks.spawn_service("log shipper", ship::ship(shipper, tasks.token()));
        Ok(logs)
    }

    /// One line of the DEA itself. Never waits: one that its app's queue has no
    /// room for is counted.
    pub fn line(&self, source: &Source, stream: LogStream, text: &str) {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let (instance_id, seq) = own.next(source);
        let source = Arc::new(Source {
            instance_id,
            ..source.clone()
        });
        let line = line::line(&source, seq, line::now_ns(), stream, text.to_owned());
        self.waiting
            .push_or_lose(Item::new(&source, &line, None), &source);
    }

    /// Ships a job's output until it ends, or until `over`: what is left then is counted. `cursor` follows the last line
    /// that needs no sending again.
    pub fn pump(
        &self,
        mut output: mpsc::Receiver<Output>,
        source: Source,
        cursor: Arc<AtomicU64>,
        over: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (waiting, source) = (Arc::clone(&self.waiting), Arc::new(source));
        async move {
            let mut lost = 0;
            while let Some(item) = next(&mut output, &over).await {
                let count = line::count(&item);
                let line = line::of_output(&source, item);
                let item = Item::new(&source, &line, Some(Arc::clone(&cursor)));
                tokio::select! {
                    biased;
                    () = waiting.push(item) => {}
                    () = over.cancelled() => lost += count,
                }
            }
            if over.is_cancelled() {
                lost += rest(&mut output).await;
                waiting.lose(&source, Loss::TooLate, lost);
            }
        }
    }
}

fn target(config: &LoggregatorConfig) -> Option<String> {
    let url = config.url.trim_end_matches('/');
    (!url.is_empty()).then(|| format!("{url}{INTAKE_PATH}"))
}

/// The next item of an output, unless it is over.
async fn next(output: &mut mpsc::Receiver<Output>, over: &CancellationToken) -> Option<Output> {
    tokio::select! {
        biased;
        () = over.cancelled() => None,
        item = output.recv() => item,
    }
}

/// Counts what an ended job still has to say.
async fn rest(output: &mut mpsc::Receiver<Output>) -> u64 {
    let mut count = 0;
    while let Ok(Some(item)) = tokio::time::timeout(COUNTING, output.recv()).await {
        count += line::count(&item);
    }
    count
}

#[cfg(test)]
mod tests;
