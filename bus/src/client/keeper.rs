//! The task that keeps a connection for as long as anybody holds the client: whatever ends a connection, a panic included, is
//! followed by another one with all subscriptions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::address::{Credentials, Pool};
use super::state::Shared;
use super::{handshake, session};

/// The same reason is logged again after this long.
const REMINDER: Duration = Duration::from_secs(60);
/// A connection that lasted this long was a good one: the next attempt follows at once.
const GOOD: Duration = Duration::from_secs(1);

/// Who connects, and where to.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) pool: Pool,
    pub(super) credentials: Credentials,
    pub(super) name: String,
}

/// Runs until `stop`.
pub(super) async fn keep(mut target: Target, shared: Arc<Shared>, stop: CancellationToken) {
    let mut failures = 0;
    let mut log = ReasonLog::default();
    loop {
        let begun = Instant::now();
        let one = tokio::spawn(once(target.clone(), Arc::clone(&shared)));
        let abort = one.abort_handle();
        let ended = tokio::select! {
            () = stop.cancelled() => {
                abort.abort();
                shared.close("the client was closed");
                return;
            }
            ended = one => ended,
        };
        let was_connected = shared.is_connected();
        let reason = match ended {
            Ok((pool, reason)) => {
                target.pool = pool;
                reason
            }
            Err(panic) => {
                tracing::error!(%panic, "the task of the bus connection failed; it is replaced");
                format!("internal error: {panic}")
            }
        };
        shared.close(&reason);
        log.note(&reason, was_connected);
        failures = if was_connected && begun.elapsed() > GOOD {
            0
        } else {
            failures + 1
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(delay(failures)) => {}
        }
    }
}

/// One attempt and, when it succeeds, one session; the pool with what was learned, and why it ended.
async fn once(mut target: Target, shared: Arc<Shared>) -> (Pool, String) {
    let address = target.pool.next();
    let place = address.display();
    let reason = match handshake::connect(&address, &target.credentials, &target.name).await {
        Err(error) => format!("{place}: {error}"),
        Ok(link) => {
            let error = session::run(link, &shared, &mut target.pool, &address).await;
            let user = user(&address.credentials, &target.credentials);
            format!("{place}{user}: {error}")
        }
    };
    if shared.is_connected() {
        target.pool.worked(&address);
    }
    // Also after a good session: another server is more likely to be there.
    target.pool.failed(&address);
    (target.pool, reason)
}

/// For the log: a login that was refused names its user.
fn user(own: &Credentials, fallback: &Credentials) -> String {
    let used = match own {
        Credentials::None => fallback,
        own => own,
    };
    match used {
        Credentials::User { user, .. } => format!(" as user \"{user}\""),
        Credentials::Token(_) => " with a token".into(),
        Credentials::None => String::new(),
    }
}

/// At once after a good connection, then 20 ms doubling to 2 s, with jitter so that a server that comes back is not stormed.
fn delay(failures: u32) -> Duration {
    let base = match failures {
        0 => 0,
        n => (10u64 << n.min(8)).min(2_000),
    };
    Duration::from_millis(base + rand::random_range(0..50))
}

/// Says why there is no connection: at once when the reason is new, then once a minute.
#[derive(Default)]
struct ReasonLog {
    last: Option<(String, Instant)>,
}

impl ReasonLog {
    fn note(&mut self, reason: &str, was_connected: bool) {
        let known = self.last.as_ref();
        let recent = known.is_some_and(|(r, at)| r == reason && at.elapsed() < REMINDER);
        if recent && !was_connected {
            return;
        }
        if was_connected {
            tracing::warn!(reason, "lost the message bus; reconnecting");
        } else {
            tracing::warn!(reason, "cannot reach the message bus; will retry");
        }
        self.last = Some((reason.to_owned(), Instant::now()));
    }
}
