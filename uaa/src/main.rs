//! `uaa`: the token server alone.

fn main() -> std::process::ExitCode {
    component::main("uaa", component::Threads::PerCore, uaa::daemon::start)
}
