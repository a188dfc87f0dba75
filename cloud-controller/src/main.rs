//! `cloud-controller`: the daemon.

fn main() -> std::process::ExitCode {
    component::main(
        "cloud-controller",
        component::Threads::PerCore,
        component::NewFiles::Private,
        cloud_controller::start,
    )
}
