//! Duplicates and gaps by sequence number. Pure.

use std::collections::HashMap;

/// Streams remembered; beyond, the one touched least recently is forgotten.
const MAX_STREAMS: usize = 20_000;

/// What a line's number says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// New; this many lines before it never came.
    New {
        /// Lines missing.
        missing: u64,
    },
    /// Seen before: a sender repeats a batch whose answer it lost.
    Duplicate,
}

/// The last number per (instance id, source type).
#[derive(Debug, Default)]
pub(crate) struct Numbering {
    streams: HashMap<(String, String), (u64, u64)>,
    clock: u64,
}

impl Numbering {
    /// Judges one line. Number 0 means not numbered: always new.
    pub(crate) fn judge(&mut self, instance: &str, source: &str, seq: u64) -> Verdict {
        if seq == 0 {
            return Verdict::New { missing: 0 };
        }
        self.clock += 1;
        let clock = self.clock;
        let key = (instance.to_owned(), source.to_owned());
        match self.streams.get_mut(&key) {
            Some((last, _)) if seq <= *last => Verdict::Duplicate,
            Some((last, touched)) => {
                let missing = seq - *last - 1;
                (*last, *touched) = (seq, clock);
                Verdict::New { missing }
            }
            None => {
                self.make_room();
                self.streams.insert(key, (seq, clock));
                // The first number we see may follow lines sent before we started: no gap.
                Verdict::New { missing: 0 }
            }
        }
    }

    fn make_room(&mut self) {
        if self.streams.len() >= MAX_STREAMS
            && let Some(oldest) = self
                .streams
                .iter()
                .min_by_key(|(_, (_, touched))| *touched)
                .map(|(key, _)| key.clone())
        {
            self.streams.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_duplicates_and_gaps_are_counted() {
        let mut numbering = Numbering::default();
        assert_eq!(numbering.judge("i", "App", 1), Verdict::New { missing: 0 });
        assert_eq!(numbering.judge("i", "App", 1), Verdict::Duplicate);
        assert_eq!(numbering.judge("i", "App", 5), Verdict::New { missing: 3 });
        assert_eq!(
            numbering.judge("i", "STG", 1),
            Verdict::New { missing: 0 },
            "each source counts alone"
        );
        assert_eq!(numbering.judge("j", "App", 9), Verdict::New { missing: 0 });
        assert_eq!(numbering.judge("i", "App", 0), Verdict::New { missing: 0 });
    }
}
