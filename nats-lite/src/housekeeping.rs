//! Giving memory back to the system after a burst.

use std::rc::Rc;
use std::time::Duration;

use crate::hub::Hub;

/// Departures within this time are tidied up together.
const CALM: Duration = Duration::from_secs(1);

/// glibc joins small freed pieces, and returns what lies free at the top of the heap, only when it
/// gets back a piece of at least 64 KB; one below its limit for separate mappings.
const ENOUGH: usize = 96 * 1024;

/// glibc keeps up to 7 freed pieces of each small size for the next request; of that many the
/// highest are more than it keeps.
const PIECES: usize = 16;

/// Runs as long as the server: some time after clients have left, memory nobody needs goes back.
pub(crate) async fn tidy(hub: Rc<Hub>) {
    loop {
        hub.departed.notified().await;
        tokio::time::sleep(CALM).await;
        hub.buffers.forget_spares();
        swap_kept_pieces();
        drop(room(ENOUGH));
    }
}

/// Makes glibc keep low pieces of each small size in place of high ones: a single kept piece at the
/// top of the heap holds back everything below it.
fn swap_kept_pieces() {
    for size in (24..=1032).step_by(16) {
        let mut pieces: Vec<Vec<u8>> = (0..PIECES).map(|_| room(size)).collect();
        pieces.sort_unstable_by_key(|piece| piece.as_ptr().addr());
        // The first to be dropped are kept.
        pieces.into_iter().for_each(drop);
    }
}

/// An allocation the compiler must not leave out.
fn room(size: usize) -> Vec<u8> {
    std::hint::black_box(Vec::with_capacity(size))
}
