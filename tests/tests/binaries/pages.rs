//! Pages of the documentation, typed by a test: their blocks in their order, in a
//! directory and a network of the story's own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tests::binaries::{HostSnapshot, Turn, may_run, programs_directory};

const OPERATE: &str = include_str!("../../../docs/operate.md");
const QUICKSTART: &str = include_str!("../../../docs/quickstart.md");

/// A page that fails must not leave its daemons and its hosts to the next story.
const CLEAN_UP: &str = "code=$?; set +e; exec > /dev/null 2>&1; bloomery down --purge; kill $(cat run/*.pid) $(jobs -p); \
    for host in control edge cell; do ip netns del bl-$host; done; exit $code";

/// The commands of all blocks of the page that carry this word, in their order.
fn blocks(page: &str, word: &str) -> String {
    let fence = format!("```sh {word}\n");
    let texts: Vec<&str> = page
        .split(&fence)
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    assert!(!texts.is_empty(), "no block {word:?} on the page");
    texts.concat()
}

/// The blocks as one script, run from the repository, in a network namespace of its own.
fn typed(page: &str, prefix: &Path, words: &[&str]) -> Output {
    let mut script = format!("set -eu\ntrap '{CLEAN_UP}' EXIT\n");
    for word in words {
        script.push_str(&blocks(page, word));
    }
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c"]);
    command.arg(format!("ip link set lo up\n{script}"));
    command
        .current_dir(root)
        .env("PATH", path)
        .env("PREFIX", prefix)
        .env("BLOOMERY_DATA_DIR", prefix)
        .env("CF_HOME", prefix.with_extension("home"))
        .env("NO_COLOR", "1")
        // The programs are there: `./x install` must not build them once more.
        .env("BLOOMERY_BIN_DIR", programs_directory())
        .stdin(Stdio::null());
    command.output().unwrap()
}

fn run(page: &str, words: &[&str], expected: &[&str]) {
    if !may_run() {
        return;
    }
    let _turn = Turn::take();
    let dir = tempfile::Builder::new()
        .prefix("bloomery-operate-")
        .tempdir()
        .unwrap();
    let prefix = dir.path().join("bloomery");
    let before = HostSnapshot::take(&prefix);
    let output = typed(page, &prefix, words);
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        for log in std::fs::read_dir(prefix.join("logs")).into_iter().flatten() {
            let log = log.unwrap().path();
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            eprintln!("--- {}\n{text}", log.display());
        }
        panic!("the page does not work: {}\n{said}", output.status);
    }
    for words in expected {
        assert!(said.contains(words), "no {words:?} in:\n{said}");
    }
    let _ = std::fs::remove_dir_all(&prefix);
    let left = HostSnapshot::take(&prefix).beyond(&before);
    assert!(left.is_empty(), "left behind: {left:#?}\n{said}");
}

#[test]
fn operating_starts_every_daemon_by_hand_on_one_host() {
    let words = ["install", "words", "one-host", "push", "drain", "stop"];
    run(OPERATE, &words, &["iron from ore"]);
}

#[test]
fn operating_spreads_the_daemons_over_three_hosts() {
    let words = ["install", "words", "three-hosts"];
    run(OPERATE, &words, &["three hosts"]);
}

#[test]
fn the_quickstart_goes_from_nothing_to_nothing() {
    let seen = ["Hello from Bloomery", "1538", "COLOR"];
    run(QUICKSTART, &["quickstart"], &seen);
}
