//! A bounded load on the apps: a few clients that ask one question after the
//! other and check every answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

/// Clients asking at once.
const CLIENTS: usize = 64;
/// Requests that must be without an answer when something is killed.
const ENOUGH_IN_FLIGHT: u64 = 50;
/// Questions of one client at most: a load must end by itself.
const MOST: usize = 200_000;

/// What the load has seen.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Answers with the right body.
    pub(crate) right: AtomicU64,
    /// Status 200 with another body: never acceptable.
    pub(crate) wrong: AtomicU64,
    /// Other statuses and broken connections, which faults may cause.
    pub(crate) failed: AtomicU64,
    /// Questions without an answer yet.
    pub(crate) in_flight: AtomicU64,
    stop: AtomicBool,
}

/// One question and what its answer must contain.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// Host header.
    pub(crate) host: String,
    /// Path.
    pub(crate) path: &'static str,
    /// Part of the right body.
    pub(crate) expect: &'static str,
}

/// A running load.
pub(crate) struct Load {
    /// What it has seen.
    pub(crate) counters: Arc<Counters>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts the clients, each going through the questions in turn.
    pub(crate) fn start(http: &reqwest::Client, router: &str, questions: &[Question]) -> Self {
        let counters = Arc::new(Counters::default());
        let client = |n: usize| {
            let (http, router, counters) = (http.clone(), router.to_owned(), Arc::clone(&counters));
            let mut questions = questions.to_vec();
            let first = n % questions.len();
            questions.rotate_left(first);
            tokio::spawn(async move {
                for question in questions.iter().cycle().take(MOST) {
                    if counters.stop.load(Ordering::Relaxed) {
                        return;
                    }
                    counters.in_flight.fetch_add(1, Ordering::Relaxed);
                    let answer = ask(&http, &router, question).await;
                    counters.in_flight.fetch_sub(1, Ordering::Relaxed);
                    counters.count(answer, question);
                }
            })
        };
        let clients = (0..CLIENTS).map(client).collect();
        Self { counters, clients }
    }

    /// Waits until 50 more right answers have come and 50 requests are in flight, so
    /// that a fault hits a platform at work.
    pub(crate) async fn flowing(&self) -> Result<(), String> {
        let wanted = self.counters.right.load(Ordering::Relaxed) + 50;
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while self.counters.right.load(Ordering::Relaxed) < wanted
            || self.counters.in_flight.load(Ordering::Relaxed) < ENOUGH_IN_FLIGHT
        {
            if std::time::Instant::now() > deadline {
                return Err("the load gets no right answers".into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Ends it and waits for the last answers.
    pub(crate) async fn stop(self) -> Arc<Counters> {
        self.counters.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            let _ = client.await;
        }
        self.counters
    }
}

impl Counters {
    fn count(&self, answer: Result<(u16, String), String>, question: &Question) {
        let counter = match answer {
            Ok((200, body)) if body.contains(question.expect) => &self.right,
            Ok((200, body)) => {
                eprintln!(
                    "wrong body from {}{}: {body:?}",
                    question.host, question.path
                );
                &self.wrong
            }
            Ok(_) | Err(_) => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Asks once: status and body.
pub(crate) async fn ask(
    http: &reqwest::Client,
    router: &str,
    question: &Question,
) -> Result<(u16, String), String> {
    let request = http
        .get(format!("{router}{}", question.path))
        .header("host", &question.host);
    let answer = request
        .timeout(Duration::from_secs(10))
        .send()
        .await
        .map_err(|e| e.to_string())?;
    let status = answer.status().as_u16();
    let body = answer.text().await.map_err(|e| e.to_string())?;
    if status != 200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok((status, body))
}

/// Asks until the answer is right, 60 s at most.
pub(crate) async fn until_right(
    http: &reqwest::Client,
    router: &str,
    question: &Question,
) -> Result<(), String> {
    let mut last = String::from("nothing was asked");
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while std::time::Instant::now() < deadline {
        match ask(http, router, question).await {
            Ok((200, body)) if body.contains(question.expect) => return Ok(()),
            Ok((status, body)) => {
                last = format!(
                    "status {status}: {}",
                    body.chars().take(200).collect::<String>()
                )
            }
            Err(error) => last = error,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(format!(
        "{}{} gives no right answer; the last one: {last}",
        question.host, question.path
    ))
}
