//! What a container may use, and which figures make no sense.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Less memory than this ends a shell before its first line.
const LEAST_MEMORY: u64 = 1 << 20;
/// The packet filter's queue must hold at least one whole packet.
const LEAST_BURST: u64 = 2 << 10;
/// The kernel counts a burst in 32 bits.
const MOST_BURST: u64 = u32::MAX as u64 / 4;

/// Limits; `None` leaves the resource unlimited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes of memory; swap is limited to the same figure together with it.
    pub memory_bytes: Option<u64>,
    /// Relative CPU shares (the original's `cpu.shares`).
    pub cpu_shares: Option<u64>,
    /// CPU time at most, in percent of one CPU (250 = two and a half).
    pub cpu_percent: Option<u64>,
    /// Bytes on disk.
    pub disk_bytes: Option<u64>,
    /// Files and directories on disk.
    pub disk_inodes: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Network traffic, each direction for itself.
    pub bandwidth: Option<Bandwidth>,
}

/// How much may pass a container's link in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bandwidth {
    /// Bytes per second in the long run; 0 takes the limit away again.
    pub rate_bytes: u64,
    /// Bytes that may pass at once after a silence.
    pub burst_bytes: u64,
}

impl Limits {
    /// Refuses figures nothing can run with.
    pub fn check(&self) -> Result<()> {
        at_least("memory", "bytes", self.memory_bytes, LEAST_MEMORY)?;
        at_least("cpu_shares", "shares", self.cpu_shares, 2)?;
        at_least("cpu_percent", "percent", self.cpu_percent, 1)?;
        at_least("disk", "bytes", self.disk_bytes, 1 << 20)?;
        at_least("disk_inodes", "files", self.disk_inodes, 16)?;
        at_least("pids", "processes", self.pids, 1)?;
        let burst = self.bandwidth.filter(|b| b.rate_bytes > 0);
        at_least(
            "bandwidth burst",
            "bytes",
            burst.map(|b| b.burst_bytes),
            LEAST_BURST,
        )?;
        match burst.filter(|b| b.burst_bytes > MOST_BURST) {
            Some(b) => Err(Error::BadLimit {
                resource: "bandwidth burst",
                message: format!("{} bytes; at most {MOST_BURST} are possible", b.burst_bytes),
            }),
            None => Ok(()),
        }
    }

    /// These limits with the given ones of `newer` in their place.
    pub fn updated(&self, newer: &Limits) -> Limits {
        Limits {
            memory_bytes: newer.memory_bytes.or(self.memory_bytes),
            cpu_shares: newer.cpu_shares.or(self.cpu_shares),
            cpu_percent: newer.cpu_percent.or(self.cpu_percent),
            disk_bytes: newer.disk_bytes.or(self.disk_bytes),
            disk_inodes: newer.disk_inodes.or(self.disk_inodes),
            pids: newer.pids.or(self.pids),
            bandwidth: match newer.bandwidth {
                Some(b) => Some(b).filter(|b| b.rate_bytes > 0),
                None => self.bandwidth,
            },
        }
    }
}

fn at_least(resource: &'static str, unit: &str, value: Option<u64>, least: u64) -> Result<()> {
    match value.filter(|value| *value < least) {
        Some(value) => Err(Error::BadLimit {
            resource,
            message: format!("{value} {unit}; at least {least} are needed"),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_figure_nothing_runs_with_names_its_resource() {
        let bandwidth = |rate_bytes, burst_bytes| Limits {
            bandwidth: Some(Bandwidth {
                rate_bytes,
                burst_bytes,
            }),
            ..Limits::default()
        };
        let small = Limits {
            memory_bytes: Some(4096),
            ..Limits::default()
        };
        for (limits, name) in [
            (small, "memory"),
            (bandwidth(1000, 100), "bandwidth burst"),
            (bandwidth(1000, u64::MAX), "bandwidth burst"),
        ] {
            let error = limits.check().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        Limits::default().check().unwrap();
        bandwidth(0, 0).check().unwrap();
    }

    #[test]
    fn a_rate_of_zero_takes_the_limit_away() {
        let limited = |rate_bytes| Limits {
            pids: Some(5),
            bandwidth: Some(Bandwidth {
                rate_bytes,
                burst_bytes: 1 << 16,
            }),
            ..Limits::default()
        };
        let now = Limits::default().updated(&limited(1000));
        assert_eq!(now, limited(1000));
        assert_eq!(now.updated(&Limits::default()), limited(1000));
        assert_eq!(now.updated(&limited(0)).bandwidth, None);
    }
}
