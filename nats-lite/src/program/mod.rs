//! The program around the server: its command line, its log and the signals it obeys.
//!
//! Flags, signals and log lines are those of `nats-server`, so that scripts written for it work.

mod args;
mod log;
mod orders;
mod signals;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Running;
use crate::config::Config;
use args::Args;

/// Runs the program with these arguments, the first of which is its name.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let args = Args::read(arguments);
    if let Some(order) = &args.signal {
        return report(signals::send(order));
    }
    let config = match orders::configure(&args) {
        Ok(config) => config,
        Err(problem) => {
            eprintln!("nats-lite: {problem}");
            return ExitCode::from(if args.test_config { 1 } else { 2 });
        }
    };
    if args.print_config {
        print!("{}", config.to_redacted_yaml());
    }
    if let (true, Some(path)) = (args.test_config, &args.config) {
        eprintln!("nats-lite: configuration file {} is valid", path.display());
    }
    if args.check_config || args.print_config || args.test_config {
        return ExitCode::SUCCESS;
    }
    report(serve(&args, config))
}

fn report(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nats-lite: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &Args, config: Config) -> anyhow::Result<()> {
    let file = log::install(&config)?;
    tracing::info!("Starting nats-lite");
    if let Some(path) = &args.config {
        tracing::info!("Using configuration file: {}", path.display());
    }
    warn_of(&config);
    for warning in &args.warnings {
        tracing::warn!("{warning}");
    }
    // The server brings its own thread; this runtime only waits for signals.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut signals = Signals::watch()?;
        let mut running = crate::start(config).await?;
        loop {
            let Some(order) = signals.next(&running).await else {
                anyhow::ensure!(!running.failed(), "the server ended; its log says why");
                break;
            };
            match order {
                Order::Reload => reload(args, &mut running),
                Order::Reopen => file.reopen(),
                Order::LameDuck => running.lame_duck(),
                Order::Stop(name) => {
                    tracing::debug!("Trapped {name:?} signal");
                    break;
                }
            }
        }
        tracing::info!("Initiating Shutdown...");
        running.shutdown().await;
        tracing::info!("Server Exiting..");
        Ok(())
    })
}

fn warn_of(config: &Config) {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
}

/// A configuration that cannot be used leaves the old one in force.
fn reload(args: &Args, running: &mut Running) {
    match orders::configure(args) {
        Err(problem) => tracing::error!("Failed to reload server configuration: {problem}"),
        Ok(config) => {
            warn_of(&config);
            if let Err(problem) = running.reload(config) {
                tracing::error!("Failed to reload server configuration: {problem}");
            }
        }
    }
}

enum Order {
    Reload,
    Reopen,
    LameDuck,
    Stop(&'static str),
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    first: Signal,
    second: Signal,
}

impl Signals {
    fn watch() -> anyhow::Result<Self> {
        let watch = |kind| signal(kind).context("cannot watch for signals");
        Ok(Self {
            terminate: watch(SignalKind::terminate())?,
            interrupt: watch(SignalKind::interrupt())?,
            hangup: watch(SignalKind::hangup())?,
            first: watch(SignalKind::user_defined1())?,
            second: watch(SignalKind::user_defined2())?,
        })
    }

    /// The next order; `None` once the server has ended by itself.
    async fn next(&mut self, running: &Running) -> Option<Order> {
        tokio::select! {
            () = running.ended() => None,
            _ = self.terminate.recv() => Some(Order::Stop("terminated")),
            _ = self.interrupt.recv() => Some(Order::Stop("interrupt")),
            _ = self.hangup.recv() => Some(Order::Reload),
            _ = self.first.recv() => Some(Order::Reopen),
            _ = self.second.recv() => Some(Order::LameDuck),
        }
    }
}
