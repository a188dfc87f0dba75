//! The `cf` program.

use clap::Parser;
use std::process::ExitCode;

use cli::ui::Ui;
use cli::{Cli, commands};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ui = Ui::new(cli.json);
    // One provider for the whole process; a second installation is harmless.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            ui.failed(&error.to_string());
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(commands::run(cli, ui)) {
        Ok(code) => code,
        Err(error) => {
            ui.failed(&error.to_string());
            ExitCode::FAILURE
        }
    }
}
