//! Where the real programs are, and typing one of them outside of any platform.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::typed::Typed;

/// Directory of the programs: `BLOOMERY_BIN_DIR`, or where cargo put them.
///
/// # Panics
/// Where a process cannot find its own program.
pub fn directory() -> PathBuf {
    let own = std::env::current_exe().expect("a process knows its program");
    let built = own
        .ancestors()
        .nth(2)
        .expect("cargo puts tests below deps")
        .to_owned();
    std::env::var_os("BLOOMERY_BIN_DIR").map_or(built, PathBuf::from)
}

/// Path of a program of ours.
///
/// # Panics
/// When it was not built.
pub fn program(name: &str) -> PathBuf {
    let path = directory().join(name);
    assert!(
        path.is_file(),
        "{} is missing: run `./x build` first",
        path.display()
    );
    path
}

/// Types a program that ends by itself, with these variables as its whole environment.
///
/// # Panics
/// When it cannot be run.
pub fn typed(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Typed {
    let mut command = Command::new(program(name));
    command.args(arguments).stdin(Stdio::null());
    command.env_clear().envs(environment.iter().copied());
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{name} cannot be run: {e}"));
    Typed::new(format!("{name} {}", arguments.join(" ")), &output)
}
