//! Bytes that neither compress nor repeat, the same in every run.

/// An endless supply (xorshift64).
#[derive(Debug, Clone)]
pub struct Noise(u64);

impl Default for Noise {
    fn default() -> Self {
        Self(0x9e37_79b9_7f4a_7c15)
    }
}

impl Noise {
    /// Another supply for each number; 0 is the default one.
    pub fn seeded(seed: u64) -> Self {
        let mut noise = Self::default();
        // Odd times anything but zero stays different; the generator never leaves zero.
        noise.0 ^= seed.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        noise.0 = noise.0.max(1);
        let _ = noise.nth(16);
        noise
    }

    /// A number of the range.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        let span = most.saturating_sub(least).saturating_add(1).max(1);
        least + self.next().unwrap_or_default() % span
    }
}

impl Iterator for Noise {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Some(self.0)
    }
}
