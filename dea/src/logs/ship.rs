//! From the queues to the loggregator: one request at a time, sent until it is answered.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::log::LogAnswer;
use component::BasicAuth;
use tokio_util::sync::CancellationToken;

use super::queue::Item;
use super::waiting::Waiting;

/// How long an app whose readers are slow sits out.
const DEFERRED: Duration = Duration::from_millis(20);
/// Longest pause before a request is sent again.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Refusals in a row from which on there is a pause after each.
const MANY_REFUSALS: u32 = 32;
/// How long the last words of a stopping DEA may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why a request was not taken.
#[derive(Debug)]
enum Failed {
    /// The server is away, or wants something else of all requests: sending it again helps.
    Away(String),
    /// These lines are refused, now and later.
    Refused(String),
}

pub(super) struct Shipper {
    pub(super) http: reqwest::Client,
    pub(super) target: Option<String>,
    pub(super) auth: BasicAuth,
    pub(super) waiting: Arc<Waiting>,
}

/// What is on its way: parts of one batch, the next one last, and what comes back to the queues.
#[derive(Default)]
struct UnderWay {
    parts: Vec<Vec<Item>>,
    deferred: Vec<Item>,
    apps: HashSet<Arc<str>>,
    refusals: u32,
}

/// Ships until the DEA stops.
pub(super) async fn ship(shipper: Shipper, stop: CancellationToken) {
    let mut under_way = UnderWay::default();
    tokio::select! {
        () = shipper.forever(&mut under_way) => {}
        () = stop.cancelled() => {}
    }
    // One try, shortly.
    let _ = tokio::time::timeout(LAST_WORDS, shipper.last_words(under_way)).await;
}

impl Shipper {
    async fn forever(&self, under_way: &mut UnderWay) {
        loop {
            under_way.parts.push(self.waiting.next_batch().await);
            self.deliver(under_way).await;
        }
    }

    async fn last_words(&self, under_way: UnderWay) {
        for part in under_way.parts.into_iter().rev() {
            let _ = self.send(&part).await;
        }
        let end_of_pauses = Instant::now() + 2 * DEFERRED;
        loop {
            let batch = self.waiting.lock().fill(end_of_pauses);
            if batch.is_empty() || self.send(&batch).await.is_err() {
                return;
            }
        }
    }

    /// Every part is taken, given back or refused line by line. May be dropped at any point: what was not answered is
    /// still among the parts.
    async fn deliver(&self, under_way: &mut UnderWay) {
        while let Some(part) = under_way.parts.pop() {
            let part = under_way.hold_back(part);
            if part.is_empty() {
                continue;
            }
            under_way.parts.push(part);
            let answer = self.send_until_answered(under_way).await;
            let Some(part) = under_way.parts.pop() else {
                return;
            };
            match answer {
                Ok(answer) => under_way.settle(part, answer.deferred),
                Err(reason) => self.refused(under_way, part, &reason).await,
            }
        }
        let back = std::mem::take(&mut under_way.deferred);
        under_way.apps.clear();
        if !back.is_empty() {
            self.waiting
                .lock()
                .put_back(back, Instant::now() + DEFERRED);
        }
    }

    /// A refused part is cut in two until the line that is meant stands alone.
    async fn refused(&self, under_way: &mut UnderWay, mut part: Vec<Item>, reason: &str) {
        under_way.refusals += 1;
        if let [line] = &part[..] {
            tracing::warn!(app = %line.app, reason, "the loggregator refuses a log line: it is lost");
            self.waiting.lock().refuse(line);
        } else {
            let rest = part.split_off(part.len() / 2);
            under_way.parts.extend([rest, part]);
        }
        if under_way.refusals > MANY_REFUSALS {
            tokio::time::sleep(LONGEST_PAUSE / 20).await;
        }
    }

    /// The last part, again and again; the intake is idempotent by sequence number.
    async fn send_until_answered(&self, under_way: &UnderWay) -> Result<LogAnswer, String> {
        let part = under_way
            .parts
            .last()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let mut pause = Duration::from_millis(50);
        loop {
            match self.send(part).await {
                Ok(answer) => return Ok(answer),
                Err(Failed::Refused(reason)) => return Err(reason),
                Err(Failed::Away(reason)) if pause > LONGEST_PAUSE / 2 => tracing::warn!(
                    reason,
                    lines = part.len(),
                    "the loggregator takes no log lines; they wait"
                ),
                Err(Failed::Away(_)) => {}
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn send(&self, part: &[Item]) -> Result<LogAnswer, Failed> {
        let Some(target) = &self.target else {
            return Ok(LogAnswer::default());
        };
        let request = self
            .http
            .post(target)
            .basic_auth(&self.auth.user, Some(&self.auth.password))
            .header(reqwest::header::CONTENT_TYPE, "application/json")
            .body(body(part));
        let away = |e: reqwest::Error| Failed::Away(e.without_url().to_string());
        let answer = request.send().await.map_err(away)?;
        let status = answer.status();
        if status.is_success() {
            // A peer that answers otherwise has taken the lines all the same.
            return Ok(answer.json().await.unwrap_or_default());
        }
        let reason = format!("HTTP status {status}");
        Err(match is_about_the_lines(status.as_u16()) {
            true => Failed::Refused(reason),
            false => Failed::Away(reason),
        })
    }
}

/// Whether other lines may be taken where these are not. Credentials, addresses and rates are about all.
fn is_about_the_lines(status: u16) -> bool {
    (400..500).contains(&status) && !matches!(status, 401 | 403 | 404 | 405 | 407 | 408 | 425 | 429)
}

/// The text of a [`bus::log::LogBatch`] whose lines are encoded already.
fn body(part: &[Item]) -> Vec<u8> {
    let size: usize = part.iter().map(|item| item.text.len() + 1).sum();
    let mut text = Vec::with_capacity(size + 64);
    text.extend_from_slice(b"{\"may_defer\":true,\"lines\":[");
    for (n, item) in part.iter().enumerate() {
        if n > 0 {
            text.push(b',');
        }
        text.extend_from_slice(&item.text);
    }
    text.extend_from_slice(b"]}");
    text
}

impl UnderWay {
    /// Later lines of an app that was deferred must not overtake its earlier ones.
    fn hold_back(&mut self, part: Vec<Item>) -> Vec<Item> {
        let (held, free) = part
            .into_iter()
            .partition(|item| self.apps.contains(&item.app));
        self.deferred.extend::<Vec<Item>>(held);
        free
    }

    /// Lines of an answered part: done, but for the last ones of deferred apps.
    fn settle(&mut self, part: Vec<Item>, mut deferred: BTreeMap<String, usize>) {
        self.refusals = 0;
        let mut kept = Vec::new();
        for item in part.into_iter().rev() {
            match deferred.get_mut(&*item.app).filter(|left| **left > 0) {
                Some(left) => {
                    *left -= 1;
                    self.apps.insert(Arc::clone(&item.app));
                    kept.push(item);
                }
                None => item.is_settled(),
            }
        }
        self.deferred.extend(kept.into_iter().rev());
    }
}
