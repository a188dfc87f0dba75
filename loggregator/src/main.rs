//! `loggregator`: the log server alone.

fn main() -> std::process::ExitCode {
    component::main(
        "loggregator",
        component::Threads::PerCore,
        loggregator::daemon::start,
    )
}
