//! Buildpacks of developers and operators: by URL, order, cache, and what staging may
//! not reach.

use std::path::Path;
use std::process::Command;

use reqwest::Method;
use serde_json::json;
use tests::binaries::{Neighbour, Platform, Scripts, may_run};

/// A buildpack that leaves a word in the app, and runs the probe.
fn marked(word: &str) -> String {
    format!("echo compiled by {word}; echo {word} > \"$1/mark\"")
}

const PROBE: &str = "printf 'default_process_types:\\n  web: exec /usr/bin/python3 probe.py\\n'";

/// A repository with `main`, a branch `next` and a branch `empty`, served as plain files.
fn repository(served: &Path) {
    let work = served.join("work");
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(&work).args([
            "-c",
            "user.name=story",
            "-c",
            "user.email=story@localhost",
        ]);
        let done = command.args(arguments).output().unwrap();
        assert!(done.status.success(), "git {arguments:?}: {done:?}");
    };
    let write = |word: &str| {
        let compile = marked(word);
        let scripts = Scripts {
            detect: "exit 1",
            compile: &compile,
            release: PROBE,
        };
        for (name, text) in scripts.files() {
            let path = work.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    };
    std::fs::create_dir_all(&work).unwrap();
    git(&["init", "--quiet", "-b", "main"]);
    for word in ["main", "next"] {
        write(word);
        git(&["checkout", "--quiet", "-B", word]);
        git(&["add", "--all"]);
        git(&["commit", "--quiet", "-m", word]);
    }
    git(&["checkout", "--quiet", "-b", "empty"]);
    git(&["rm", "--quiet", "bin/compile"]);
    git(&["commit", "--quiet", "-m", "empty"]);
    git(&["checkout", "--quiet", "main"]);
    let bare = served.join("pack.git").display().to_string();
    git(&["clone", "--quiet", "--bare", ".", &bare]);
    // What a server of plain files needs.
    git(&["--git-dir", &bare, "update-server-info"]);
}

#[test]
fn a_buildpack_by_url_is_fetched_once_the_operator_permits_its_address() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let served = platform.scratch().join("served");
    std::fs::create_dir(&served).unwrap();
    repository(&served);
    let compile = marked("zip");
    let zip = Scripts {
        detect: "exit 1",
        compile: &compile,
        release: PROBE,
    }
    .zip();
    std::fs::write(served.join("pack.zip"), zip).unwrap();
    let neighbour = Neighbour::serving(&served);
    let (address, git) = (
        neighbour.address(),
        format!("http://{}/pack.git", neighbour.address()),
    );
    let app = platform.app("app");
    let host = neighbour.host();
    app.push("probe", &["-b", &git]).failed().says(&[
        &format!("staging may not reach {host} port 8000"),
        &format!("bloomery up --allow {address}"),
    ]);
    platform.kill_everything();
    platform.resume(&["--allow", address]).well();
    for (reference, word) in [("", "compiled by main"), ("#next", "compiled by next")] {
        app.push("probe", &["-b", &format!("{git}{reference}")])
            .well();
        app.restage().well().says(&["Cloning buildpack pack", word]);
        app.body("/");
    }
    app.push("probe", &["-b", &format!("http://{address}/pack.zip")])
        .well();
    app.restage().well().says(&["compiled by zip"]);
    for (url, words) in [
        (
            format!("{git}#no-such"),
            "has no branch, tag or commit no-such",
        ),
        (
            format!("{git}#empty"),
            "is not a buildpack: it has no bin/compile",
        ),
        (
            format!("http://{address}/no-such.git"),
            "git clone of the buildpack",
        ),
        (format!("http://{address}/no-such.zip"), "404"),
    ] {
        app.push("probe", &["-b", &url, "--no-start"]).well();
        app.restage().failed().says(&[words]);
    }
}

#[test]
fn a_connection_that_staging_was_refused_is_named_in_log_and_error() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let caller = Scripts {
        detect: "exit 1",
        compile: "/usr/bin/python3 -c 'import socket; socket.create_connection((\"10.77.0.1\", 8443), 5)'",
        release: "echo '--- {}'",
    };
    platform.install_buildpack("caller", 1, caller);
    let app = platform.app("app");
    let words = "Staging was refused connections to 10.77.0.1:8443 (tcp)";
    app.push("probe", &["-b", "caller"]).failed().says(&[
        "BuildpackCompileFailed",
        words,
        "bloomery up --allow 10.77.0.1:8443",
    ]);
    platform
        .cf(&["logs", "app", "--recent"])
        .well()
        .says(&[words]);
}

/// Leaves a word in the cache the first time, and shows it ever after.
const CACHING: Scripts<'_> = Scripts {
    detect: "exit 1",
    compile: "if [ -f \"$2/word\" ]; then echo \"cache says $(cat \"$2/word\")\"; else head -c 8 /proc/sys/kernel/random/uuid > \"$2/word\"; echo \"cache gets $(cat \"$2/word\")\"; fi",
    release: PROBE,
};

#[test]
fn the_build_cache_survives_pushes_restarts_and_other_buildpacks() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    platform.install_buildpack("caching", 1, CACHING);
    let app = platform.app("app");
    let first = app.push("probe", &["-b", "caching"]).well();
    let (_, rest) = first
        .text()
        .split_once("cache gets ")
        .unwrap_or_else(|| panic!("{first}"));
    let word = format!("cache says {}", &rest[..8]);
    app.restage().well().says(&[&word]);
    let with = |buildpack: &str| {
        app.push("probe", &["-b", buildpack]).well();
        app.restage().well()
    };
    with("binary_buildpack").says(&["Nothing to build"]);
    platform.kill_everything();
    platform.resume(&[]).well();
    with("caching").says(&[&word]);
}

#[test]
fn detection_follows_position_and_never_asks_a_disabled_buildpack() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let [one, two] = ["one", "two"].map(|name| {
        let (detect, compile) = (format!("echo detected {name}"), marked(name));
        let scripts = Scripts {
            detect: &detect,
            compile: &compile,
            release: PROBE,
        };
        platform.install_buildpack(name, 1, scripts)
    });
    let app = platform.app("app");
    // The later one took the first position.
    app.push("probe", &[]).well().says(&["compiled by two"]);
    let change = |path: &str, body: serde_json::Value| {
        let typed = platform.cf(&["curl", "-X", "PUT", path, "-d", &body.to_string()]);
        typed.well().says(&["\"metadata\""]);
    };
    change(&one, json!({"position": 1}));
    app.restage().well().says(&["compiled by one"]);
    change(&one, json!({"enabled": false}));
    app.restage().well().says(&["compiled by two"]);
    change(&two, json!({"locked": true}));
    let again = Scripts {
        detect: "exit 1",
        compile: "exit 1",
        release: "exit 1",
    };
    let refused = platform.upload(&format!("{two}/bits"), "buildpack", again.zip(), &[]);
    assert_eq!(refused.status, 409, "{refused:?}");
    change(&two, json!({"enabled": false}));
    app.restage().well().says(&["Binary"]);
    let known = platform.api(Method::GET, &one, None).unwrap();
    assert_eq!(known.json()["entity"]["enabled"], false, "{known:?}");
}
