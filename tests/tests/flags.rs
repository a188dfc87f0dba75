//! The manners every daemon shares: `--print-config`, `--check-config` and the examples.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tests::binaries::typed;

/// A daemon and what these stories need to know of its keys.
struct Daemon {
    name: &'static str,
    /// Variable that sets a secret; none where secrets are in files of their own.
    secret: Option<&'static str>,
    /// Variables without which it refuses to run.
    needed: &'static [&'static str],
    /// A file with a bad value in its last line, and that key.
    bad: (&'static str, &'static str),
}

const DAEMONS: [Daemon; 7] = [
    Daemon {
        name: "cloud-controller",
        secret: Some("CLOUD_CONTROLLER__BUS__PASSWORD"),
        needed: &[
            "CLOUD_CONTROLLER__STAGING_AUTH__PASSWORD",
            "CLOUD_CONTROLLER__BULK_AUTH__PASSWORD",
            "CLOUD_CONTROLLER__INTERNAL_AUTH__PASSWORD",
        ],
        bad: (
            "limits:\n  default_app_memory_mb: many",
            "limits.default_app_memory_mb",
        ),
    },
    Daemon {
        name: "dea",
        secret: Some("DEA__LOGGREGATOR__AUTH__PASSWORD"),
        needed: &[],
        bad: ("resources:\n  memory_mb: many", "resources.memory_mb"),
    },
    Daemon {
        name: "router",
        secret: Some("ROUTER__STATUS__PASSWORD"),
        needed: &[],
        bad: ("dial_timeout: soon", "dial_timeout"),
    },
    Daemon {
        name: "health-manager",
        secret: Some("HEALTH_MANAGER__BULK_API__PASSWORD"),
        needed: &[],
        bad: ("batch_size: many", "batch_size"),
    },
    Daemon {
        name: "uaa",
        secret: None,
        needed: &[],
        bad: ("refresh_token_seconds: many", "refresh_token_seconds"),
    },
    Daemon {
        name: "loggregator",
        secret: Some("LOGGREGATOR__INTAKE_PASSWORD"),
        needed: &["LOGGREGATOR__INTAKE_PASSWORD"],
        bad: ("recent_bytes_total: many", "recent_bytes_total"),
    },
    Daemon {
        name: "nats-lite",
        secret: Some("NATS_LITE__TOKEN"),
        needed: &[],
        bad: ("limits:\n  max_payload: many", "limits.max_payload"),
    },
];

/// A value that no key name and no default contains.
const SECRET: &str = "hunter2-9f3c";

/// How a problem is said: with the file in front of the line, or once above them all.
fn names(said: &str, file: &str, line: usize, key: &str) -> bool {
    let together = said.contains(&format!("{file}:{line}: {key}: "));
    let apart = said.contains(&format!("{file}:\n")) && {
        let start = format!("line {line}: {key}: ");
        said.lines().any(|said| said.starts_with(&start))
    };
    together || apart
}

/// Keys of secrets that are printed as hidden; an empty secret is not.
fn hidden(printed: &str) -> usize {
    let keys = ["password", "intake_password", "token"];
    printed
        .lines()
        .filter_map(|line| line.trim().split_once(':'))
        .filter(|(key, value)| keys.contains(key) && value.contains("redacted"))
        .count()
}

#[test]
fn every_daemon_prints_its_configuration_without_the_secrets_it_was_given() {
    for daemon in DAEMONS {
        let variables: BTreeSet<&str> = daemon
            .needed
            .iter()
            .chain(&daemon.secret)
            .copied()
            .collect();
        let environment: Vec<(&str, &str)> = variables.iter().map(|name| (*name, SECRET)).collect();
        let printed = typed(daemon.name, &["--print-config"], &environment).well();
        assert!(!printed.text().contains(SECRET), "a secret in {printed}");
        assert_eq!(
            hidden(printed.text()),
            variables.len(),
            "{variables:?} are not the secrets of {printed}"
        );
    }
}

#[test]
fn the_token_server_prints_where_its_secret_is_and_not_the_secret() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("admin");
    std::fs::write(&file, SECRET).unwrap();
    let file = file.to_str().unwrap();
    let environment = [
        ("UAA__ADMIN_USER", "admin"),
        ("UAA__ADMIN_PASSWORD_FILE", file),
    ];
    let printed = typed("uaa", &["--print-config"], &environment).well();
    assert!(!printed.text().contains(SECRET), "a secret in {printed}");
    printed.says(&[&format!("admin_password_file: {file}")]);
}

#[test]
fn every_daemon_refuses_an_unknown_key_and_a_bad_value_naming_both_lines() {
    let dir = tempfile::tempdir().unwrap();
    for daemon in DAEMONS {
        let file = dir.path().join(format!("{}.yml", daemon.name));
        let (text, key) = daemon.bad;
        std::fs::write(&file, format!("no_such_key: 1\n{text}\n")).unwrap();
        let file = file.to_str().unwrap();
        let said = typed(daemon.name, &["--config", file, "--check-config"], &[]).exited_with(2);
        let last = 1 + text.lines().count();
        for (line, key) in [(1, "no_such_key"), (last, key)] {
            assert!(
                names(said.text(), file, line, key),
                "{key} at line {line} is not named by {said}"
            );
        }
    }
}

fn examples() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/config");
    let entries = std::fs::read_dir(dir).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// `secrets.env` as operators make it, without the shell's quotes.
fn new_secrets() -> String {
    let dir = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/new-secrets");
    let status = std::process::Command::new(script)
        .current_dir(dir.path())
        .stdout(std::process::Stdio::null())
        .status();
    assert!(status.unwrap().success());
    let text = std::fs::read_to_string(dir.path().join("secrets.env")).unwrap();
    text.replace('\'', "")
}

#[test]
fn every_example_passes_the_check_of_its_daemon() {
    assert!(!examples().is_empty());
    let made = new_secrets();
    let secrets: Vec<(&str, &str)> = made.lines().filter_map(|l| l.split_once('=')).collect();
    for example in examples() {
        let name = example.file_stem().and_then(|stem| stem.to_str()).unwrap();
        assert!(
            DAEMONS.iter().any(|daemon| daemon.name == name),
            "{} is named after no daemon",
            example.display()
        );
        let file = example.to_str().unwrap();
        typed(name, &["--config", file, "--check-config"], &secrets).exited_with(0);
    }
}
