//! Containers by hand; see `wardenctl --help`.

fn main() -> std::process::ExitCode {
    warden::ctl::main()
}
