//! Giving memory back to the system after a burst.

use std::rc::Rc;
use std::time::Duration;

use crate::hub::Hub;

/// Departures within this time are tidied up together.
const CALM: Duration = Duration::from_secs(1);

/// glibc joins small freed pieces, and returns what lies free at the top of the heap, only when it
/// gets back a piece of at least 64 KB; one below its limit for separate mappings.
const ENOUGH: usize = 96 * 1024;

/// Runs as long as the server: some time after clients have left, memory nobody needs goes back.
pub(crate) async fn tidy(hub: Rc<Hub>) {
    loop {
        hub.departed.notified().await;
        tokio::time::sleep(CALM).await;
        hub.buffers.forget_spares();
        drop(std::hint::black_box(Vec::<u8>::with_capacity(ENOUGH)));
    }
}
