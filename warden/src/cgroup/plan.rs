//! Which value goes into which file. Pure.

use crate::Limits;

/// One write below a controller's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Write {
    pub(crate) file: &'static str,
    pub(crate) value: String,
    /// The file is missing on some kernels; then the write is skipped.
    pub(crate) optional: bool,
}

/// The limits in force, needed for the order of writes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct MemoryNow {
    /// `memory.memsw.limit_in_bytes`, when the kernel has it.
    pub(crate) memsw: Option<u64>,
}

/// The writes that put `limits` in force for one controller.
pub(crate) fn writes(controller: &str, v2: bool, limits: &Limits, now: MemoryNow) -> Vec<Write> {
    match (controller, v2) {
        ("memory", false) => limits
            .memory_bytes
            .map_or(vec![], |bytes| memory_v1(bytes, now)),
        ("memory", true) => limits.memory_bytes.map_or(vec![], memory_v2),
        ("cpu", false) => cpu_v1(limits),
        ("cpu", true) => cpu_v2(limits),
        ("pids", _) => limits.pids.map_or(vec![], |n| vec![must("pids.max", n)]),
        _ => vec![],
    }
}

/// Memory may never exceed memory plus swap, so growing raises the sum first.
fn memory_v1(bytes: u64, now: MemoryNow) -> Vec<Write> {
    let memory = must("memory.limit_in_bytes", bytes);
    let sum = Write {
        optional: true,
        ..must("memory.memsw.limit_in_bytes", bytes)
    };
    let grows = now.memsw.is_some_and(|memsw| bytes > memsw);
    if grows {
        vec![sum, memory]
    } else {
        vec![memory, sum]
    }
}

fn memory_v2(bytes: u64) -> Vec<Write> {
    vec![
        must("memory.max", bytes),
        Write {
            optional: true,
            ..must("memory.swap.max", 0)
        },
        Write {
            optional: true,
            ..must("memory.oom.group", 1)
        },
    ]
}

/// The kernel shares CPU time out in periods of this many microseconds.
const CPU_PERIOD: u64 = 100_000;

fn cpu_v1(limits: &Limits) -> Vec<Write> {
    let quota = limits.cpu_percent.map(|percent| {
        [
            must("cpu.cfs_period_us", CPU_PERIOD),
            must("cpu.cfs_quota_us", percent * CPU_PERIOD / 100),
        ]
    });
    let shares = limits.cpu_shares.map(|s| must("cpu.shares", s));
    shares
        .into_iter()
        .chain(quota.into_iter().flatten())
        .collect()
}

fn cpu_v2(limits: &Limits) -> Vec<Write> {
    let quota = limits.cpu_percent.map(|percent| Write {
        value: format!("{} {CPU_PERIOD}", percent * CPU_PERIOD / 100),
        ..must("cpu.max", 0)
    });
    let shares = limits.cpu_shares.map(|s| must("cpu.weight", weight(s)));
    shares.into_iter().chain(quota).collect()
}

fn must(file: &'static str, value: u64) -> Write {
    Write {
        file,
        value: value.to_string(),
        optional: false,
    }
}

/// `cpu.weight` for the original's `cpu.shares`: 10^((l² + 125·l)/612 − 7/34)
/// with l = log2(shares), rounded up, within 1…10000.
pub(crate) fn weight(shares: u64) -> u64 {
    let log = (shares.clamp(2, 262_144) as f64).log2();
    let weight = 10f64.powf((log * log + 125.0 * log) / 612.0 - 7.0 / 34.0);
    (weight.ceil() as u64).clamp(1, 10_000)
}

/// The text for `cgroup.subtree_control`; empty when nothing we use is offered.
pub(crate) fn subtree_control(available: &[String]) -> String {
    let wanted = ["memory", "cpu", "pids"];
    let have = wanted
        .iter()
        .filter(|name| available.iter().any(|a| a == *name));
    have.map(|name| format!("+{name}"))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The number after `name` in a `key value` text.
pub(crate) fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        line.strip_prefix(name)?
            .strip_prefix(' ')?
            .trim()
            .parse()
            .ok()
    })
}

/// Whether a text of `/proc/PID/cgroup` tells of a version 2 group whose path ends
/// like this; above may be whatever contains us.
pub(crate) fn is_in_v2(text: &str, end: &str) -> bool {
    let mut paths = text.lines().filter_map(|line| line.strip_prefix("0::"));
    paths.any(|path| path.ends_with(end))
}

/// Memory without inactive page cache, from `memory.stat`.
pub(crate) fn memory_in_use(stat: &str, v2: bool) -> u64 {
    let names = if v2 {
        ["anon", "file", "inactive_file"]
    } else {
        ["total_rss", "total_cache", "total_inactive_file"]
    };
    let [anon, file, inactive] = names.map(|name| field(stat, name).unwrap_or(0));
    (anon + file).saturating_sub(inactive)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_version_2_is_told_from_those_of_version_1() {
        let text = "4:memory:/bloomery/a/web/k\n0::/docker/1/bloomery/a/app/k\n";
        assert!(is_in_v2(text, "/bloomery/a/app/k"));
        assert!(!is_in_v2(text, "/bloomery/a/web/k"));
        assert!(!is_in_v2("4:memory:/bloomery/a/web/k\n", "/web/k"));
    }

    fn files(writes: &[Write]) -> Vec<&str> {
        writes.iter().map(|w| w.file).collect()
    }

    #[test]
    fn a_quota_is_part_of_a_period() {
        let limits = Limits {
            cpu_percent: Some(150),
            cpu_shares: Some(1024),
            ..Limits::default()
        };
        let values = |v2| -> Vec<String> {
            let all = writes("cpu", v2, &limits, MemoryNow::default());
            all.iter()
                .map(|w| w.file.to_owned() + "=" + &w.value)
                .collect()
        };
        assert_eq!(
            values(false),
            [
                "cpu.shares=1024",
                "cpu.cfs_period_us=100000",
                "cpu.cfs_quota_us=150000"
            ]
        );
        assert_eq!(values(true)[1], "cpu.max=150000 100000");
    }

    #[test]
    fn growing_memory_raises_the_sum_first() {
        let limits = Limits {
            memory_bytes: Some(100),
            ..Limits::default()
        };
        let order = |memsw| writes("memory", false, &limits, MemoryNow { memsw });
        assert_eq!(
            files(&order(Some(50))),
            ["memory.memsw.limit_in_bytes", "memory.limit_in_bytes"]
        );
        assert_eq!(
            files(&order(Some(200))),
            ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]
        );
        assert_eq!(
            files(&order(None)),
            ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]
        );
    }

    #[test]
    fn v2_limits_swap_to_nothing_and_kills_the_group() {
        let limits = Limits {
            memory_bytes: Some(7),
            pids: Some(9),
            ..Limits::default()
        };
        let memory = writes("memory", true, &limits, MemoryNow::default());
        assert_eq!(
            files(&memory),
            ["memory.max", "memory.swap.max", "memory.oom.group"]
        );
        assert_eq!(
            writes("pids", true, &limits, MemoryNow::default())[0].value,
            "9"
        );
        assert!(writes("cpu", true, &limits, MemoryNow::default()).is_empty());
    }

    #[test]
    fn weights_follow_the_table() {
        let table = [
            (8, 3),
            (16, 5),
            (32, 8),
            (64, 12),
            (128, 21),
            (256, 35),
            (512, 59),
            (1024, 100),
        ];
        for (shares, want) in table {
            assert_eq!(weight(shares), want, "{shares}");
        }
        assert_eq!(weight(0), 1);
        assert_eq!(weight(u64::MAX), 10_000);
    }

    #[test]
    fn used_memory_leaves_out_inactive_cache() {
        let v1 = "cache 1\nrss 2\ntotal_cache 30\ntotal_rss 12\ntotal_inactive_file 20\n";
        assert_eq!(memory_in_use(v1, false), 22);
        assert_eq!(
            memory_in_use("anon 5\nfile 4\ninactive_file 100\n", true),
            0
        );
    }
}
