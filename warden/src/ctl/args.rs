//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::{Bandwidth, BindMount, Limits, NetOutRule, Protocol};

/// Containers by hand.
#[derive(Debug, Parser)]
#[command(name = "wardenctl", version)]
pub(super) struct Args {
    /// Directory of the containers.
    #[arg(long, global = true, default_value = "/var/vcap/data/warden/depot")]
    pub(super) depot: PathBuf,
    /// Which kind of containers the depot holds.
    #[arg(long, global = true, value_enum, default_value = "linux")]
    pub(super) backend: BackendKind,
    /// The wshd program; by default the one beside wardenctl.
    #[arg(long, global = true)]
    pub(super) wshd: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, global = true)]
    pub(super) json: bool,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum BackendKind {
    Linux,
    Process,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Make a container and print its handle.
    Create {
        /// Its name; chosen when absent.
        #[arg(long)]
        handle: Option<String>,
        /// `host` or a directory with a root file system.
        #[arg(long, default_value = "host")]
        rootfs: String,
        #[command(flatten)]
        limits: LimitArgs,
        /// Seconds it lives without a client; for ever when absent.
        #[arg(long)]
        grace: Option<u64>,
        /// `SRC:DST` read-only or `SRC:DST:rw`.
        #[arg(long, value_parser = bind)]
        bind: Vec<BindMount>,
        /// `NAME=VALUE`, for `list`.
        #[arg(long, value_parser = pair)]
        property: Vec<(String, String)>,
    },
    /// Run a program, show its output, exit with its code.
    Run {
        handle: String,
        /// As root of the container.
        #[arg(long)]
        root: bool,
        /// `NAME=VALUE`.
        #[arg(long, value_parser = pair)]
        env: Vec<(String, String)>,
        /// Print the job's id and leave it running.
        #[arg(long)]
        detach: bool,
        #[arg(last = true, required = true)]
        argv: Vec<String>,
    },
    /// A shell on a terminal inside; exits with its code.
    Shell {
        handle: String,
        /// As root of the container.
        #[arg(long)]
        root: bool,
    },
    /// Show a job's output from a line on, exit with its code.
    Attach {
        handle: String,
        job: String,
        #[arg(long, default_value_t = 1)]
        from: u64,
    },
    /// State and measurements.
    Info { handle: String },
    /// Handles.
    List {
        /// `NAME=VALUE`; all must match.
        #[arg(long, value_parser = pair)]
        property: Vec<(String, String)>,
    },
    /// Change limits.
    Limit {
        handle: String,
        #[command(flatten)]
        limits: LimitArgs,
    },
    /// Open a port of the host into the container.
    NetIn {
        handle: String,
        container_port: Option<u16>,
    },
    /// Allow outbound traffic: `PROTOCOL DESTINATION [PORTS]`.
    NetOut {
        handle: String,
        /// tcp, udp, icmp or all.
        #[arg(value_parser = protocol)]
        protocol: Protocol,
        /// Address, network or range.
        destination: String,
        /// `80`, `80-90`, several separated by commas.
        #[arg(default_value = "", value_parser = ports)]
        ports: Ports,
    },
    /// Copy a directory's content or a file into a directory of the container.
    CopyIn {
        handle: String,
        src: PathBuf,
        dst: String,
    },
    /// Copy a directory's content or a file of the container into a directory.
    CopyOut {
        handle: String,
        src: String,
        dst: PathBuf,
    },
    /// TERM, after ten seconds KILL, to every process.
    Stop {
        handle: String,
        /// KILL at once.
        #[arg(long)]
        kill: bool,
    },
    /// End every process and remove every trace.
    Destroy { handle: String },
    /// Whether containers can be made.
    Ping,
    /// What the host offers.
    Capacity,
    /// Remove everything of the depot, with no backend alive.
    Teardown,
}

/// Limits, at creation and later; a later one of the disk only where quotas limit it.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct LimitArgs {
    /// MiB of memory.
    #[arg(long)]
    memory: Option<u64>,
    /// Relative shares of CPU time.
    #[arg(long)]
    cpu_shares: Option<u64>,
    /// CPU time at most, percent of one CPU.
    #[arg(long)]
    cpu_percent: Option<u64>,
    /// MiB of disk; later only where project quotas limit disks.
    #[arg(long)]
    disk: Option<u64>,
    /// Files and directories on disk.
    #[arg(long)]
    files: Option<u64>,
    /// Processes and threads.
    #[arg(long)]
    pids: Option<u64>,
    /// Network traffic per direction, KiB per second; 0 = without limit.
    #[arg(long)]
    rate: Option<u64>,
    /// KiB that may pass at once.
    #[arg(long, default_value_t = 64)]
    burst: u64,
}

impl LimitArgs {
    /// In the library's units.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            memory_bytes: self.memory.map(mib),
            cpu_shares: self.cpu_shares,
            cpu_percent: self.cpu_percent,
            disk_bytes: self.disk.map(mib),
            disk_inodes: self.files,
            pids: self.pids,
            bandwidth: self.rate.map(|rate| Bandwidth {
                rate_bytes: kib(rate),
                burst_bytes: kib(self.burst),
            }),
        }
    }

    fn of_disk(&self) -> bool {
        self.disk.is_some() || self.files.is_some()
    }
}

fn mib(count: u64) -> u64 {
    count.saturating_mul(1 << 20)
}

fn kib(count: u64) -> u64 {
    count.saturating_mul(1 << 10)
}

/// A list of port ranges.
#[derive(Debug, Clone)]
pub(super) struct Ports(pub(super) Vec<(u16, u16)>);

impl Verb {
    /// Its name, when it changes what belongs to the process that serves the depot.
    pub(super) fn needs_the_depot(&self) -> Option<&'static str> {
        match self {
            Verb::Create { .. } => Some("create"),
            Verb::Destroy { .. } => Some("destroy"),
            Verb::NetIn { .. } => Some("net-in"),
            Verb::NetOut { .. } => Some("net-out"),
            Verb::Limit { limits, .. } => limits.of_disk().then_some("limit"),
            _ => None,
        }
    }

    /// The rule of a `net-out`.
    pub(super) fn rule(protocol: Protocol, destination: String, ports: Ports) -> NetOutRule {
        NetOutRule {
            protocol,
            destination,
            ports: ports.0,
            icmp_type: None,
            icmp_code: None,
            log: false,
        }
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE is expected")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn bind(text: &str) -> Result<BindMount, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (src, dst, writable) = match parts[..] {
        [src, dst] => (src, dst, false),
        [src, dst, "rw"] => (src, dst, true),
        _ => return Err("SRC:DST or SRC:DST:rw is expected".into()),
    };
    Ok(BindMount {
        src: src.into(),
        dst: dst.into(),
        writable,
    })
}

fn protocol(text: &str) -> Result<Protocol, String> {
    match text {
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        "icmp" => Ok(Protocol::Icmp),
        "all" => Ok(Protocol::All),
        _ => Err("tcp, udp, icmp or all is expected".into()),
    }
}

fn ports(text: &str) -> Result<Ports, String> {
    let number = |text: &str| text.parse::<u16>().map_err(|e| format!("{text}: {e}"));
    let range = |part: &str| match part.split_once('-') {
        Some((first, last)) => Ok((number(first)?, number(last)?)),
        None => number(part).map(|port| (port, port)),
    };
    text.split(',')
        .filter(|part| !part.is_empty())
        .map(range)
        .collect::<Result<_, _>>()
        .map(Ports)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn ports_are_single_or_ranges() {
        assert_eq!(ports("80,8000-9000").unwrap().0, [(80, 80), (8000, 9000)]);
        assert!(ports("").unwrap().0.is_empty());
        assert!(ports("80-x").is_err());
    }
}
