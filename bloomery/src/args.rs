//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::stack::profile::Profile;

/// Bloomery: a whole platform on one machine.
#[derive(Debug, Parser)]
#[command(name = "bloomery", version, about)]
pub struct Cli {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring the platform up; again on the same directory resumes it
    Up(Up),
    /// Show components, addresses and memory
    Status {
        /// Where the platform lives
        #[command(flatten)]
        place: Place,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// End everything; leaves no process, mount, cgroup, link or rule behind
    Down {
        /// Where the platform lives
        #[command(flatten)]
        place: Place,
        /// Also remove the data directory: apps, droplets, database
        #[arg(long)]
        purge: bool,
    },
    /// Print the logs of a component, or of all
    Logs {
        /// Component, e.g. dea-0
        component: Option<String>,
        /// Where the platform lives
        #[command(flatten)]
        place: Place,
        /// Go on printing
        #[arg(short, long)]
        follow: bool,
        /// Lines from the end
        #[arg(short = 'n', long, default_value_t = 50)]
        lines: usize,
    },
    /// Push, scale, break and clean up, with a load running: the five-minute tour
    Demo(Demo),
    /// Figures: readiness, push, memory, sizes
    Bench {
        /// Directory with the sample apps
        #[arg(long, value_name = "DIR")]
        apps: PathBuf,
    },
    /// Root file systems for apps beside the host's own
    Stack {
        /// What to do
        #[command(subcommand)]
        command: StackCommand,
    },
    /// The supervisor of a detached platform
    #[command(hide = true)]
    Supervise {
        /// Where the platform lives
        #[command(flatten)]
        place: Place,
    },
}

/// Commands about stacks.
#[derive(Debug, Subcommand)]
pub enum StackCommand {
    /// Build the stack debian12 from Debian packages, with this host's apt sources
    Build(BuildStack),
    /// Take a root file system made elsewhere, e.g. by `docker export`
    Import(ImportStack),
}

/// Where stacks are kept.
#[derive(Debug, Clone, Args)]
pub struct StackDir {
    /// Where the platform lives; its stacks are kept there unless --out says otherwise
    #[command(flatten)]
    pub place: Place,
    /// Directory of the stacks [default: DATA_DIR/stacks]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

/// `bloomery stack build`.
#[derive(Debug, Clone, Args)]
pub struct BuildStack {
    /// Where it is kept
    #[command(flatten)]
    pub dir: StackDir,
    /// Which packages
    #[arg(long, value_enum, default_value_t = Profile::Lean)]
    pub profile: Profile,
    /// File with apt sources instead of this host's
    #[arg(long, value_name = "FILE")]
    pub sources: Option<PathBuf>,
    /// Build although it is built already, e.g. for newer versions
    #[arg(long)]
    pub again: bool,
}

/// `bloomery stack import`.
#[derive(Debug, Clone, Args)]
pub struct ImportStack {
    /// Where it is kept
    #[command(flatten)]
    pub dir: StackDir,
    /// Name of the stack
    pub name: String,
    /// The root file system's tar, plain or packed by gzip, bzip2, xz or zstd
    pub tarball: PathBuf,
    /// For `cf stacks` [default: what the system calls itself]
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
}

/// The data directory.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// Data directory
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/var/lib/bloomery",
        env = "BLOOMERY_DATA_DIR"
    )]
    pub data_dir: PathBuf,
}

/// `bloomery up`.
#[derive(Debug, Clone, Args)]
pub struct Up {
    /// Where the platform lives
    #[command(flatten)]
    pub place: Place,
    /// Number of DEAs
    #[arg(long, value_name = "N")]
    pub deas: Option<u32>,
    /// Domain of the apps
    #[arg(long, value_name = "D")]
    pub domain: Option<String>,
    /// A network that staging and apps may reach beside the public ones, e.g. 10.1.0.0/16:443; repeatable
    #[arg(long, value_name = "CIDR[:PORTS]")]
    pub allow: Vec<String>,
    /// Use this NATS server instead of the embedded one, e.g. nats://user:password@10.0.0.2:4222
    #[arg(
        long,
        value_name = "URL",
        env = "BLOOMERY_BUS_URL",
        hide_env_values = true
    )]
    pub bus: Option<String>,
    /// Return when the platform is up
    #[arg(long)]
    pub detach: bool,
    /// Port of the router (first choice; 0 = any)
    #[arg(long, value_name = "PORT")]
    pub router_port: Option<u16>,
    /// Port of the API (first choice; 0 = any)
    #[arg(long, value_name = "PORT")]
    pub api_port: Option<u16>,
    /// Memory the platform may promise to apps, MB in all
    #[arg(long, value_name = "MB")]
    pub memory: Option<u64>,
    /// Containers: linux, or process (no isolation, no root)
    #[arg(long, value_name = "KIND")]
    pub backend: Option<String>,
    /// Time constants: default, compat or test
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Directory of built stacks [default: DATA_DIR/stacks]
    #[arg(long, value_name = "DIR")]
    pub stacks: Option<PathBuf>,
    /// Another name for a built stack; repeatable [default: cflinuxfs2=debian12]
    #[arg(long, value_name = "NAME=STACK")]
    pub stack_alias: Vec<String>,
    /// A runtime of this host that apps may use, e.g. java=/usr/lib/jvm/jdk-21; repeatable
    #[arg(long, value_name = "LANGUAGE=DIR")]
    pub runtime: Vec<String>,
}

/// `bloomery demo`.
#[derive(Debug, Clone, Args)]
pub struct Demo {
    /// Directory with the sample apps
    #[arg(long, value_name = "DIR")]
    pub apps: PathBuf,
    /// Data directory; a fresh temporary one when left out
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}
