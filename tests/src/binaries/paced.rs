//! Questions to an app at a steady pace, with the time each answer took.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use reqwest::Client;

use super::platform::Platform;

/// Clients that ask, each on connections of its own.
const CLIENTS: u32 = 4;
/// From one question of a client to its next one.
const PACE: Duration = Duration::from_millis(50);
/// An answer that has not come after this is a failure.
const LIMIT: Duration = Duration::from_secs(15);

/// What came of the questions.
#[derive(Debug, Clone, Default)]
pub struct Times {
    /// How long each answer with status 200 took.
    pub taken: Vec<Duration>,
    /// What came instead of the others.
    pub failures: Vec<String>,
}

impl Times {
    /// The time that so many of a hundred answers did not exceed.
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.taken.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        let at = (sorted.len() * percent / 100).min(last);
        sorted.get(at).copied().unwrap_or_default()
    }
}

/// Questions that go on until it is ended.
#[derive(Debug)]
pub struct Paced {
    over: Arc<AtomicBool>,
    times: Arc<Mutex<Times>>,
    threads: Vec<JoinHandle<()>>,
}

impl Platform {
    /// Asks the router for `/` of this host, twenty times a second for each of four clients.
    pub fn paced(&self, host: &str) -> Paced {
        let settings = self.settings();
        let domain = settings["domain"].as_str().unwrap_or_default();
        let url = format!("http://127.0.0.1:{}/", settings["router_port"]);
        Paced::start(&url, &format!("{host}.{domain}"))
    }
}

impl Paced {
    fn start(url: &str, host: &str) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let times = Arc::new(Mutex::new(Times::default()));
        let threads = (0..CLIENTS).map(|_| {
            let (over, times) = (Arc::clone(&over), Arc::clone(&times));
            let (url, host) = (url.to_owned(), host.to_owned());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .expect("a runtime needs only descriptors");
                runtime.block_on(ask(&over, &times, &url, &host));
            })
        });
        let threads = threads.collect();
        Self {
            over,
            times,
            threads,
        }
    }

    /// What has come since the start or the last call.
    pub fn take(&self) -> Times {
        std::mem::take(&mut *self.times.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends it; what has come since the last [`Paced::take`].
    pub fn end(mut self) -> Times {
        self.finish();
        self.take()
    }

    fn finish(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        self.finish();
    }
}

async fn ask(over: &AtomicBool, times: &Mutex<Times>, url: &str, host: &str) {
    let client = Client::builder().no_proxy().timeout(LIMIT).build();
    let client = client.expect("a client without certificates needs nothing");
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        let answer = complete(&client, url, host).await;
        let taken = began.elapsed();
        keep(times, taken, answer);
        tokio::time::sleep(PACE.saturating_sub(taken)).await;
    }
}

fn keep(times: &Mutex<Times>, taken: Duration, answer: Result<u16, reqwest::Error>) {
    let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
    match answer {
        Ok(200) => times.taken.push(taken),
        Ok(other) => times.failures.push(format!("status {other}")),
        Err(error) => times.failures.push(format!("{error:?}")),
    }
}

async fn complete(client: &Client, url: &str, host: &str) -> Result<u16, reqwest::Error> {
    let response = client.get(url).header("Host", host).send().await?;
    let status = response.status().as_u16();
    response.bytes().await?;
    Ok(status)
}
