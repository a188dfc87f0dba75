//! The `router` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    component::main(
        "router",
        component::Threads::PerCore,
        component::NewFiles::Private,
        router::start,
    )
}
