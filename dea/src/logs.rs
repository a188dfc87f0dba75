//! Log lines on their way to the loggregator: batched, acknowledged, retried. A
//! full queue holds the readers back, so lines wait in the keepers' rings on disk
//! rather than being lost here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bus::log::{INTAKE_PATH, LogBatch, LogLine, LogStream};
use component::{BasicAuth, Tasks};
use tokio::sync::mpsc;
use warden::{Output, Stream};

use crate::config::LoggregatorConfig;

/// Lines waiting for the loggregator.
const QUEUE: usize = 4096;
/// Most lines of one request.
const BATCH: usize = 512;
/// Longest message of one line, bytes; the rest is cut with a mark.
const LONGEST: usize = 64 * 1024;

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

struct Item {
    line: LogLine,
    cursor: Option<Arc<AtomicU64>>,
}

/// The way out. Cheap to clone.
#[derive(Clone)]
pub struct Logs {
    queue: mpsc::Sender<Item>,
    /// Numbers the DEA's own lines; the lock covers number and queue, so that
    /// lines leave in the order of their numbers.
    own: Arc<Mutex<Numbering>>,
}

struct Numbering {
    /// What the numbers belong to: this run of the DEA.
    id: String,
    next: u64,
}

impl Logs {
    /// Starts the shipper.
    pub fn start(config: &LoggregatorConfig, tasks: &Tasks) -> Result<Self, reqwest::Error> {
        let (queue, items) = mpsc::channel(QUEUE);
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .build()?;
        let target = (!config.url.is_empty())
            .then(|| format!("{}{INTAKE_PATH}", config.url.trim_end_matches('/')));
        tasks.spawn_graceful(ship(
            items,
            Shipper {
                http,
                target,
                auth: config.auth.clone(),
            },
            tasks.token(),
        ));
        Ok(Self {
            queue,
            own: Arc::new(Mutex::new(Numbering {
                id: bus::ids::hex32(),
                next: 1,
            })),
        })
    }

    /// One line of the DEA itself. Never waits: with a full queue it is dropped
    /// and counted in the DEA's own log.
    pub fn line(&self, source: &Source, stream: LogStream, text: &str) {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let source = Source {
            instance_id: own.id.clone(),
            ..source.clone()
        };
        let line = line(&source, own.next, now_ns(), stream, text.to_owned());
        own.next += 1;
        if self.queue.try_send(Item { line, cursor: None }).is_err() {
            tracing::warn!(app = %source.app_id, "log queue is full; a line of the DEA was dropped");
        }
    }

    /// Ships a job's output until it ends; `cursor` follows the last line that the
    /// loggregator has acknowledged.
    pub fn pump(
        &self,
        mut output: mpsc::Receiver<Output>,
        source: Source,
        cursor: Arc<AtomicU64>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let queue = self.queue.clone();
        async move {
            while let Some(item) = output.recv().await {
                let line = to_line(&source, item);
                if queue
                    .send(Item {
                        line,
                        cursor: Some(Arc::clone(&cursor)),
                    })
                    .await
                    .is_err()
                {
                    return;
                }
            }
        }
    }
}

fn to_line(source: &Source, item: Output) -> LogLine {
    match item {
        Output::Line {
            seq,
            at_ns,
            stream,
            data,
        } => {
            let stream = match stream {
                Stream::Stdout => LogStream::Out,
                Stream::Stderr => LogStream::Err,
            };
            line(
                source,
                seq,
                at_ns,
                stream,
                String::from_utf8_lossy(&data).into_owned(),
            )
        }
        Output::Gap { from, to } => {
            let text = format!(
                "{} log lines were lost (number {from} to {to}): written faster than they could be read",
                to - from + 1
            );
            let source = Source {
                kind: "DEA",
                ..source.clone()
            };
            // Unnumbered: the lost numbers are in the text.
            line(&source, 0, now_ns(), LogStream::Err, text)
        }
    }
}

fn line(
    source: &Source,
    seq: u64,
    timestamp_ns: i64,
    stream: LogStream,
    mut message: String,
) -> LogLine {
    if message.len() > LONGEST {
        let cut = (0..=LONGEST)
            .rev()
            .find(|&n| message.is_char_boundary(n))
            .unwrap_or(0);
        message.truncate(cut);
        message.push_str(" [cut]");
    }
    LogLine {
        app_id: source.app_id.clone(),
        source_type: source.kind.to_owned(),
        source_instance: source.instance.clone(),
        instance_id: source.instance_id.clone(),
        seq,
        timestamp_ns,
        stream,
        message,
    }
}

fn now_ns() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_nanos() as i64)
}

struct Shipper {
    http: reqwest::Client,
    target: Option<String>,
    auth: BasicAuth,
}

async fn ship(
    mut items: mpsc::Receiver<Item>,
    shipper: Shipper,
    stop: tokio_util::sync::CancellationToken,
) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            n = items.recv_many(&mut batch, BATCH) => if n == 0 { return },
            () = stop.cancelled() => break,
        }
        let delivered = tokio::select! {
            () = shipper.deliver(&batch) => true,
            () = stop.cancelled() => false,
        };
        if !delivered {
            break;
        }
        batch.clear();
    }
    // The last words of a stopping DEA: one try, shortly.
    while let Ok(item) = items.try_recv() {
        batch.push(item);
    }
    let _ = tokio::time::timeout(Duration::from_secs(2), shipper.try_deliver(&batch)).await;
}

impl Shipper {
    /// Tries until the batch is taken; the intake is idempotent by sequence number.
    async fn deliver(&self, batch: &[Item]) {
        let mut wait = Duration::from_millis(50);
        while let Err(reason) = self.try_deliver(batch).await {
            if wait > Duration::from_secs(1) {
                tracing::warn!(
                    reason,
                    lines = batch.len(),
                    "the loggregator takes no log lines; they wait"
                );
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(Duration::from_secs(2));
        }
    }

    async fn try_deliver(&self, batch: &[Item]) -> Result<(), String> {
        let Some(target) = self.target.as_ref().filter(|_| !batch.is_empty()) else {
            return Ok(());
        };
        let body = LogBatch {
            lines: batch.iter().map(|i| i.line.clone()).collect(),
        };
        let request = self
            .http
            .post(target)
            .basic_auth(&self.auth.user, Some(&self.auth.password))
            .json(&body);
        let answer = request
            .send()
            .await
            .map_err(|e| e.without_url().to_string())?;
        match answer.status() {
            // A batch the other end cannot read will not become readable.
            s if s.is_success() || s.as_u16() == 400 => {}
            s => return Err(format!("HTTP status {s}")),
        }
        for item in batch {
            if let Some(cursor) = &item.cursor {
                cursor.fetch_max(item.line.seq, Ordering::AcqRel);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        Source {
            app_id: "a".into(),
            kind: "App",
            instance: "0".into(),
            instance_id: "i".into(),
        }
    }

    #[test]
    fn a_gap_becomes_a_line_that_counts_the_loss() {
        let line = to_line(&source(), Output::Gap { from: 3, to: 12 });
        assert_eq!(line.source_type, "DEA");
        assert!(
            line.message.starts_with("10 log lines were lost"),
            "{}",
            line.message
        );
    }

    #[test]
    fn long_lines_are_cut_at_a_character() {
        let text = "é".repeat(LONGEST);
        let cut = line(&source(), 1, 0, LogStream::Out, text);
        assert!(cut.message.len() <= LONGEST + 6 && cut.message.ends_with("[cut]"));
    }

    #[tokio::test]
    async fn the_cursor_moves_only_when_the_loggregator_has_taken_the_lines() {
        use axum::extract::State;
        use axum::http::StatusCode;
        use std::sync::Mutex;
        type Seen = Arc<Mutex<Vec<u64>>>;
        let seen: Seen = Arc::default();
        let refusals = Arc::new(AtomicU64::new(2));
        let app = axum::Router::new()
            .route(
                INTAKE_PATH,
                axum::routing::post({
                    let refusals = Arc::clone(&refusals);
                    move |State(seen): State<Seen>, axum::Json(batch): axum::Json<LogBatch>| async move {
                        if refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
                            return StatusCode::SERVICE_UNAVAILABLE;
                        }
                        seen.lock().expect("lock").extend(batch.lines.iter().map(|l| l.seq));
                        StatusCode::OK
                    }
                }),
            )
            .with_state(Arc::clone(&seen));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("bind");
        let url = format!("http://{}", listener.local_addr().expect("addr"));
        let tasks = Tasks::new();
        component::serve(listener, app, &tasks);
        let logs = Logs::start(
            &LoggregatorConfig {
                url,
                auth: BasicAuth::default(),
            },
            &tasks,
        )
        .expect("client");

        let (tx, rx) = mpsc::channel(10);
        let cursor = Arc::new(AtomicU64::new(0));
        tokio::spawn(logs.pump(rx, source(), Arc::clone(&cursor)));
        for seq in 1..=3 {
            let item = Output::Line {
                seq,
                at_ns: 0,
                stream: Stream::Stdout,
                data: b"x".to_vec(),
            };
            tx.send(item).await.expect("pump is alive");
        }
        while cursor.load(Ordering::SeqCst) < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let mut got = seen.lock().expect("lock").clone();
        got.dedup();
        assert_eq!(got, [1, 2, 3]);
        assert_eq!(
            refusals.load(Ordering::SeqCst),
            0,
            "the refusals were used up"
        );
        tasks.shutdown(Duration::from_secs(5)).await;
    }
}
