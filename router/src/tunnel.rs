//! After a 101: bytes both ways until either side ends.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

use crate::proxy::Exchange;

/// Joins the two halves. No idle timeout, as the original.
pub(crate) async fn run(client: OnUpgrade, instance: OnUpgrade, mut exchange: Exchange) {
    let (client, instance) = match tokio::try_join!(client, instance) {
        Ok(halves) => halves,
        Err(error) => return tracing::debug!(%error, "an upgrade did not come about"),
    };
    let copied = copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(instance)).await;
    match copied {
        Ok((_, to_client)) => exchange.count(usize::try_from(to_client).unwrap_or(usize::MAX)),
        Err(error) => tracing::debug!(%error, "a tunnel was broken off"),
    }
    exchange.finish();
}
