//! Waiting for conditions.

use std::fmt::Display;
use std::time::{Duration, Instant};

/// The ceiling of every wait: far above what is expected, so that only a
/// platform that is stuck reaches it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Repeats `look` until it gives a value.
///
/// # Panics
/// After [`PATIENCE`], with what was waited for and the last thing seen.
pub fn eventually<T, E: Display>(what: &str, mut look: impl FnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look() {
            Ok(value) => return value,
            Err(seen) if Instant::now() > deadline => {
                panic!(
                    "{what}: not within {} s; last seen: {seen}",
                    PATIENCE.as_secs()
                )
            }
            Err(_) => std::thread::sleep(Duration::from_millis(25)),
        }
    }
}
