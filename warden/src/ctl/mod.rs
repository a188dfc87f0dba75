//! `wardenctl`: the verbs by hand, for operators and for tests. What a keeper
//! can answer works beside a DEA that serves the depot; what changes pools or
//! the packet filter opens the depot itself and is refused beside one.
//! `teardown` removes everything of a depot.

mod args;
mod copy;
mod shell;
mod verbs;

use std::process::ExitCode;

use args::{Args, BackendKind, Verb};
use clap::Parser;

use crate::linux::Routers;
use crate::visitor::{Kind, Visitor};
use crate::{
    Backend, Error, InstancePorts, LinuxBackend, LinuxConfig, ProcessBackend, ProcessConfig,
    Result, teardown,
};

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
    let backend: Box<dyn Backend> = match args.verb.needs_the_depot() {
        Some(verb) => open(kind(&args))
            .await
            .map_err(|e| name_the_verb(e, verb))?,
        None => Box::new(Visitor::enter(kind(&args))),
    };
    verbs::run(backend.as_ref(), args).await
}

/// The lock's error knows only that the depot could not be opened.
fn name_the_verb(error: Error, verb: &'static str) -> Error {
    match error {
        Error::Served { depot, holder, .. } => Error::Served {
            verb,
            depot,
            holder,
        },
        other => other,
    }
}

async fn open(kind: Kind) -> Result<Box<dyn Backend>> {
    Ok(match kind {
        Kind::Linux(config) => Box::new(LinuxBackend::open(*config).await?),
        Kind::Process(config) => Box::new(ProcessBackend::open(config)?),
    })
}

fn kind(args: &Args) -> Kind {
    let wshd = args.wshd.clone().unwrap_or_else(beside_own_program);
    let depot = args.depot.clone();
    match args.backend {
        // A forwarder would end together with this program.
        BackendKind::Linux => Kind::Linux(Box::new(LinuxConfig {
            instance_ports: ports_of(&args.depot),
            routers: Routers::left_in(&args.depot).unwrap_or_default().networks,
            depot,
            wshd,
            dns: None,
            ..LinuxConfig::default()
        })),
        BackendKind::Process => Kind::Process(ProcessConfig {
            depot,
            wshd,
            ..ProcessConfig::default()
        }),
    }
}

/// A depot that a DEA has had keeps who is let in; one of our own has no routers.
fn ports_of(depot: &std::path::Path) -> InstancePorts {
    match Routers::left_in(depot) {
        Some(_) => InstancePorts::Routers,
        None => InstancePorts::Anyone,
    }
}

fn beside_own_program() -> std::path::PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.with_file_name("wshd")
}
