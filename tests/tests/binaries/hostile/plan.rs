//! How long, by which seed, and whether times are judged.

use std::time::Duration;

use tests::binaries::Noise;

/// What the environment says: `BLOOMERY_HOSTILE_SECONDS`, `BLOOMERY_HOSTILE_SEED`, `BLOOMERY_HOSTILE_JUDGE`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// How long they are hostile.
    pub(super) time: Duration,
    /// Orders, sizes and pauses follow from it.
    pub(super) seed: u64,
    /// Whether times fail the story.
    pub(super) judge: bool,
}

impl Plan {
    /// Reads it.
    pub(super) fn from_environment() -> Self {
        let number = |name: &str, usual| match std::env::var(name) {
            Ok(text) if !text.is_empty() => text
                .parse()
                .unwrap_or_else(|e| panic!("{name} is no number: {text:?}: {e}")),
            _ => usual,
        };
        Self {
            time: Duration::from_secs(number("BLOOMERY_HOSTILE_SECONDS", 45)),
            seed: number("BLOOMERY_HOSTILE_SEED", 1),
            judge: number("BLOOMERY_HOSTILE_JUDGE", 0) == 1,
        }
    }

    /// The dice of one of them.
    pub(super) fn dice(self, which: u64) -> Noise {
        Noise::seeded(self.seed.wrapping_mul(1000).wrapping_add(which))
    }
}
