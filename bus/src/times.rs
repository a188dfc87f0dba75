//! The time constants of every daemon in one table, three columns: what the
//! originals shipped (`compat`), what we ship (`default`, heartbeat 1 s), and
//! what the tests use. Everything that belongs together is counted in
//! heartbeats so that a column can be shortened without changing proportions.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Which column a daemon uses; config key `profile`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// The originals' numbers (heartbeat 10 s).
    Compat,
    /// Ours (heartbeat 1 s).
    #[default]
    Default,
    /// For tests on a busy machine (heartbeat 0.2 s).
    Test,
}

/// One column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// DEA heartbeat; the unit of the health manager.
    pub heartbeat: Duration,
    /// `dea.advertise` and `staging.advertise`.
    pub advertise: Duration,
    /// Controller: an advertisement older than this is not used.
    pub advertise_ttl: Duration,
    /// DEA: routes are registered anew this often.
    pub router_register: Duration,
    /// Router: asked of registrars in `router.start`.
    pub router_min_register: Duration,
    /// Router: how often stale endpoints are looked for.
    pub router_prune: Duration,
    /// Router: an endpoint not refreshed for this long is stale. Also the time a
    /// freed host port rests in a DEA.
    pub router_stale: Duration,
    /// DEA: statistics sampling.
    pub stats: Duration,
    /// DEA: step of the port health check.
    pub health_step: Duration,
    /// DEA: orphan containers are looked for this often; two rounds make an orphan.
    pub orphan_scan: Duration,
    /// Health manager: presence of a DEA and freshness, in heartbeats.
    pub hm_ttl_heartbeats: u32,
    /// Health manager: grace before a missing instance is started, in heartbeats.
    pub hm_grace_heartbeats: u32,
    /// Health manager: desired state is fetched this often, in heartbeats.
    pub hm_fetch_heartbeats: u32,
    /// Health manager: desired state older than this is stale, in heartbeats.
    pub hm_desired_ttl_heartbeats: u32,
    /// Health manager: first delay once back-off begins (third crash), in heartbeats.
    pub hm_backoff_heartbeats: u32,
    /// Health manager: longest back-off, in heartbeats.
    pub hm_backoff_max_heartbeats: u32,
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// The originals' numbers.
pub const COMPAT: Times = Times {
    heartbeat: ms(10_000),
    advertise: ms(5_000),
    advertise_ttl: ms(10_000),
    router_register: ms(20_000),
    router_min_register: ms(5_000),
    router_prune: ms(30_000),
    router_stale: ms(120_000),
    stats: ms(10_000),
    health_step: ms(500),
    orphan_scan: ms(30_000),
    hm_ttl_heartbeats: 3,
    hm_grace_heartbeats: 3,
    hm_fetch_heartbeats: 6,
    hm_desired_ttl_heartbeats: 12,
    hm_backoff_heartbeats: 3,
    hm_backoff_max_heartbeats: 96,
};

/// Our numbers: the same proportions with a heartbeat of one second.
pub const DEFAULT: Times = Times {
    heartbeat: ms(1_000),
    advertise: ms(1_000),
    advertise_ttl: ms(5_000),
    router_register: ms(5_000),
    router_min_register: ms(5_000),
    router_prune: ms(5_000),
    router_stale: ms(30_000),
    stats: ms(5_000),
    health_step: ms(50),
    orphan_scan: ms(10_000),
    hm_ttl_heartbeats: 3,
    hm_grace_heartbeats: 3,
    hm_fetch_heartbeats: 3,
    hm_desired_ttl_heartbeats: 30,
    hm_backoff_heartbeats: 30,
    hm_backoff_max_heartbeats: 960,
};

/// Numbers for tests.
pub const TEST: Times = Times {
    heartbeat: ms(200),
    advertise: ms(200),
    advertise_ttl: ms(4_000),
    router_register: ms(500),
    router_min_register: ms(500),
    router_prune: ms(500),
    router_stale: ms(5_000),
    stats: ms(200),
    health_step: ms(20),
    orphan_scan: ms(1_000),
    hm_ttl_heartbeats: 10,
    hm_grace_heartbeats: 3,
    hm_fetch_heartbeats: 2,
    hm_desired_ttl_heartbeats: 100,
    hm_backoff_heartbeats: 5,
    hm_backoff_max_heartbeats: 160,
};

impl Profile {
    /// The column of this profile.
    pub const fn times(self) -> Times {
        match self {
            Profile::Compat => COMPAT,
            Profile::Default => DEFAULT,
            Profile::Test => TEST,
        }
    }
}
