//! Keeper and init of one container; see `warden/README.md`.

fn main() {
    std::process::exit(warden::wshd::main(std::env::args_os()));
}
