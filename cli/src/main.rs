//! The `cf` program.

fn main() -> std::process::ExitCode {
    cli::program::main(std::env::args().skip(1).collect())
}
