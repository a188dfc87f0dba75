//! A platform of real programs in a directory of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use super::apps::App;
use super::load::Load;
use super::programs::{directory, program};
use super::typed::Typed;
use super::wait::eventually;

/// What a story needs beside itself.
const PROGRAMS: [&str; 9] = [
    "bloomery",
    "cf",
    "nats-lite",
    "cloud-controller",
    "router",
    "health-manager",
    "dea",
    "wardenctl",
    "wshd",
];

/// First choice of ports; `bloomery up` takes the next free one.
const ROUTER_PORT: &str = "18300";
const API_PORT: &str = "18400";

/// Whether the stories can run here: only root makes containers.
///
/// # Panics
/// With `CI=true` when they cannot: a skipped story would pass unnoticed.
pub fn may_run() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let root = status
        .lines()
        .any(|l| l.starts_with("Uid:") && l.split_whitespace().nth(2) == Some("0"));
    let is_ci = std::env::var("CI").is_ok_and(|v| v == "true");
    assert!(
        root || !is_ci,
        "the stories with real containers need root, and with CI=true they must run"
    );
    if !root {
        eprintln!("skipped: real containers need root");
    }
    root
}

/// Directory of the programs, all of them there.
fn programs() -> PathBuf {
    for name in PROGRAMS {
        program(name);
    }
    directory()
}

/// A component as `bloomery status` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// Name.
    pub name: String,
    /// Pid, 0 when it does not run.
    pub pid: u64,
    /// `running`, `starting` or `down`.
    pub state: String,
    /// How often it was started again.
    pub restarts: u64,
}

/// The right to use the host; stories look at the whole of it and choose ports, so they run one at a time.
#[derive(Debug)]
pub struct Turn {
    _lock: File,
}

impl Turn {
    /// Waits for the others.
    ///
    /// # Panics
    /// When the temporary directory cannot be written.
    pub fn take() -> Self {
        let lock = File::create(std::env::temp_dir().join("bloomery-stories.lock"));
        let lock = lock.expect("the temporary directory is writable");
        lock.lock().expect("a lock can be waited for");
        Self { _lock: lock }
    }
}

/// One platform; taken down with everything it made when dropped.
#[derive(Debug)]
pub struct Platform {
    dir: TempDir,
    programs: PathBuf,
    gone: bool,
    _turn: Option<Turn>,
}

impl Platform {
    /// Brings a platform up with these further flags.
    pub fn up(flags: &[&str]) -> Self {
        let platform = Self::prepared();
        platform.resume(flags).well();
        platform
    }

    /// A directory and a turn, nothing running yet.
    pub fn prepared() -> Self {
        Self::in_new_directory(Some(Turn::take()))
    }

    /// A second platform in the turn of this one, nothing running yet.
    pub fn beside(&self) -> Self {
        Self::in_new_directory(None)
    }

    fn in_new_directory(turn: Option<Turn>) -> Self {
        let dir = tempfile::Builder::new()
            .prefix("bloomery-story-")
            .tempdir()
            .expect("a temporary directory");
        std::fs::create_dir(dir.path().join("home")).expect("a new directory is writable");
        Self {
            dir,
            programs: programs(),
            gone: false,
            _turn: turn,
        }
    }

    /// Types `bloomery up --detach` on this directory, again or for the first time.
    pub fn resume(&self, flags: &[&str]) -> Typed {
        let mut line = vec![
            "up",
            "--detach",
            "--router-port",
            ROUTER_PORT,
            "--api-port",
            API_PORT,
            "--profile",
            "default",
        ];
        line.extend(flags);
        self.bloomery(&line)
    }

    /// Types `bloomery down`: the data stays.
    pub fn end(&self) -> Typed {
        self.bloomery(&["down"])
    }

    /// Types `bloomery down --purge`.
    pub fn down(&mut self) -> Typed {
        self.gone = true;
        self.bloomery(&["down", "--purge"])
    }

    /// Its data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// A directory for files of the story.
    pub fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// A statically linked program that serves files.
    pub fn static_program(&self) -> PathBuf {
        self.programs.join("stage-tools/bloomery-static")
    }

    pub(super) fn cf_home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    /// What was chosen at the first `up`.
    pub fn settings(&self) -> Value {
        let text = std::fs::read(self.data_dir().join("settings.json")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// An app by name.
    pub fn app<'a>(&'a self, name: &'a str) -> App<'a> {
        App::new(self, name)
    }

    /// Starts asking the router for a host of the default domain.
    pub fn load(&self, host: &str) -> Load {
        let settings = self.settings();
        let domain = settings["domain"].as_str().unwrap_or_default();
        let url = format!("http://127.0.0.1:{}/", settings["router_port"]);
        Load::start(url, format!("{host}.{domain}"))
    }

    /// A command of ours, with the story's session and no proxy.
    pub(super) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join(program));
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        command
            .args(arguments)
            .env("PATH", path)
            .env("CF_HOME", self.cf_home())
            .env("NO_COLOR", "1");
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    pub(super) fn typed(&self, mut command: Command, program: &str, arguments: &[&str]) -> Typed {
        let output = command
            .output()
            .unwrap_or_else(|e| panic!("{program} cannot be run: {e}"));
        Typed::new(format!("{program} {}", arguments.join(" ")), &output)
    }

    fn bloomery(&self, arguments: &[&str]) -> Typed {
        let mut command = self.command("bloomery", arguments);
        command.arg("--data-dir").arg(self.data_dir());
        self.typed(command, "bloomery", arguments)
    }

    /// Types a `cf` command.
    pub fn cf(&self, arguments: &[&str]) -> Typed {
        self.typed(self.command("cf", arguments), "cf", arguments)
    }

    /// Types a `cf` command with a password in its environment.
    pub fn cf_with_password(&self, arguments: &[&str], password: &str) -> Typed {
        let mut command = self.command("cf", arguments);
        command
            .env("CF_PASSWORD", password)
            .env("CF_HOME", self.dir.path().join("stranger"));
        self.typed(command, "cf", arguments)
    }

    /// Starts a `cf` command that goes on, with its output to read.
    pub fn cf_running(&self, arguments: &[&str]) -> Child {
        let mut command = self.command("cf", arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        command
            .spawn()
            .unwrap_or_else(|e| panic!("cf cannot be run: {e}"))
    }

    /// The components as `bloomery status --json` shows them.
    pub fn components(&self) -> Vec<Component> {
        let shown = self.bloomery(&["status", "--json"]).well();
        let report: Value = serde_json::from_str(shown.text())
            .unwrap_or_else(|e| panic!("status is no JSON: {e}: {shown}"));
        let component = |line: &Value| Component {
            name: line["name"].as_str().unwrap_or_default().to_owned(),
            pid: line["pid"].as_u64().unwrap_or(0),
            state: line["state"].as_str().unwrap_or_default().to_owned(),
            restarts: line["restarts"].as_u64().unwrap_or(0),
        };
        report["components"]
            .as_array()
            .into_iter()
            .flatten()
            .map(component)
            .collect()
    }

    /// Ends a component the hard way. Returns the pid it had.
    pub fn kill(&self, name: &str) -> u64 {
        self.signal(name, "KILL")
    }

    /// Sends a component a signal. Returns the pid it has.
    pub fn signal(&self, name: &str, signal: &str) -> u64 {
        let component = self.components().into_iter().find(|c| c.name == name);
        let pid = component
            .map(|c| c.pid)
            .filter(|pid| *pid > 1)
            .unwrap_or_else(|| panic!("{name} does not run"));
        send(pid, signal);
        pid
    }

    /// Waits until a component answers under another pid than `old`.
    pub fn wait_for_return(&self, name: &str, old: u64) {
        eventually(&format!("{name} returns after its end"), || {
            let seen = self.components().into_iter().find(|c| c.name == name);
            match seen {
                Some(c) if c.pid != old && c.state == "running" => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }

    /// Ends the supervisor the hard way and waits until it is gone.
    pub fn kill_supervisor(&self) {
        let text = std::fs::read(self.data_dir().join("state.json")).unwrap_or_default();
        let state: Value = serde_json::from_slice(&text).unwrap_or_default();
        let pid = state["supervisor"]["pid"]
            .as_u64()
            .unwrap_or_else(|| panic!("no supervisor in {state}"));
        send(pid, "KILL");
        eventually("the supervisor is gone", || {
            let text = self.bloomery(&["status"]);
            if text.text().contains("No supervisor") {
                Ok(())
            } else {
                Err(text)
            }
        });
    }

    /// Ends the supervisor and every component the hard way; containers stay.
    pub fn kill_everything(&self) {
        self.kill_supervisor();
        for component in self.components() {
            self.kill(&component.name);
        }
    }

    /// The last lines of every component's log.
    fn print_logs(&self) {
        eprintln!("{}", self.bloomery(&["logs", "-n", "25"]));
    }
}

fn send(pid: u64, signal: &str) {
    let status = Command::new("kill")
        .args(["-s", signal, &pid.to_string()])
        .status();
    assert!(
        status.is_ok_and(|s| s.success()),
        "process {pid} cannot be sent {signal}"
    );
}

impl Drop for Platform {
    fn drop(&mut self) {
        if thread::panicking() {
            self.print_logs();
        }
        if !self.gone {
            let end = self.down();
            if !end.succeeded() {
                eprintln!("the platform did not go down cleanly:\n{end}");
            }
        }
    }
}
