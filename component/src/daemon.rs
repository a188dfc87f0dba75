//! The `main` of every daemon: flags, configuration, tracing, start, say where,
//! wait for a signal, drain.

use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{self, DaemonConfig};
use crate::process::{self, NewFiles};
use crate::{Tasks, logging};

/// A started daemon.
pub trait Daemon {
    /// What to log after the start, usually the bound addresses.
    fn describe(&self) -> String;
    /// The tasks it cannot do without.
    fn tasks(&self) -> Tasks;
    /// Drains and stops.
    fn shutdown(self) -> impl Future<Output = ()>;
}

/// How many threads run the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// One: small daemons.
    One,
    /// One per core.
    PerCore,
}

#[derive(Debug, Parser)]
struct Flags {
    /// Configuration file (YAML); see --print-config for every key
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check the configuration and exit: 0 when usable, 2 otherwise
    #[arg(long)]
    check_config: bool,
    /// Print the effective configuration, secrets redacted, and exit
    #[arg(long)]
    print_config: bool,
}

/// How long what is under way may take after a task failed.
const FAILED_LIMIT: Duration = Duration::from_secs(1);

/// Runs a daemon until SIGTERM or SIGINT. Exit codes: 0 stopped, 1 could not
/// start or could not go on, 2 unusable configuration or flags.
pub fn main<C, D, E, F, Fut>(
    name: &'static str,
    threads: Threads,
    files: NewFiles,
    start: F,
) -> ExitCode
where
    C: DaemonConfig,
    D: Daemon,
    E: std::error::Error,
    F: FnOnce(C) -> Fut,
    Fut: Future<Output = Result<D, E>>,
{
    // Names the program in usage texts by what it is, not by its path.
    let flags = Flags::parse_from(std::iter::once(name.into()).chain(std::env::args_os().skip(1)));
    let config: C = match config::load(name, flags.config.as_deref(), environment()) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    if flags.print_config {
        print!("{}", config::redacted(&config));
        return ExitCode::SUCCESS;
    }
    if flags.check_config {
        println!("{name}: configuration ok");
        return ExitCode::SUCCESS;
    }
    logging::init();
    process::prepare(files);
    // One provider for the whole process; a second installation is harmless.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = runtime(threads);
    let code = runtime.block_on(run(name, config, start));
    runtime.shutdown_timeout(FAILED_LIMIT);
    code
}

/// Variables that are text. Foreign ones that are not must not keep a daemon from starting.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn runtime(threads: Threads) -> tokio::runtime::Runtime {
    let mut builder = match threads {
        Threads::One => tokio::runtime::Builder::new_current_thread(),
        Threads::PerCore => tokio::runtime::Builder::new_multi_thread(),
    };
    builder
        .enable_all()
        .build()
        .expect("a runtime needs only threads and descriptors")
}

async fn run<C, D, E, F, Fut>(name: &'static str, config: C, start: F) -> ExitCode
where
    D: Daemon,
    E: std::error::Error,
    F: FnOnce(C) -> Fut,
    Fut: Future<Output = Result<D, E>>,
{
    let running = match start(config).await {
        Ok(running) => running,
        Err(error) => {
            tracing::error!(error = %chain(&error), "{name} cannot start");
            return ExitCode::FAILURE;
        }
    };
    tracing::info!("{name} is ready: {}", running.describe());
    let tasks = running.tasks();
    let signal = tokio::select! {
        signal = stop_signal() => signal,
        // Not stopped politely: what would have to help may be what failed, and a kill is survived as well.
        reason = tasks.failed() => {
            tracing::error!(reason, "{name} cannot go on and ends; its supervisor starts it again");
            return ExitCode::FAILURE;
        }
    };
    tracing::info!(signal, "stopping");
    running.shutdown().await;
    tracing::info!("stopped");
    ExitCode::SUCCESS
}

async fn stop_signal() -> &'static str {
    let mut term =
        signal(SignalKind::terminate()).expect("signal handlers can be installed in a runtime");
    let mut int =
        signal(SignalKind::interrupt()).expect("signal handlers can be installed in a runtime");
    tokio::select! {
        _ = term.recv() => "TERM",
        _ = int.recv() => "INT",
    }
}

/// An error with all its causes on one line; a cause that the error before it quotes already is not said again.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::chain;

    #[derive(Debug, thiserror::Error)]
    enum Why {
        #[error("open the door: {0}")]
        Quoting(#[source] std::io::Error),
        #[error("go in: {0}")]
        Twice(#[source] Box<Why>),
        #[error("leave")]
        Silent(#[source] std::io::Error),
    }

    #[test]
    fn every_cause_is_said_once() {
        let locked = || std::io::Error::other("locked");
        let quoting = Why::Quoting(locked());
        assert_eq!(chain(&quoting), "open the door: locked");
        let twice = Why::Twice(Box::new(quoting));
        assert_eq!(chain(&twice), "go in: open the door: locked");
        assert_eq!(chain(&Why::Silent(locked())), "leave: locked");
    }
}
