//! The command line: names, flags and aliases of the original.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// cf: a command line for Bloomery and Cloud Foundry v2.
#[derive(Debug, Parser)]
#[command(name = "cf", version, about, disable_help_subcommand = true, help_template = HELP, max_term_width = 100)]
pub struct Cli {
    /// Print JSON instead of tables (reading commands)
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// Grouped as the original groups it.
const HELP: &str = "\
cf {version} - a command line for Bloomery and Cloud Foundry v2

USAGE: cf [--json] COMMAND [ARGUMENTS] [OPTIONS]

GETTING STARTED
   help        Show help, also: cf COMMAND --help
   version     Print the version
   login       Log user in
   logout      Log user out
   api         Set or view target api url
   auth        Authenticate non-interactively
   target      Set or view the targeted org or space

APPS
   apps        List all apps in the target space
   app         Display health and status for an app
   push        Push a new app or sync changes to an existing app
   scale       Change or view the instance count, disk and memory of an app
   delete      Delete an app
   start       Start an app
   stop        Stop an app
   restart     Stop and start an app
   restage     Recreate the app's droplet and start it
   events      Show recent app events
   files       Print out a list of files in a directory or the contents of a file
   logs        Tail or show recent logs for an app
   env         Show all env variables for an app
   set-env     Set an env variable for an app

ADVANCED
   curl        Executes a request to the targeted API endpoint

ENVIRONMENT
   CF_HOME     Directory of the session file (.cf/config.json)
   NO_COLOR    No colours
";

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show help
    #[command(visible_alias = "h")]
    Help {
        /// Command to explain
        command: Option<String>,
    },
    /// Print the version
    Version,
    /// Set or view target api url
    Api {
        /// URL, e.g. http://127.0.0.1:8181
        url: Option<String>,
        /// Accepted for compatibility
        #[arg(long)]
        skip_ssl_validation: bool,
        /// Forget the target
        #[arg(long)]
        unset: bool,
    },
    /// Log user in
    #[command(visible_alias = "l")]
    Login(Login),
    /// Log user out
    #[command(visible_alias = "lo")]
    Logout,
    /// Authenticate non-interactively; the password may come from CF_PASSWORD
    Auth {
        /// User name; CF_USERNAME when left out
        #[arg(env = "CF_USERNAME")]
        username: String,
        /// Password; better given in CF_PASSWORD, where `ps` does not show it
        #[arg(env = "CF_PASSWORD", hide_env_values = true)]
        password: String,
    },
    /// Set or view the targeted org or space
    #[command(visible_alias = "t")]
    Target {
        /// Organization
        #[arg(short)]
        org: Option<String>,
        /// Space
        #[arg(short)]
        space: Option<String>,
    },
    /// Push a new app or sync changes to an existing app
    #[command(visible_alias = "p")]
    Push(Box<Push>),
    /// List all apps in the target space
    #[command(visible_alias = "a")]
    Apps,
    /// Display health and status for an app
    App {
        /// App name
        app: String,
        /// Print only the guid
        #[arg(long)]
        guid: bool,
    },
    /// Change or view the instance count, disk and memory of an app
    Scale {
        /// App name
        app: String,
        /// Number of instances
        #[arg(short)]
        instances: Option<u64>,
        /// Memory limit, e.g. 256M, 1G
        #[arg(short)]
        memory: Option<String>,
        /// Disk limit, e.g. 256M, 1G
        #[arg(short = 'k')]
        disk: Option<String>,
        /// Do not ask
        #[arg(short)]
        force: bool,
    },
    /// Start an app
    #[command(visible_alias = "st")]
    Start {
        /// App name
        app: String,
    },
    /// Stop an app
    #[command(visible_alias = "sp")]
    Stop {
        /// App name
        app: String,
    },
    /// Stop and start an app
    #[command(visible_alias = "rs")]
    Restart {
        /// App name
        app: String,
    },
    /// Recreate the app's droplet and start it
    #[command(visible_alias = "rg")]
    Restage {
        /// App name
        app: String,
    },
    /// Delete an app
    #[command(visible_alias = "d")]
    Delete {
        /// App name
        app: String,
        /// Do not ask
        #[arg(short)]
        force: bool,
        /// Also delete its routes
        #[arg(short)]
        routes: bool,
    },
    /// Tail or show recent logs for an app
    Logs {
        /// App name
        app: String,
        /// Dump recent logs instead of tailing
        #[arg(long)]
        recent: bool,
    },
    /// Print out a list of files in a directory or the contents of a file
    #[command(visible_alias = "f")]
    Files {
        /// App name
        app: String,
        /// Path
        path: Option<String>,
        /// Instance
        #[arg(short, default_value_t = 0)]
        instance: u32,
    },
    /// Show all env variables for an app
    #[command(visible_alias = "e")]
    Env {
        /// App name
        app: String,
    },
    /// Set an env variable for an app
    #[command(visible_alias = "se")]
    SetEnv {
        /// App name
        app: String,
        /// Variable
        name: String,
        /// Value
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Show recent app events
    Events {
        /// App name
        app: String,
    },
    /// Executes a request to the targeted API endpoint
    Curl {
        /// Path, e.g. /v2/apps
        path: String,
        /// Method
        #[arg(short = 'X')]
        method: Option<String>,
        /// Header, repeatable
        #[arg(short = 'H')]
        header: Vec<String>,
        /// Body, or @FILE
        #[arg(short)]
        data: Option<String>,
        /// Print response headers too
        #[arg(short)]
        include: bool,
        /// Exit 22 on an HTTP error
        #[arg(short, long)]
        fail: bool,
    },
}

/// `cf login`.
#[derive(Debug, Args)]
pub struct Login {
    /// API URL
    #[arg(short)]
    pub api: Option<String>,
    /// User name
    #[arg(short)]
    pub user: Option<String>,
    /// Password; better typed when asked, or in CF_PASSWORD
    #[arg(short, env = "CF_PASSWORD", hide_env_values = true)]
    pub password: Option<String>,
    /// Organization
    #[arg(short)]
    pub org: Option<String>,
    /// Space
    #[arg(short)]
    pub space: Option<String>,
    /// Accepted for compatibility
    #[arg(long)]
    pub skip_ssl_validation: bool,
}

/// `cf push`.
#[derive(Debug, Default, Clone, Args)]
pub struct Push {
    /// App name; else from the manifest
    pub app: Option<String>,
    /// Buildpack name or git URL
    #[arg(short)]
    pub buildpack: Option<String>,
    /// Start command; `null` resets it
    #[arg(short)]
    pub command: Option<String>,
    /// Domain
    #[arg(short)]
    pub domain: Option<String>,
    /// Manifest
    #[arg(short = 'f')]
    pub manifest: Option<PathBuf>,
    /// Number of instances
    #[arg(short)]
    pub instances: Option<u64>,
    /// Disk limit
    #[arg(short = 'k')]
    pub disk: Option<String>,
    /// Memory limit
    #[arg(short)]
    pub memory: Option<String>,
    /// Host name
    #[arg(short = 'n', long = "hostname")]
    pub host: Option<String>,
    /// Directory or archive
    #[arg(short)]
    pub path: Option<PathBuf>,
    /// Stack
    #[arg(short)]
    pub stack: Option<String>,
    /// Seconds until the app must accept connections
    #[arg(short)]
    pub timeout: Option<u64>,
    /// port, none or process
    #[arg(short = 'u', long)]
    pub health_check_type: Option<String>,
    /// Ignore the manifest
    #[arg(long)]
    pub no_manifest: bool,
    /// No route
    #[arg(long)]
    pub no_route: bool,
    /// Do not start
    #[arg(long)]
    pub no_start: bool,
    /// A random host name
    #[arg(long)]
    pub random_route: bool,
}
