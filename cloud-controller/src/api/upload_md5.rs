//! MD5 (RFC 1321), only to compare the `Content-MD5` of old DEAs. Not for protection.

/// Shift amounts per round and step.
const SHIFTS: [[u32; 4]; 4] = [
    [7, 12, 17, 22],
    [5, 9, 14, 20],
    [4, 11, 16, 23],
    [6, 10, 15, 21],
];

/// A running MD5.
pub(super) struct Md5 {
    state: [u32; 4],
    pending: Vec<u8>,
    length: u64,
}

impl Default for Md5 {
    fn default() -> Md5 {
        Md5 {
            state: [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476],
            pending: Vec::with_capacity(64),
            length: 0,
        }
    }
}

impl Md5 {
    /// Adds bytes.
    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        self.length = self.length.wrapping_add(bytes.len() as u64);
        if !self.pending.is_empty() {
            let take = bytes.len().min(64 - self.pending.len());
            self.pending.extend_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
            if self.pending.len() == 64 {
                let block = std::mem::take(&mut self.pending);
                self.block(&block);
            }
        }
        let mut blocks = bytes.chunks_exact(64);
        for block in &mut blocks {
            self.block(block);
        }
        self.pending.extend_from_slice(blocks.remainder());
    }

    /// The digest.
    pub(super) fn finish(mut self) -> [u8; 16] {
        let bits = self.length.wrapping_mul(8);
        let mut padding = vec![0x80u8];
        while (self.pending.len() + padding.len()) % 64 != 56 {
            padding.push(0);
        }
        padding.extend_from_slice(&bits.to_le_bytes());
        self.update(&padding);
        let mut out = [0; 16];
        for (place, word) in out.chunks_exact_mut(4).zip(self.state) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        out
    }

    fn block(&mut self, block: &[u8]) {
        let mut words = [0u32; 16];
        for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        }
        let [mut a, mut b, mut c, mut d] = self.state;
        for step in 0..64usize {
            let (mix, word) = match step / 16 {
                0 => ((b & c) | (!b & d), step),
                1 => ((d & b) | (!d & c), (5 * step + 1) % 16),
                2 => (b ^ c ^ d, (3 * step + 5) % 16),
                _ => (c ^ (b | !d), (7 * step) % 16),
            };
            let constant = (((step + 1) as f64).sin().abs() * 4_294_967_296.0) as u32;
            let sum = a
                .wrapping_add(mix)
                .wrapping_add(constant)
                .wrapping_add(words[word]);
            (a, d, c) = (d, c, b);
            b = b.wrapping_add(sum.rotate_left(SHIFTS[step / 16][step % 4]));
        }
        for (state, add) in self.state.iter_mut().zip([a, b, c, d]) {
            *state = state.wrapping_add(add);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex_of(parts: &[&[u8]]) -> String {
        let mut md5 = Md5::default();
        for part in parts {
            md5.update(part);
        }
        hex::encode(md5.finish())
    }

    #[test]
    fn digests_are_those_of_rfc_1321() {
        assert_eq!(hex_of(&[b""]), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(hex_of(&[b"abc"]), "900150983cd24fb0d6963f7d28e17f72");
        let digits: &[u8] =
            b"12345678901234567890123456789012345678901234567890123456789012345678901234567890";
        assert_eq!(hex_of(&[digits]), "57edf4a22be3c955ac49da2e2107b67a");
        assert_eq!(
            hex_of(&[&digits[..7], &digits[7..70], &digits[70..]]),
            "57edf4a22be3c955ac49da2e2107b67a"
        );
    }
}
