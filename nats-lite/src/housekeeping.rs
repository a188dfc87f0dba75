//! Giving memory back after a burst.

use std::rc::Rc;
use std::time::Duration;

use crate::hub::Hub;

/// Departures within this time are tidied up together.
const CALM: Duration = Duration::from_secs(1);

/// Runs as long as the server: some time after clients have left, the spare buffers go too.
pub(crate) async fn tidy(hub: Rc<Hub>) {
    loop {
        hub.departed.notified().await;
        tokio::time::sleep(CALM).await;
        hub.buffers.forget_spares();
    }
}
