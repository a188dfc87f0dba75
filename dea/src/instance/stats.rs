//! CPU, memory and disk of a running instance, from two samples.

use bus::dea::Usage;
use warden::Info;

/// The last two samples.
#[derive(Debug, Clone, Copy, Default)]
pub struct Samples {
    last: Option<Sample>,
    cpu: f64,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: f64,
    cpu_ns: u64,
    memory: u64,
    disk: u64,
}

impl Samples {
    /// Takes a measurement made at `now` (Unix seconds).
    pub fn add(&mut self, now: f64, info: &Info) {
        if let Some(before) = self.last {
            let wall_ns = (now - before.at) * 1e9;
            if wall_ns > 0.0 {
                self.cpu = info.cpu_ns.saturating_sub(before.cpu_ns) as f64 / wall_ns;
            }
        }
        self.last = Some(Sample {
            at: now,
            cpu_ns: info.cpu_ns,
            memory: info.memory_bytes,
            disk: info.disk_bytes,
        });
    }

    /// Usage as `dea.find.droplet` shows it: cpu is 0 before two samples.
    pub fn usage(&self, now: f64) -> Usage {
        let when = chrono::DateTime::from_timestamp(now as i64, 0).unwrap_or_default();
        Usage {
            time: when.format("%Y-%m-%d %H:%M:%S %z").to_string(),
            cpu: self.cpu,
            mem: self.last.map_or(0, |s| s.memory),
            disk: self.last.map_or(0, |s| s.disk),
        }
    }

    /// Bytes of memory at the last sample.
    pub fn memory(&self) -> u64 {
        self.last.map_or(0, |s| s.memory)
    }
}
