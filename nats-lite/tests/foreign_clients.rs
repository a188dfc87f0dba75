//! Clients we did not write, from other languages: nats-py from PyPI and `nats` from npm.
//!
//! Each script holds all its conversations twice: in the clear, and over TLS with a client
//! certificate. At its end the server says that it will go, goes, and comes back on the same port.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::Server;
use common::certificates::Files;
use nats_lite::config::{Config, Tls, User};
use nats_lite::limits::Limits;

#[test]
fn nats_py_holds_all_its_conversations() {
    let python = needed(
        python_with_nats(),
        "a Python with nats-py: set BLOOMERY_NATS_PY_PYTHON",
    );
    if let Some(python) = python {
        hold_conversations(|| {
            let mut command = Command::new(&python);
            command.arg(script("nats_py_client.py"));
            command
        });
    }
}

#[test]
fn nats_js_holds_all_its_conversations() {
    let dir = needed(
        node_with_nats(),
        "node with the package nats: set BLOOMERY_NATS_JS_DIR",
    );
    if let Some(dir) = dir {
        hold_conversations(|| {
            let mut command = Command::new("node");
            command
                .env("NATS_JS_DIR", &dir)
                .arg(script("nats_js_client.mjs"));
            command
        });
    }
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name)
}

/// A laptop may do without; CI may not.
fn needed<T>(found: Option<T>, what: &str) -> Option<T> {
    assert!(
        found.is_some() || std::env::var("CI").as_deref() != Ok("true"),
        "CI needs {what}"
    );
    if found.is_none() {
        eprintln!("SKIPPED: there is no {what}");
    }
    found
}

fn hold_conversations(command: impl Fn() -> Command) {
    let files = Files::new();
    let tls = Tls {
        verify: true,
        ..files.tls()
    };
    for tls in [None, Some(tls)] {
        let server = Server::lite(config(tls.clone()));
        let mut command = command();
        command.arg(format!("nats://{}", server.addr()));
        if tls.is_some() {
            command.args(["ca.pem", "client.pem", "client.key"].map(|name| files.path(name)));
        }
        hold(command, server, tls);
    }
}

/// One user with a hashed password who may not say everything.
fn config(tls: Option<Tls>) -> Config {
    let subjects = [
        "greet.*", "service", "nobody", "limited", "big", "back", "_INBOX.>",
    ];
    let user = User {
        user: "guest".into(),
        password: bcrypt::hash("hunter2", 4).unwrap(),
        publish: Some(subjects.map(String::from).into()),
        ..User::default()
    };
    let limits = Limits {
        lame_duck_grace_period: 0.05,
        lame_duck_duration: 0.05,
        ..Limits::default()
    };
    Config {
        users: vec![user],
        tls,
        limits,
        ..Config::on_free_port()
    }
}

fn hold(mut command: Command, server: Server, tls: Option<Tls>) {
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut client = Client(child);
    let mut said = BufReader::new(client.0.stdout.take().unwrap()).lines();
    let mut next = || said.next().map(Result::unwrap);
    assert_eq!(next().as_deref(), Some("waiting for the lame duck"));
    let listen = server.addr();
    let Server::Lite(running, runtime) = &server else {
        unreachable!("started as nats-lite")
    };
    let running = running.as_ref().unwrap();
    running.lame_duck();
    let ended = async { tokio::time::timeout(common::PATIENCE, running.ended()).await };
    runtime.block_on(ended).expect("the server ends by itself");
    drop(server);
    let _back = Server::lite(Config {
        listen,
        ..config(tls)
    });
    assert_eq!(next().as_deref(), Some("all conversations held"));
    assert!(client.0.wait().unwrap().success());
}

/// A client program that ends with the test.
struct Client(Child);

impl Drop for Client {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The Python the task runner prepared, or one made here.
fn python_with_nats() -> Option<PathBuf> {
    if let Some(python) = std::env::var_os("BLOOMERY_NATS_PY_PYTHON") {
        return Some(python.into());
    }
    let venv = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nats-py-venv");
    let python = venv.join("bin/python");
    let usable = || {
        Command::new(&python)
            .args(["-c", "import nats"])
            .output()
            .is_ok_and(|output| output.status.success())
    };
    if usable() {
        return Some(python);
    }
    let made = Command::new("python3")
        .args(["-m", "venv"])
        .arg(&venv)
        .output()
        .is_ok_and(|output| output.status.success());
    let install = || {
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "nats-py"])
            .output()
    };
    (made && install().is_ok() && usable()).then_some(python)
}

/// The folder the task runner prepared, or one made here.
fn node_with_nats() -> Option<PathBuf> {
    if let Some(dir) = std::env::var_os("BLOOMERY_NATS_JS_DIR") {
        return Some(dir.into());
    }
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("nats-js");
    let usable = || dir.join("node_modules/nats/package.json").is_file();
    if !usable() {
        std::fs::create_dir_all(&dir).ok()?;
        let install = Command::new("npm")
            .args(["install", "--no-audit", "--no-fund", "--prefix"])
            .arg(&dir)
            .arg("nats@2")
            .output();
        install.ok()?;
    }
    let node = Command::new("node").arg("--version").output();
    (usable() && node.is_ok_and(|output| output.status.success())).then_some(dir)
}
