//! The `cf` beside us, with a session of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A session.
pub(crate) struct Cf {
    program: PathBuf,
    home: PathBuf,
}

impl Cf {
    /// A session kept in `home`.
    pub(crate) fn new(program: PathBuf, home: &Path) -> Self {
        Self {
            program,
            home: home.into(),
        }
    }

    /// Runs a command and returns its standard output; on failure everything it said is the cause.
    pub(crate) fn run(&self, args: &[&str]) -> Result<String, String> {
        self.run_with(args, &[])
    }

    /// The same with environment variables.
    pub(crate) fn run_with(&self, args: &[&str], env: &[(&str, &str)]) -> Result<String, String> {
        let mut command = Command::new(&self.program);
        command
            .args(args)
            .env("CF_HOME", &self.home)
            .envs(env.iter().copied());
        let output = command.output().map_err(|e| format!("cf: {e}"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(text);
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        Err(format!("cf {} said:\n{text}{errors}", args.join(" ")))
    }
}
