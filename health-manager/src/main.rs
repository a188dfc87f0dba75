//! The `health-manager` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    component::main(
        "health-manager",
        component::Threads::One,
        component::NewFiles::Private,
        health_manager::start,
    )
}
