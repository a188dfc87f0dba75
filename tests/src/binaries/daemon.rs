//! A daemon started by hand from a configuration, as an operator would.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::programs::program;
use super::wait::eventually;

/// A program that goes on running; ended the polite way, then the hard way, when dropped.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts `name --config FILE`; both outputs go to `FILE.log`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(name: &str, config: &Path) -> Self {
        let mut command = Command::new(program(name));
        command.arg("--config").arg(config);
        Self::spawn(name, command, config.with_extension("log"))
    }

    /// Starts any command, its output going to `log`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(name: &str, mut command: Command, log: PathBuf) -> Self {
        let out = std::fs::File::create(&log).expect("the story's directory is writable");
        let err = out.try_clone().expect("a descriptor can be doubled");
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let child = command
            .spawn()
            .unwrap_or_else(|e| panic!("{name} cannot be started: {e}"));
        let name = name.to_owned();
        Self { name, child, log }
    }

    /// Waits until its log says `text`.
    ///
    /// # Panics
    /// With the log, when it does not.
    pub fn wait_for(&self, text: &str) {
        eventually(&format!("{} says {text:?}", self.name), || {
            let said = self.said();
            match said.contains(text) {
                true => Ok(()),
                false => Err(said),
            }
        });
    }

    /// Everything it has said.
    pub fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- {}:\n{}", self.name, self.said());
        }
        let pid = self.child.id().to_string();
        let _ = Command::new("kill").args(["-TERM", &pid]).status();
        for _ in 0..400 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
