//! The nouns of the verbs: what a caller asks for and what it is told.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Limits;

/// Where the root file system comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rootfs {
    /// The host's `/usr`, read-only, with private everything else (the `host` stack).
    Host,
    /// A directory holding a whole root file system (a built stack).
    Dir(PathBuf),
}

/// One directory or file of the host made visible inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BindMount {
    /// Absolute path on the host.
    pub src: PathBuf,
    /// Absolute path inside.
    pub dst: PathBuf,
    /// Read-write when true; read-only otherwise.
    #[serde(default)]
    pub writable: bool,
}

/// What a rule speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP.
    Icmp,
    /// Every protocol.
    All,
}

/// One rule of a security group (Garden's NetOut).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetOutRule {
    /// Protocol.
    pub protocol: Protocol,
    /// `a.b.c.d`, `a.b.c.d/n` or `a.b.c.d-e.f.g.h`.
    pub destination: String,
    /// Inclusive port ranges; empty = all ports.
    #[serde(default)]
    pub ports: Vec<(u16, u16)>,
    /// ICMP type, -1 = any.
    #[serde(default)]
    pub icmp_type: Option<i32>,
    /// ICMP code, -1 = any.
    #[serde(default)]
    pub icmp_code: Option<i32>,
    /// Log matching packets.
    #[serde(default)]
    pub log: bool,
}

/// A container to create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// Name chosen by the caller; generated when `None`.
    pub handle: Option<String>,
    /// Root file system.
    pub rootfs: Rootfs,
    /// Binds.
    #[serde(default)]
    pub bind_mounts: Vec<BindMount>,
    /// Limits, in force before the first job runs.
    #[serde(default)]
    pub limits: Limits,
    /// Outbound rules; everything else is refused.
    #[serde(default)]
    pub net_out: Vec<NetOutRule>,
    /// Labels, searchable with `list`.
    #[serde(default)]
    pub properties: BTreeMap<String, String>,
    /// How long a container without a client lives; `None` = for ever.
    #[serde(default)]
    pub grace_time: Option<Duration>,
}

/// Who a job runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum User {
    /// uid 2000 inside, home `/home/vcap`.
    Vcap,
    /// uid 0 inside (still without any capability).
    Root,
}

/// A job to run. The environment is exactly `env`: nothing is inherited; HOME,
/// USER, PATH and LANG are set by the container's init unless given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// Program and arguments; `argv[0]` is looked up in PATH when it has no slash.
    pub argv: Vec<String>,
    /// Environment in order; a later entry of the same name wins.
    #[serde(default)]
    pub env: Vec<(String, String)>,
    /// Working directory; the user's home when `None`.
    #[serde(default)]
    pub dir: Option<String>,
    /// User.
    pub user: User,
    /// RLIMIT_NOFILE.
    #[serde(default)]
    pub nofile: Option<u64>,
}

impl ProcessSpec {
    /// A shell script run by `/bin/bash -c` as vcap.
    pub fn script(text: impl Into<String>) -> Self {
        Self {
            argv: vec!["/bin/bash".into(), "-c".into(), text.into()],
            env: Vec::new(),
            dir: None,
            user: User::Vcap,
            nofile: None,
        }
    }
}

/// A running or finished job of a container; unique within it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobId(pub String);

/// Which stream a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One item of a job's output, in order of `seq`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// One line without its newline. Lines longer than 64 KiB are cut into pieces.
    Line {
        /// 1, 2, 3 … per job, both streams together.
        seq: u64,
        /// Unix nanoseconds when the keeper read it.
        at_ns: i64,
        /// Stream.
        stream: Stream,
        /// Bytes as the app wrote them.
        data: Vec<u8>,
    },
    /// Lines `from..=to` were dropped because nobody read them in time.
    Gap {
        /// First lost number.
        from: u64,
        /// Last lost number.
        to: u64,
    },
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit code, or 128 + signal.
    pub code: i32,
    /// Signal that ended it.
    pub signal: Option<i32>,
}

/// A port of the host that leads into the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    /// Port on the host.
    pub host_port: u16,
    /// Port inside.
    pub container_port: u16,
}

/// A connection from inside a container that its rules refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Where it was bound for.
    pub address: Ipv4Addr,
    /// Port there.
    pub port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// How long ago the last attempt was, in seconds.
    pub seconds_ago: u64,
}

/// Size of a terminal's window, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Characters per line.
    pub columns: u16,
}

/// The kernel ended processes of a container for want of memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OomKill {
    /// Most memory ever in use, bytes.
    pub peak_bytes: u64,
    /// The limit it ran into, bytes.
    pub limit_bytes: u64,
    /// Name of the process that the kernel chose last; `None` when the kernel's
    /// log cannot be read.
    pub victim: Option<String>,
    /// Processes ended so far.
    pub kills: u64,
}

/// Whether a container takes jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Takes jobs.
    Active,
    /// Its processes were stopped.
    Stopped,
}

/// What is known about a container now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Info {
    /// State.
    pub state: State,
    /// Events such as `out of memory`, each once.
    pub events: Vec<String>,
    /// Host side of the container's link.
    pub host_ip: Ipv4Addr,
    /// Container side of the link; the host's own address when there is no network isolation.
    pub container_ip: Ipv4Addr,
    /// Directory on the host below which files written in the container appear
    /// (`<path>/home/vcap/…`).
    pub container_path: PathBuf,
    /// Memory in use without inactive page cache, bytes.
    pub memory_bytes: u64,
    /// CPU time used, nanoseconds.
    pub cpu_ns: u64,
    /// Bytes on disk.
    pub disk_bytes: u64,
    /// Files on disk.
    pub disk_inodes: u64,
    /// Ports opened with `net_in`.
    pub ports: Vec<PortMapping>,
    /// Unfinished jobs.
    pub jobs: Vec<JobId>,
    /// Processes of the jobs, by their pids on the host.
    pub processes: Vec<i32>,
    /// Limits in force, bandwidth among them.
    pub limits: Limits,
    /// What is behind the event `out of memory`.
    pub oom: Option<OomKill>,
    /// How long the container lives without a client; `None` = for ever.
    pub grace_time: Option<Duration>,
    /// Labels given at creation.
    pub properties: BTreeMap<String, String>,
    /// What is enforced, e.g. `userns`, `pidns`, `seccomp`, `memory`, `disk`. Empty for `process`.
    pub isolation: Vec<String>,
}

/// What the host offers.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Capacity {
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Bytes on the depot's file system.
    pub disk_bytes: u64,
    /// Containers that fit into the pools.
    pub max_containers: u64,
    /// How limits of disks are kept.
    pub disk_limits: DiskLimits,
}

/// How a backend keeps containers to their disk limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskLimits {
    /// The file system of the depot counts and refuses, per container.
    ProjectQuota,
    /// Each container with a limit has a file system of its own, in a sparse file.
    Image,
    /// Not at all: the host has neither project quotas nor loop devices.
    None,
}
