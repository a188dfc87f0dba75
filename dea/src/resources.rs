//! What this host has promised and what it may still promise.

use crate::config::Resources;

/// Sums over the registry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reserved {
    /// MB.
    pub memory_mb: u64,
    /// MB.
    pub disk_mb: u64,
}

/// Something that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shortage {
    /// `memory` or `disk`.
    pub resource: &'static str,
    /// MB asked for.
    pub needed_mb: u64,
    /// MB left.
    pub left_mb: i64,
}

impl Shortage {
    /// The original's exit description of an instance that did not fit.
    pub fn exit_description(&self) -> String {
        format!("Not enough {} resource available.", self.resource)
    }
}

impl Resources {
    /// Promised at most, MB.
    pub fn memory_capacity(&self) -> i64 {
        (self.memory_mb as f64 * self.memory_overcommit_factor) as i64
    }

    /// Promised at most, MB.
    pub fn disk_capacity(&self) -> i64 {
        (self.disk_mb as f64 * self.disk_overcommit_factor) as i64
    }

    /// Left to promise: (memory, disk) in MB; negative after a change of configuration.
    pub fn remaining(&self, reserved: Reserved) -> (i64, i64) {
        (
            self.memory_capacity() - reserved.memory_mb as i64,
            self.disk_capacity() - reserved.disk_mb as i64,
        )
    }

    /// The first resource that is short, disk before memory as the original checked.
    pub fn shortage(&self, reserved: Reserved, memory_mb: u64, disk_mb: u64) -> Option<Shortage> {
        let (memory, disk) = self.remaining(reserved);
        if disk < disk_mb as i64 {
            return Some(Shortage {
                resource: "disk",
                needed_mb: disk_mb,
                left_mb: disk,
            });
        }
        (memory < memory_mb as i64).then_some(Shortage {
            resource: "memory",
            needed_mb: memory_mb,
            left_mb: memory,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: Resources = Resources {
        memory_mb: 1000,
        memory_overcommit_factor: 2.0,
        disk_mb: 5000,
        disk_overcommit_factor: 1.0,
    };

    #[test]
    fn overcommit_multiplies_what_may_be_promised() {
        let reserved = Reserved {
            memory_mb: 1500,
            disk_mb: 0,
        };
        assert_eq!(HOST.remaining(reserved), (500, 5000));
        assert_eq!(HOST.shortage(reserved, 500, 1), None);
        assert_eq!(
            HOST.shortage(reserved, 501, 1).map(|s| s.resource),
            Some("memory")
        );
    }

    #[test]
    fn disk_is_named_before_memory() {
        let full = Reserved {
            memory_mb: 2000,
            disk_mb: 5000,
        };
        let short = HOST.shortage(full, 1, 1).expect("short of both");
        assert_eq!((short.resource, short.left_mb), ("disk", 0));
        assert_eq!(
            short.exit_description(),
            "Not enough disk resource available."
        );
    }
}
