//! The `dea` program: chooses a container backend and runs one DEA.

fn main() -> std::process::ExitCode {
    component::main(
        "dea",
        component::Threads::PerCore,
        component::NewFiles::ForContainers,
        dea::program::start,
    )
}
