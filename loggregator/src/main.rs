//! `loggregator`: the log server alone.

fn main() -> std::process::ExitCode {
    component::main(
        "loggregator",
        component::Threads::PerCore,
        component::NewFiles::Private,
        loggregator::daemon::start,
    )
}
