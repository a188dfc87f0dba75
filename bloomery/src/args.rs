//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

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
    /// The supervisor of a detached platform
    #[command(hide = true)]
    Supervise {
        /// Where the platform lives
        #[command(flatten)]
        place: Place,
    },
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
    /// Port of the router (first choice)
    #[arg(long, value_name = "PORT")]
    pub router_port: Option<u16>,
    /// Port of the API (first choice)
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
