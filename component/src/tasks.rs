//! The background tasks of one daemon: all hang on one token, stopping waits for all of them, and none ends in silence.
//!
//! | kind | for | when it ends by itself | when it panics |
//! |---|---|---|---|
//! | [`Tasks::spawn`] | what the daemon cannot do without | the daemon ends | the daemon ends |
//! | [`Tasks::spawn_service`] | the same, but it tidies up when told to stop | the daemon ends | the daemon ends |
//! | [`Tasks::spawn_job`] | one piece of work | – | logged |
//! | [`Tasks::spawn_graceful`] | one piece of work that is not cut off | – | logged |

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A daemon's tasks. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tasks {
    token: CancellationToken,
    tracker: TaskTracker,
    failure: watch::Sender<Option<String>>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self {
            token: CancellationToken::new(),
            tracker: TaskTracker::new(),
            failure: watch::Sender::new(None),
        }
    }
}

impl Tasks {
    /// No tasks yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The token that is cancelled when the daemon stops.
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Runs a task that the daemon cannot do without, until the daemon stops.
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let token = self.token.clone();
        self.spawn_service(name, async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Runs a task that the daemon cannot do without, and that ends by itself once the token is cancelled.
    pub fn spawn_service<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let tasks = self.clone();
        self.tracker.spawn(async move {
            let outcome = AssertUnwindSafe(task).catch_unwind().await;
            if tasks.token.is_cancelled() {
                return;
            }
            match outcome {
                Ok(()) => tasks.fail(format!("the task \"{name}\" ended")),
                Err(panic) => {
                    tasks.fail(format!("the task \"{name}\" panicked: {}", words(&panic)))
                }
            }
        });
    }

    /// Runs one piece of work until it is done or the daemon stops, whichever is first.
    pub fn spawn_job<F>(&self, name: &'static str, job: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let token = self.token.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                () = token.cancelled() => {}
                () = logged(name, job) => {}
            }
        });
    }

    /// Runs one piece of work that watches the token itself, if at all, and ends after tidying up.
    pub fn spawn_graceful<F>(&self, job: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tracker.spawn(logged(std::any::type_name::<F>(), job));
    }

    /// Calls `tick` every `period`, first after one period.
    pub fn every<F, Fut>(&self, name: &'static str, period: Duration, mut tick: F)
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send,
    {
        self.spawn(name, async move {
            let mut timer = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
            timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                timer.tick().await;
                tick().await;
            }
        });
    }

    /// Notes that the daemon cannot go on, for what is not one of these tasks. The first reason stays.
    pub fn fail(&self, reason: String) {
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            failure.get_or_insert(reason);
            first
        });
    }

    /// Why the daemon cannot go on.
    pub fn failure(&self) -> Option<String> {
        self.failure.borrow().clone()
    }

    /// Waits until the daemon cannot go on, and says why.
    pub async fn failed(&self) -> String {
        let mut failure = self.failure.subscribe();
        match failure.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            // The sender lives in `self`.
            Err(_) => std::future::pending().await,
        }
    }

    /// Stops everything; tasks that do not end within `limit` are counted in a warning and left.
    pub async fn shutdown(&self, limit: Duration) {
        self.token.cancel();
        self.tracker.close();
        if tokio::time::timeout(limit, self.tracker.wait())
            .await
            .is_err()
        {
            tracing::warn!(
                left = self.tracker.len(),
                ?limit,
                "background tasks did not stop in time"
            );
        }
    }
}

async fn logged(name: &'static str, job: impl Future<Output = ()>) {
    if let Err(panic) = AssertUnwindSafe(job).catch_unwind().await {
        tracing::error!(job = name, "a background job panicked: {}", words(&panic));
    }
}

fn words(panic: &Box<dyn Any + Send>) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_critical_task_that_ends_or_panics_fails_the_daemon() {
        let ended = Tasks::new();
        ended.spawn("inbox", async {});
        assert_eq!(ended.failed().await, "the task \"inbox\" ended");
        let panicked = Tasks::new();
        panicked.spawn_service("accept", async { panic!("no more {}", "room") });
        let reason = panicked.failed().await;
        assert_eq!(reason, "the task \"accept\" panicked: no more room");
        panicked.fail("a later reason".into());
        assert_eq!(panicked.failure(), Some(reason));
    }

    #[tokio::test]
    async fn a_tick_that_panics_fails_the_daemon() {
        let tasks = Tasks::new();
        tasks.every("prune", Duration::from_millis(1), || async {
            panic!("tick")
        });
        assert!(tasks.failed().await.contains("\"prune\""));
    }

    #[tokio::test]
    async fn jobs_may_end_or_panic_and_a_stop_is_no_failure() {
        let tasks = Tasks::new();
        tasks.spawn_job("staging", async {});
        tasks.spawn_job("staging", async { panic!("this one only") });
        tasks.spawn_graceful(async { panic!("this one only") });
        tasks.spawn("inbox", std::future::pending());
        let token = tasks.token();
        tasks.spawn_service("accept", async move { token.cancelled().await });
        tasks.shutdown(Duration::from_secs(60)).await;
        assert_eq!(tasks.failure(), None);
    }
}
