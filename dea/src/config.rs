//! The configuration of a DEA. Defaults are those of `bloomery up`; the
//! originals' key names are kept where the key exists there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bus::times::{Profile, Times};
use bus::{BusConfig, dea::EgressRule};
use component::{BasicAuth, DaemonConfig, StatusConfig};
use serde::{Deserialize, Serialize};
use warden::{Bandwidth, InstancePorts};

/// Everything a DEA can be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Job index; first part of the DEA's id.
    pub index: u32,
    /// The DEA's id, where its bus user may hear that one's work only; empty = made at the first start and kept.
    pub id: String,
    /// Holds `db/ droplets/ staging/ crashes/ admin_buildpacks/ depot/`.
    pub base_dir: PathBuf,
    /// Address that routers, controllers and health checks reach this host at; `0.0.0.0` takes the one that leads to `local_route`.
    pub ip: IpAddr,
    /// Where packets would go to find the own address (nothing is sent). The original's key and default.
    pub local_route: Ipv4Addr,
    /// Domain of the directory server's route.
    pub domain: String,
    /// The message bus.
    pub bus: BusConfig,
    /// Which column of the time table is used.
    pub profile: Profile,
    /// `/healthz`, `/varz`, `/metrics`.
    pub status: StatusConfig,
    /// Where log lines go.
    pub loggregator: LoggregatorConfig,
    /// What this host offers.
    pub resources: Resources,
    /// Who reaches the ports of instances from outside of this host: `routers` or `anyone`. The `process` backend keeps nobody out.
    pub instance_ports: InstancePorts,
    /// Addresses and networks (`10.0.16.0/24`) of routers that do not give the address they connect from; those that do are let in
    /// by themselves.
    pub routers: Vec<String>,
    /// Stacks, the first is the default.
    pub stacks: Vec<Stack>,
    /// Runtimes of this host that apps may use, e.g. several JDKs.
    pub runtimes: Vec<Runtime>,
    /// Zone for placement.
    pub zone: String,
    /// Directory server (`cf files`); port 0 takes a free one.
    pub directory_server: SocketAddr,
    /// How containers are made.
    pub warden: WardenConfig,
    /// Instances.
    pub instance: InstanceConfig,
    /// Staging.
    pub staging: StagingConfig,
    /// Seconds a crashed instance's files are kept.
    pub crash_lifetime_secs: u64,
    /// Seconds an evacuation may take.
    pub evacuation_bail_out_secs: u64,
    /// Directories of the host bound into every container.
    pub bind_mounts: Vec<Bind>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            index: 0,
            id: String::new(),
            base_dir: PathBuf::from("/var/lib/bloomery/dea"),
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            local_route: Ipv4Addr::new(198, 41, 0, 4),
            domain: "bloomery.localhost".into(),
            bus: BusConfig::default(),
            profile: Profile::Default,
            status: StatusConfig::default(),
            loggregator: LoggregatorConfig::default(),
            resources: Resources::default(),
            instance_ports: InstancePorts::default(),
            routers: Vec::new(),
            stacks: vec![Stack {
                name: "host".into(),
                rootfs: None,
            }],
            runtimes: Vec::new(),
            zone: "default".into(),
            directory_server: SocketAddr::from(([127, 0, 0, 1], 0)),
            warden: WardenConfig::default(),
            instance: InstanceConfig::default(),
            staging: StagingConfig::default(),
            crash_lifetime_secs: 3600,
            evacuation_bail_out_secs: 600,
            bind_mounts: Vec::new(),
        }
    }
}

/// Intake of the loggregator.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoggregatorConfig {
    /// `http://host:port`; empty = log lines are dropped.
    pub url: String,
    /// Credentials of the intake.
    pub auth: BasicAuth,
}

/// What this host offers to apps, before overcommit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// MB.
    pub memory_mb: u64,
    /// Memory promised = `memory_mb` × this.
    pub memory_overcommit_factor: f64,
    /// MB.
    pub disk_mb: u64,
    /// Disk promised = `disk_mb` × this.
    pub disk_overcommit_factor: f64,
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            memory_mb: 8192,
            memory_overcommit_factor: 1.0,
            disk_mb: 65_536,
            disk_overcommit_factor: 1.0,
        }
    }
}

/// A stack: a name and its root file system.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Stack {
    /// Name, e.g. `host` or `debian12`.
    pub name: String,
    /// Directory of the root file system; none = the host's /usr read-only.
    pub rootfs: Option<PathBuf>,
}

/// A runtime that the operator installed on this host, bound read-only into every
/// container at `/opt/runtimes/LANGUAGE/NAME`; buildpacks choose among those of their
/// language. Every DEA should have the same ones: a droplet staged with one needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Runtime {
    /// Language; `java` is the one that a system buildpack looks for.
    pub language: String,
    /// Tells versions apart, e.g. `jdk-21`.
    pub name: String,
    /// Directory on the host.
    pub path: PathBuf,
}

impl Runtime {
    /// Where it is inside containers.
    pub fn inside(&self) -> PathBuf {
        Path::new("/opt/runtimes")
            .join(&self.language)
            .join(&self.name)
    }

    /// Whether language and name are plain names.
    fn is_named(&self) -> bool {
        let plain = |text: &str| {
            !text.is_empty()
                && !text.starts_with('.')
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c))
        };
        plain(&self.language) && plain(&self.name)
    }
}

impl Stack {
    /// Whether its files are on this host; one whose files are not is not offered.
    pub fn is_there(&self) -> bool {
        self.rootfs
            .as_ref()
            .is_none_or(|dir| dir.join("bin").exists())
    }
}

/// One bind mount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bind {
    /// On the host.
    pub src_path: PathBuf,
    /// Inside; empty = the same path.
    pub dst_path: PathBuf,
    /// `rw` or `ro`.
    pub mode: String,
}

/// Which container backend.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendKind {
    /// Namespaces and cgroups.
    #[default]
    Linux,
    /// Plain processes, no isolation.
    Process,
}

/// How containers are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WardenConfig {
    /// Backend.
    pub backend: BackendKind,
    /// The `wshd` program; empty = beside the DEA's own.
    pub wshd: PathBuf,
    /// Container subnets, cut into /30s.
    pub subnet_pool: String,
    /// Ports of the host that containers may reach (the router's app port).
    pub allow_host_ports: Vec<u16>,
    /// Domains that resolve to this host inside containers.
    pub dns_domains: Vec<String>,
}

impl Default for WardenConfig {
    fn default() -> Self {
        Self {
            backend: BackendKind::Linux,
            wshd: PathBuf::new(),
            subnet_pool: "10.254.0.0/20".into(),
            allow_host_ports: Vec::new(),
            dns_domains: Vec::new(),
        }
    }
}

/// How much may pass an instance's link in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BandwidthLimit {
    /// Bytes per second in the long run; 0 = not limited.
    pub rate: u64,
    /// Bytes that may pass at once after a silence; at least 2048.
    pub burst: u64,
}

impl From<BandwidthLimit> for Bandwidth {
    fn from(limit: BandwidthLimit) -> Self {
        Self {
            rate_bytes: limit.rate,
            burst_bytes: limit.burst,
        }
    }
}

/// Limits every instance gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InstanceConfig {
    /// cpu shares = memory MB / this, clamped.
    pub memory_to_cpu_share_ratio: u64,
    /// Most shares.
    pub max_cpu_share_limit: u64,
    /// Least shares.
    pub min_cpu_share_limit: u64,
    /// Files per instance.
    pub disk_inode_limit: u64,
    /// Processes per instance.
    pub nproc_limit: u64,
    /// Network traffic per instance, each direction for itself; none = not limited.
    pub bandwidth_limit: Option<BandwidthLimit>,
    /// Seconds until an app must accept connections, unless it says otherwise.
    pub default_health_check_timeout: u64,
    /// Milliseconds between leaving the routers and TERM, for requests that are being answered. The original had none.
    pub drain_ms: u64,
}

impl InstanceConfig {
    /// How long a stopping instance still answers.
    pub fn drain(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }
}

impl Default for InstanceConfig {
    fn default() -> Self {
        Self {
            memory_to_cpu_share_ratio: 8,
            max_cpu_share_limit: 256,
            min_cpu_share_limit: 1,
            disk_inode_limit: 200_000,
            nproc_limit: 512,
            bandwidth_limit: None,
            default_health_check_timeout: 60,
            drain_ms: 500,
        }
    }
}

/// Staging.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StagingConfig {
    /// Whether this DEA stages at all.
    pub enabled: bool,
    /// Seconds for one staging.
    pub max_staging_duration: u64,
    /// MB a staging needs at least.
    pub memory_limit_mb: u64,
    /// MB on disk a staging needs at least.
    pub disk_limit_mb: u64,
    /// Files per staging.
    pub disk_inode_limit: u64,
    /// cpu shares of a staging.
    pub cpu_limit_shares: u64,
    /// Directory with `bloomery-stage` and its companions; empty = the directory of the DEA's program.
    pub tools_dir: PathBuf,
    /// Rules every staging gets beside the controller's (`bloomery up --allow`).
    pub extra_egress: Vec<EgressRule>,
}

impl Default for StagingConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            max_staging_duration: 900,
            memory_limit_mb: 1024,
            disk_limit_mb: 4096,
            disk_inode_limit: 200_000,
            cpu_limit_shares: 512,
            tools_dir: PathBuf::new(),
            extra_egress: Vec::new(),
        }
    }
}

impl Config {
    /// The time table in force.
    pub fn times(&self) -> Times {
        self.profile.times()
    }

    /// The same with an address that others can use and directories that do not
    /// depend on the working directory. Errors when no route says which address.
    pub fn resolved(mut self) -> std::io::Result<Self> {
        if self.ip.is_unspecified() {
            let probe = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            probe.connect((self.local_route, 1))?;
            self.ip = probe.local_addr()?.ip();
        }
        let roots = self.stacks.iter_mut().filter_map(|s| s.rootfs.as_mut());
        let own = [
            &mut self.base_dir,
            &mut self.staging.tools_dir,
            &mut self.warden.wshd,
        ];
        // An empty path means a default and stays empty.
        for path in own.into_iter().chain(roots) {
            if !path.as_os_str().is_empty() {
                *path = std::path::absolute(&*path)?;
            }
        }
        Ok(self)
    }

    /// How long a crashed instance is kept.
    pub fn crash_lifetime(&self) -> Duration {
        Duration::from_secs(self.crash_lifetime_secs)
    }

    /// cpu shares of an instance by the original's rule.
    pub fn cpu_shares(&self, memory_mb: u64) -> u64 {
        let i = &self.instance;
        (memory_mb / i.memory_to_cpu_share_ratio.max(1))
            .clamp(i.min_cpu_share_limit, i.max_cpu_share_limit)
    }

    /// The stack asked for, or the first.
    pub fn stack(&self, name: Option<&str>) -> Option<&Stack> {
        match name {
            Some(name) => self.stacks.iter().find(|s| s.name == name),
            None => self.stacks.first(),
        }
    }
}

impl DaemonConfig for Config {
    fn validate(&self) -> Vec<(String, String)> {
        let mut bad = Vec::new();
        let mut need = |ok: bool, key: &str, text: &str| {
            if !ok {
                bad.push((key.to_owned(), text.to_owned()));
            }
        };
        need(
            !self.bus.servers.is_empty(),
            "bus.servers",
            "needs at least one server",
        );
        need(
            !self.stacks.is_empty(),
            "stacks",
            "needs at least one stack, e.g. [{name: host}]",
        );
        need(
            self.resources.memory_mb > 0,
            "resources.memory_mb",
            "must be above 0",
        );
        need(
            self.resources.memory_overcommit_factor > 0.0,
            "resources.memory_overcommit_factor",
            "must be above 0",
        );
        need(
            self.resources.disk_overcommit_factor > 0.0,
            "resources.disk_overcommit_factor",
            "must be above 0",
        );
        need(
            self.instance.min_cpu_share_limit <= self.instance.max_cpu_share_limit,
            "instance.min_cpu_share_limit",
            "must not be above max_cpu_share_limit",
        );
        let bandwidth = warden::Limits {
            bandwidth: self.instance.bandwidth_limit.map(Bandwidth::from),
            ..Default::default()
        };
        if let Err(error) = bandwidth.check() {
            need(false, "instance.bandwidth_limit", &error.to_string());
        }
        for runtime in &self.runtimes {
            need(
                runtime.is_named() && runtime.path.is_dir(),
                "runtimes",
                &format!(
                    "{:?}: language and name must be plain names, path a directory of this host",
                    runtime.path
                ),
            );
        }
        for router in &self.routers {
            need(
                warden::is_router_network(router),
                "routers",
                &format!("{router:?} is not an IPv4 address or network such as 10.0.16.0/24"),
            );
        }
        need(self.ip.is_ipv4(), "ip", "must be an IPv4 address");
        bad
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unspecified_address_becomes_the_one_towards_the_route() {
        let given = Config {
            ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            local_route: Ipv4Addr::LOCALHOST,
            base_dir: "data/dea".into(),
            ..Config::default()
        };
        let resolved = given.resolved().expect("loopback has a route");
        assert_eq!(resolved.ip, IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert!(resolved.base_dir.is_absolute());
    }

    #[test]
    fn a_stack_without_its_files_is_not_offered() {
        let dir = tempfile::tempdir().expect("tempdir");
        let stack = Stack {
            name: "debian12".into(),
            rootfs: Some(dir.path().into()),
        };
        assert!(!stack.is_there());
        std::fs::create_dir(dir.path().join("bin")).expect("mkdir");
        assert!(stack.is_there() && Stack::default().is_there());
    }

    #[test]
    fn a_bandwidth_no_packet_fits_into_is_refused_at_the_start() {
        let with = |burst| {
            let mut config = Config::default();
            config.instance.bandwidth_limit = Some(BandwidthLimit { rate: 1000, burst });
            config.validate()
        };
        let bad = with(100);
        assert_eq!(bad[0].0, "instance.bandwidth_limit");
        assert!(bad[0].1.contains("burst"), "{bad:?}");
        assert!(with(10_000).is_empty());
    }

    #[test]
    fn a_runtimes_name_is_no_path() {
        let runtime = |name: &str| Runtime {
            language: "java".into(),
            name: name.into(),
            path: "/usr".into(),
        };
        assert_eq!(
            runtime("jdk-21").inside(),
            Path::new("/opt/runtimes/java/jdk-21")
        );
        assert!(runtime("jdk-21.0.1+12").is_named());
        assert!(
            ["", "..", "a/b"]
                .iter()
                .all(|name| !runtime(name).is_named())
        );
    }

    #[test]
    fn cpu_shares_follow_memory_within_bounds() {
        let c = Config::default();
        assert_eq!(
            [4, 256, 1024, 65_536].map(|mb| c.cpu_shares(mb)),
            [1, 32, 128, 256]
        );
    }
}
