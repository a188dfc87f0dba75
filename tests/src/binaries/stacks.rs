//! The stack `debian12`, built once per machine.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use super::programs::{directory, program};

/// Builds the stack unless it is there, and returns the directory of the stacks; none
/// on a machine that cannot build it.
///
/// # Panics
/// When the build fails, and with `CI=true` when the machine cannot build.
pub fn debian12() -> Option<PathBuf> {
    let out = directory()
        .parent()
        .expect("programs are below target")
        .join("stacks");
    if !PathBuf::from("/usr/bin/mmdebstrap").is_file() {
        let is_ci = std::env::var("CI").is_ok_and(|v| v == "true");
        assert!(
            !is_ci,
            "mmdebstrap is missing, and with CI=true the stack must be built"
        );
        eprintln!("skipped: mmdebstrap is missing");
        return None;
    }
    let began = Instant::now();
    let status = Command::new(program("bloomery"))
        .args(["stack", "build", "--profile", "lean", "--out"])
        .arg(&out)
        .status();
    assert!(
        status.is_ok_and(|s| s.success()),
        "the stack could not be built"
    );
    eprintln!(
        "stack debian12: {:.1} min",
        began.elapsed().as_secs_f64() / 60.0
    );
    Some(out)
}
