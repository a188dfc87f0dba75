//! The `nats-lite` program: file, environment and flags in, a server until a signal ends it.

use std::process::ExitCode;

fn main() -> ExitCode {
    nats_lite::program::run(std::env::args_os())
}
