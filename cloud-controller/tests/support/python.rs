//! Programs from PyPI, in virtual environments of ours below the target directory.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The programs of an environment with these packages, made when it is missing; absent when that fails.
pub(crate) fn environment(name: &str, packages: &[&str]) -> Option<PathBuf> {
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-venv"));
    let (programs, made) = (venv.join("bin"), venv.join("complete"));
    let done = |command: &mut Command| command.output().is_ok_and(|out| out.status.success());
    if made.exists() {
        return Some(programs);
    }
    let empty = done(Command::new("python3").args(["-m", "venv"]).arg(&venv));
    // Compiled when it is first used: most of it never is.
    let mut pip = Command::new(programs.join("python"));
    pip.args(["-m", "pip", "install", "--quiet", "--no-compile"]);
    let full = empty && done(pip.args(packages));
    (full && std::fs::write(made, "").is_ok()).then_some(programs)
}

/// Fails when tests run in CI, where nothing may be missing.
pub(crate) fn skip(what: &str) {
    let text = format!("{what} could not be installed from PyPI");
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{text}");
    eprintln!("skipped: {text}");
}
