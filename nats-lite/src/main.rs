//! The `nats-lite` program: file, environment and flags in, a server until SIGTERM.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use nats_lite::config::{self, Config, FileError, User};
use tokio::signal::unix::{SignalKind, signal};

/// The last paragraph of `--help`.
const OVERRIDES: &str = "Every key of the file can also come from the environment: NATS_LITE__LISTEN=127.0.0.1:0, \
    NATS_LITE__LIMITS__MAX_PAYLOAD=2048, lists as YAML: NATS_LITE__USERS='[{user: a, password: b}]'. \
    The environment wins over the file, flags win over both.";

/// A small server that speaks the NATS protocol.
#[derive(Parser)]
#[command(name = "nats-lite", version, disable_version_flag = true, after_help = OVERRIDES)]
struct Args {
    /// Address to listen on
    #[arg(short, long)]
    addr: Option<IpAddr>,
    /// Port for clients; -1 takes a free one
    #[arg(short, long, allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1..=65535))]
    port: Option<i32>,
    /// Port for /varz, /connz, /healthz and /metrics; -1 takes a free one
    #[arg(short = 'm', long = "http_port", allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-1..=65535))]
    http_port: Option<i32>,
    /// YAML file: listen, http, users, token, limits
    #[arg(short, long, env = "NATS_LITE_CONFIG")]
    config: Option<PathBuf>,
    /// The only user, in place of the file's list
    #[arg(long, env = "NATS_LITE_USER", requires = "pass")]
    user: Option<String>,
    /// That user's password; better given in the environment or the file than here
    #[arg(
        long,
        env = "NATS_LITE_PASSWORD",
        hide_env_values = true,
        requires = "user"
    )]
    pass: Option<String>,
    /// Directory for the file that names the ports
    #[arg(long = "ports_file_dir")]
    ports_file_dir: Option<PathBuf>,
    /// File for the process id
    #[arg(short = 'P', long = "pid")]
    pid: Option<PathBuf>,
    /// Log at debug level
    #[arg(short = 'D', long)]
    debug: bool,
    /// Log at trace level
    #[arg(short = 'V', long)]
    trace: bool,
    /// Print the version and exit
    #[arg(short = 'v', long, action = clap::ArgAction::Version)]
    version: Option<bool>,
    /// Check the configuration and exit
    #[arg(long = "check-config")]
    check_config: bool,
    /// Print the effective configuration, secrets hidden, and exit
    #[arg(long = "print-config")]
    print_config: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    install_tracing(&args);
    let config = match configure(&args) {
        Ok(config) => config,
        Err(problem) => {
            eprintln!("nats-lite: {problem}");
            return ExitCode::from(2);
        }
    };
    if args.print_config {
        print!("{}", config.to_redacted_yaml());
    }
    if args.check_config || args.print_config {
        return ExitCode::SUCCESS;
    }
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nats-lite: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn install_tracing(args: &Args) {
    let level = match (args.trace, args.debug) {
        (true, _) => tracing::Level::TRACE,
        (_, true) => tracing::Level::DEBUG,
        _ => tracing::Level::INFO,
    };
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .with_max_level(level)
        .init();
}

/// File first, then environment, then flags.
fn configure(args: &Args) -> Result<Config, String> {
    let path = args.config.as_deref();
    let mut config =
        config::load(path, std::env::vars_os()).map_err(|error| match (path, &error) {
            (Some(path), FileError::Syntax(_) | FileError::Problems(_)) => {
                format!("{}:\n{error}", path.display())
            }
            _ => error.to_string(),
        })?;
    let port = |port: i32| u16::try_from(port).unwrap_or(0);
    if let Some(addr) = args.addr {
        config.listen.set_ip(addr);
    }
    if let Some(number) = args.port {
        config.listen.set_port(port(number));
    }
    if let Some(number) = args.http_port {
        config.http = Some(SocketAddr::new(config.listen.ip(), port(number)));
    }
    if let (Some(user), Some(password)) = (&args.user, &args.pass) {
        config.users = vec![User {
            user: user.clone(),
            password: password.clone(),
            ..User::default()
        }];
    }
    config.ports_file_dir = args.ports_file_dir.clone().or(config.ports_file_dir);
    config.pid_file = args.pid.clone().or(config.pid_file);
    match config.problems().as_slice() {
        [] => Ok(config),
        problems => Err(problems
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")),
    }
}

fn serve(config: Config) -> anyhow::Result<()> {
    // The server brings its own thread; this runtime only waits for signals.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
        let running = nats_lite::start(config).await?;
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM received, shutting down"),
            _ = interrupt.recv() => tracing::info!("SIGINT received, shutting down"),
        }
        running.shutdown().await;
        tracing::info!("Server Exiting..");
        Ok(())
    })
}
