//! Requests through the router while a story acts, every answer kept.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use reqwest::Client;

use super::wait::eventually;

/// Clients asking at once, each on a connection of its own.
const CLIENTS: usize = 8;
/// Questions of one client at most: a load ends by itself.
const MOST: usize = 100_000;

/// `status body` of an answer, or why there was none, and how often it came.
pub type Answers = BTreeMap<String, u64>;

/// A running load on one host name.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    answers: Mutex<Answers>,
    count: AtomicU64,
    over: AtomicBool,
}

impl Load {
    /// Starts asking `url` for this host.
    pub fn start(url: String, host: String) -> Self {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime needs only descriptors");
            runtime.block_on(async {
                let clients = (0..CLIENTS).map(|_| ask(&of_thread, &url, &host));
                let clients: Vec<_> = clients.map(Box::pin).collect();
                join(clients).await;
            });
        });
        Self {
            shared,
            thread: Some(thread),
        }
    }

    /// Waits until that many more answers have come.
    ///
    /// # Panics
    /// When they do not come.
    pub fn flow(&self, more: u64) {
        let wanted = self.shared.count.load(Ordering::Relaxed) + more;
        eventually(&format!("{more} more answers"), || {
            match self.shared.count.load(Ordering::Relaxed) {
                enough if enough >= wanted => Ok(()),
                few => Err(format!("{few} of {wanted}: {:?}", self.so_far())),
            }
        });
    }

    /// Forgets what has come so far.
    pub fn forget(&self) {
        self.lock().clear();
    }

    /// What has come since the start or since [`Load::forget`].
    pub fn so_far(&self) -> Answers {
        self.lock().clone()
    }

    /// Ends the load; what has come.
    pub fn end(mut self) -> Answers {
        self.finish();
        self.so_far()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Answers> {
        self.shared
            .answers
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn finish(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.finish();
    }
}

async fn join<F: Future<Output = ()> + Unpin>(futures: Vec<F>) {
    let mut open = futures;
    std::future::poll_fn(|context| {
        open.retain_mut(|future| std::pin::Pin::new(future).poll(context).is_pending());
        match open.is_empty() {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
}

async fn ask(shared: &Shared, url: &str, host: &str) {
    let Ok(client) = Client::builder().no_proxy().build() else {
        return;
    };
    for _ in 0..MOST {
        if shared.over.load(Ordering::Relaxed) {
            return;
        }
        let seen = match answer(&client, url, host).await {
            Ok(seen) => seen,
            Err(error) => format!("{error:?}"),
        };
        let mut answers = shared
            .answers
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *answers.entry(seen).or_default() += 1;
        shared.count.fetch_add(1, Ordering::Relaxed);
    }
}

async fn answer(client: &Client, url: &str, host: &str) -> Result<String, reqwest::Error> {
    let request = client.get(url).header("Host", host);
    let response = request
        .timeout(std::time::Duration::from_secs(15))
        .send()
        .await?;
    let status = response.status().as_u16();
    Ok(format!("{status} {}", response.text().await?.trim()))
}
