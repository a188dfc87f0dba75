//! The `bloomery` program.

use std::path::PathBuf;
use std::process::ExitCode;

use bloomery::args::{Cli, Command, StackCommand, StackDir};
use bloomery::layout::Layout;
use bloomery::{Error, bench, demo, down, logs, stack, status, up};
use clap::Parser;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // One provider for the whole process; a second installation is harmless.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(cli.command)),
        Err(e) => Err(Error::Usage(e.to_string())),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bloomery: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Up(flags) => up::run(&flags).await,
        Command::Status { place, json } => status::run(&place.data_dir, json).await,
        Command::Down { place, purge } => down::run(&place.data_dir, purge).await,
        Command::Logs {
            component,
            place,
            follow,
            lines,
        } => logs::run(&place.data_dir, component.as_deref(), lines, follow).await,
        Command::Demo(flags) => demo::run(&flags).await,
        Command::Bench { apps } => bench::run(&apps).await,
        Command::Stack { command } => make_stack(&command),
        Command::Supervise { place } => up::supervise(&place.data_dir).await,
    }
}

fn make_stack(command: &StackCommand) -> Result<(), Error> {
    match command {
        StackCommand::Build(flags) => stack::build(flags, &stacks(&flags.dir)?)?,
        StackCommand::Import(flags) => stack::import(flags, &stacks(&flags.dir)?)?,
    }
    Ok(())
}

fn stacks(dir: &StackDir) -> Result<PathBuf, Error> {
    let out = match &dir.out {
        Some(out) => out.clone(),
        None => Layout::new(&dir.place.data_dir)?.stacks(),
    };
    std::path::absolute(&out).map_err(Error::file("resolve", out))
}
