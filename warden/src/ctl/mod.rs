//! `wardenctl`: the verbs by hand, for operators and for tests. It opens the
//! depot itself, so it works where no DEA serves it; `teardown` removes
//! everything of a depot.

mod args;
mod copy;
mod verbs;

use std::process::ExitCode;

use args::{Args, BackendKind, Verb};
use clap::Parser;

use crate::{Backend, LinuxBackend, LinuxConfig, ProcessBackend, ProcessConfig, Result, teardown};

/// Runs the program; its exit code is the job's for `run` and `attach`.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(run(args)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => fail(&error),
    }
}

fn fail(error: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("wardenctl: {error}");
    ExitCode::FAILURE
}

async fn run(args: Args) -> Result<u8> {
    if matches!(args.verb, Verb::Teardown) {
        let report = teardown(&args.depot, None)?;
        let text = format!(
            "removed containers {:?}, links {:?}, table {}, restored {:?}",
            report.containers, report.links, report.table, report.sysctls
        );
        verbs::show(args.json, &report, &text);
        return Ok(0);
    }
    let backend = open(&args).await?;
    verbs::run(backend.as_ref(), args).await
}

async fn open(args: &Args) -> Result<Box<dyn Backend>> {
    let wshd = args.wshd.clone().unwrap_or_else(beside_own_program);
    let depot = args.depot.clone();
    Ok(match args.backend {
        BackendKind::Linux => {
            // A forwarder would end together with this program.
            let config = LinuxConfig {
                depot,
                wshd,
                dns: None,
                ..LinuxConfig::default()
            };
            Box::new(LinuxBackend::open(config).await?)
        }
        BackendKind::Process => Box::new(ProcessBackend::open(ProcessConfig {
            depot,
            wshd,
            ..ProcessConfig::default()
        })?),
    })
}

fn beside_own_program() -> std::path::PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.with_file_name("wshd")
}
