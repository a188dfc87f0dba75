//! Progress in lines: every tenth of the way, so that a log stays readable.

/// Counts towards a total and prints each tenth once.
#[derive(Debug)]
pub struct Progress {
    total: u64,
    told: u64,
}

impl Progress {
    /// Nothing done yet of `total`.
    pub fn of(total: u64) -> Self {
        Self {
            total: total.max(1),
            told: 0,
        }
    }

    /// The tenths to tell when `done` is reached: the newest, if it was not told before.
    pub fn reached(&mut self, done: u64) -> Option<u64> {
        let tenths = done.min(self.total) * 10 / self.total;
        (tenths > self.told).then(|| {
            self.told = tenths;
            tenths * 10
        })
    }
}

/// Bytes as whole MB.
pub fn mb(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tenth_is_told_once_and_never_more_than_all() {
        let mut progress = Progress::of(200);
        let told: Vec<u64> = [0, 10, 20, 39, 40, 199, 200, 300]
            .iter()
            .filter_map(|n| progress.reached(*n))
            .collect();
        assert_eq!(told, [10, 20, 90, 100]);
        assert_eq!(Progress::of(0).reached(0), None);
    }
}
