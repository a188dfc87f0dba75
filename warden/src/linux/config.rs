//! Configuration of the linux backend.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Error, Fault, NetOutRule, Result};

/// Configuration of a [`super::LinuxBackend`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinuxConfig {
    /// Directory for containers; made if missing. One backend at a time. Its
    /// path decides the tag in the names of all kernel objects.
    pub depot: PathBuf,
    /// The `wshd` program.
    pub wshd: PathBuf,
    /// Addresses for containers, cut into /30 networks; at least a /24.
    pub subnet_pool: String,
    /// Ports of the host given out by `net_in`, first and last. Must lie
    /// outside of `ip_local_port_range`.
    pub port_range: (u16, u16),
    /// Who reaches the ports given out by `net_in` from outside of the host.
    pub instance_ports: InstancePorts,
    /// Routers that are let in whatever they say of themselves: addresses or networks. Others are added by
    /// [`crate::Backend::allow_routers`].
    pub routers: Vec<String>,
    /// Ports of the host's own listeners that containers may reach.
    pub allow_host_ports: Vec<u16>,
    /// The DNS forwarder; `None` copies the host's resolv.conf instead.
    pub dns: Option<DnsConfig>,
    /// Outbound rules every container gets in addition to its own.
    pub net_out: Vec<NetOutRule>,
    /// Certificate bundle shown in every container; found by itself when `None`.
    pub ca_bundle: Option<PathBuf>,
    /// First uid and gid of the ranges for user namespaces.
    pub uid_base: u32,
    /// How long a freed port is not given out again, seconds.
    pub port_rest_seconds: u64,
    /// Bytes of log kept per job.
    pub ring_bytes: u64,
    /// MTU of the links.
    pub mtu: u32,
    /// Networks kept ready for the next containers.
    pub warm_networks: usize,
    /// Disk images kept ready per size asked for.
    pub warm_images: usize,
    /// Every so many seconds the kernel's objects of this depot are compared with
    /// its containers, and orphans removed; at least 1.
    pub reconcile_seconds: u64,
    /// Directory of the register that all depots of the host share.
    pub register: PathBuf,
    /// Test switch: what goes wrong during each creation.
    pub fail_after: Option<Fault>,
}

/// Who reaches the ports of instances from outside of the host. Its own processes always do, containers through `routers` never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InstancePorts {
    /// The routers that are known.
    #[default]
    Routers,
    /// Every host that can reach this one, and containers whose rules allow an address of this host.
    Anyone,
}

/// Configuration of the DNS forwarder on the gateway addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DnsConfig {
    /// Every name below these is answered with the asking container's gateway,
    /// where the router listens.
    pub domains: Vec<String>,
    /// Where other questions go; the host's `/etc/resolv.conf` when empty.
    pub upstreams: Vec<SocketAddr>,
}

impl Default for LinuxConfig {
    fn default() -> Self {
        Self {
            depot: "/var/vcap/data/warden/depot".into(),
            wshd: "/usr/local/bin/wshd".into(),
            subnet_pool: "10.254.0.0/20".into(),
            port_range: (61_001, 65_000),
            instance_ports: InstancePorts::default(),
            routers: Vec::new(),
            allow_host_ports: Vec::new(),
            dns: Some(DnsConfig::default()),
            net_out: Vec::new(),
            ca_bundle: None,
            uid_base: 0x4000_0000,
            port_rest_seconds: 130,
            ring_bytes: 4 << 20,
            mtu: 1500,
            warm_networks: 4,
            warm_images: 2,
            reconcile_seconds: 30,
            register: "/run/bloomery".into(),
            fail_after: None,
        }
    }
}

/// A network given as `a.b.c.d/n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cidr {
    pub(crate) base: u32,
    pub(crate) prefix: u8,
}

impl Cidr {
    /// Reads `a.b.c.d/n`; the host part must be zero.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let base = u32::from(address.parse::<Ipv4Addr>().ok()?);
        let prefix = prefix.parse::<u8>().ok().filter(|p| *p <= 32)?;
        let cidr = Self { base, prefix };
        (u64::from(base) % cidr.size() == 0).then_some(cidr)
    }

    /// Whether both have an address in common.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let (a, b) = (u64::from(self.base), u64::from(other.base));
        a < b + other.size() && b < a + self.size()
    }

    /// Number of addresses.
    pub(crate) fn size(&self) -> u64 {
        1 << (32 - self.prefix)
    }
}

impl LinuxConfig {
    /// The pool of subnets, checked.
    pub(crate) fn pool(&self) -> Result<Cidr> {
        Cidr::parse(&self.subnet_pool)
            .filter(|cidr| cidr.prefix <= 24)
            .ok_or_else(|| Error::Keeper {
                step: "check subnet_pool".into(),
                message: format!(
                    "{:?} must be a network of at least a /24, such as 10.254.0.0/20",
                    self.subnet_pool
                ),
            })
    }

    /// How long a freed port rests.
    pub(crate) fn port_rest(&self) -> Duration {
        Duration::from_secs(self.port_rest_seconds)
    }
}
