//! From what was typed to the exit code: 0 when it went well, 1 when it did not.

use std::process::ExitCode;

use crate::context::Context;
use crate::error::CfError;
use crate::line::parse::{self, Asked};
use crate::line::{Args, Spec, completion, help};
use crate::ui::Ui;

/// Runs one command line, without the program's name.
pub fn main(typed: Vec<String>) -> ExitCode {
    let ui = Ui::new(parse::wants_json(&typed));
    match run(&ui, &typed) {
        Ok(()) => {
            ui.finish();
            ExitCode::SUCCESS
        }
        Err(CfError::Exit(code)) => ExitCode::from(code),
        Err(error) => {
            ui.failed(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(ui: &Ui, typed: &[String]) -> Result<(), CfError> {
    match parse::parse(typed)? {
        Asked::Overview => ui.raw(help::overview().trim_end()),
        Asked::Page(spec) => ui.raw(help::page(spec).trim_end()),
        Asked::Version => ui.raw(&format!("cf version {}", env!("CARGO_PKG_VERSION"))),
        Asked::Completion(shell) => ui.raw(completion::script(&shell)?.trim_end()),
        Asked::Run(spec, args) => talk(ui, spec, &args)?,
    }
    Ok(())
}

/// Runs a command that speaks to a controller.
fn talk(ui: &Ui, spec: &Spec, args: &Args) -> Result<(), CfError> {
    // One provider for the whole process; a second installation is harmless.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| CfError::Other(format!("cannot start: {e}")))?;
    let mut cx = Context::load(ui.clone())?;
    runtime.block_on((spec.run)(&mut cx, args))
}
