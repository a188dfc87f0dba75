//! Lame duck mode: how a server sends its clients elsewhere before it ends.

use std::rc::Rc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::close::Close;
use crate::hub::Hub;

/// Announces the end, waits for the grace period, closes the clients spread over the configured time, ends the server.
pub(crate) async fn waddle(hub: Rc<Hub>, stop: CancellationToken) {
    tracing::info!("Entering lame duck mode, stop accepting new clients");
    hub.lame_duck.set(true);
    hub.announce();
    let limits = hub.limits();
    tokio::time::sleep(Duration::from_secs_f64(limits.lame_duck_grace_period)).await;
    tracing::info!("Closing existing clients");
    let ids: Vec<u64> = hub.peers.borrow().keys().copied().collect();
    let pause = pause(limits.lame_duck_duration, ids.len());
    for (number, id) in ids.into_iter().enumerate() {
        if number > 0 {
            tokio::time::sleep(pause).await;
        }
        let peer = hub.peers.borrow().get(&id).cloned();
        if let Some(peer) = peer {
            peer.close(Close::Shutdown);
        }
    }
    stop.cancel();
}

/// Time between two clients, at most a second: a few clients do not have to wait for the whole duration.
fn pause(duration: f64, clients: usize) -> Duration {
    Duration::from_secs_f64((duration / clients.max(1) as f64).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_clients_share_the_duration_and_few_do_not_wait_for_it() {
        assert_eq!(pause(120.0, 12_000), Duration::from_millis(10));
        assert_eq!(pause(120.0, 3), Duration::from_secs(1));
        assert_eq!(pause(0.5, 0), Duration::from_millis(500));
    }
}
