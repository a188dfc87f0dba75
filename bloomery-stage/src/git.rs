//! Cloning a buildpack: shallow where the server can, never with a question.

use std::path::Path;
use std::process::{Command, Output};

use crate::error::StageError;
use crate::location::Location;
use crate::program::{self, MISSING, TIMED_OUT};

/// What git says when only a complete clone can succeed: a server of plain files,
/// or a reference that is a commit.
const NOT_SHALLOW: [&str; 3] = ["shallow", "dumb http", "Remote branch"];

/// Clones into the new directory `dir`.
pub fn clone(location: &Location, dir: &Path, seconds: u64) -> Result<(), StageError> {
    let reference = location.reference.as_deref();
    let mut shallow = git(seconds);
    shallow.args([
        "clone",
        "--quiet",
        "--depth",
        "1",
        "--recurse-submodules",
        "--shallow-submodules",
    ]);
    if let Some(reference) = reference {
        shallow.args(["-b", reference]);
    }
    let output = run(shallow.args(["--", &location.url]).arg(dir))?;
    if output.status.success() {
        return Ok(());
    }
    if !NOT_SHALLOW.iter().any(|sign| words(&output).contains(sign)) {
        return Err(failed(location, seconds, &output));
    }
    // Cut-off remains of the first attempt.
    let _ = std::fs::remove_dir_all(dir);
    complete(location, dir, seconds)
}

fn complete(location: &Location, dir: &Path, seconds: u64) -> Result<(), StageError> {
    let mut full = git(seconds);
    full.args([
        "clone",
        "--quiet",
        "--recurse-submodules",
        "--",
        &location.url,
    ])
    .arg(dir);
    let output = run(&mut full)?;
    if !output.status.success() {
        return Err(failed(location, seconds, &output));
    }
    let Some(reference) = &location.reference else {
        return Ok(());
    };
    let checkout = run(git(seconds)
        .arg("-C")
        .arg(dir)
        .args(["checkout", "--quiet", reference, "--"]))?;
    if !checkout.status.success() {
        return Err(StageError::UnknownReference {
            url: location.shown(),
            reference: reference.clone(),
        });
    }
    let mut submodules = git(seconds);
    submodules
        .arg("-C")
        .arg(dir)
        .args(["submodule", "--quiet", "update", "--init", "--recursive"]);
    let output = run(&mut submodules)?;
    match output.status.success() {
        true => Ok(()),
        false => Err(failed(location, seconds, &output)),
    }
}

/// git without questions, without settings of anybody, over http and https only —
/// submodules too.
fn git(seconds: u64) -> Command {
    let mut command = program::limited(seconds);
    command.arg("git").envs([
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_ASKPASS", "true"),
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_ALLOW_PROTOCOL", "https:http"),
        ("LC_ALL", "C"),
    ]);
    command
}

fn run(command: &mut Command) -> Result<Output, StageError> {
    let output = command.output().map_err(|source| StageError::Program {
        program: "timeout".into(),
        source,
    })?;
    match output.status.code() {
        Some(MISSING) => Err(StageError::NoTool {
            tool: "git",
            what: "a buildpack in a git repository",
        }),
        _ => Ok(output),
    }
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

fn failed(location: &Location, seconds: u64, output: &Output) -> StageError {
    let reason = match output.status.code() {
        Some(TIMED_OUT) => format!("not done within {seconds} s"),
        // git repeats the URL as it was given.
        _ => words(output).replace(&location.url, &location.shown()),
    };
    StageError::Clone {
        url: location.shown(),
        reason,
    }
}
