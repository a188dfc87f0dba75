//! `uaa`: the token server alone.

fn main() -> std::process::ExitCode {
    component::main(
        "uaa",
        component::Threads::PerCore,
        component::NewFiles::Private,
        uaa::daemon::start,
    )
}
