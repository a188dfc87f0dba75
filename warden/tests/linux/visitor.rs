//! `wardenctl` beside a backend that serves the depot.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::contract::{plain_spec, script};
use crate::linux;

fn wardenctl(depot: &Path, words: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_wardenctl"))
        .arg("--depot")
        .arg(depot)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keys = child.stdin.take().unwrap();
    keys.write_all(b"echo from-$((40 + 2)); tty; exit 5\n")
        .unwrap();
    let out = child.wait_with_output().unwrap();
    drop(keys);
    out
}

fn text(out: &[u8]) -> String {
    String::from_utf8_lossy(out).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn wardenctl_works_beside_the_process_that_serves_the_depot() {
    let Some(fixture) = linux().await else { return };
    let depot = fixture.dir.depot();
    let container = fixture.backend.create(plain_spec()).await.unwrap();
    let handle = container.handle().to_owned();
    let on = |words: &[&str]| wardenctl(&depot, words);
    assert_eq!(text(&on(&["list"]).stdout).trim(), handle);
    let info = on(&["--json", "info", &handle]);
    let info: serde_json::Value = serde_json::from_slice(&info.stdout).unwrap();
    let ip = container.info().await.unwrap().container_ip.to_string();
    assert_eq!(info["container_ip"].as_str(), Some(ip.as_str()));
    let run = on(&["run", &handle, "--", "sh", "-c", "echo out; exit 7"]);
    assert_eq!(
        (text(&run.stdout).as_str(), run.status.code()),
        ("out\n", Some(7))
    );
    assert!(
        on(&["limit", &handle, "--pids", "77", "--rate", "1000"])
            .status
            .success()
    );
    let limits = container.info().await.unwrap().limits;
    assert_eq!(
        (limits.pids, limits.bandwidth.unwrap().rate_bytes),
        (Some(77), 1_024_000)
    );
    let files = fixture.dir.0.path().join("files");
    std::fs::create_dir(&files).unwrap();
    std::fs::write(files.join("a"), "copied").unwrap();
    assert!(
        on(&[
            "copy-in",
            &handle,
            files.to_str().unwrap(),
            "/home/vcap/app"
        ])
        .status
        .success()
    );
    assert_eq!(script(&container, "cat app/a").await.1, ["copied"]);
    let back = fixture.dir.0.path().join("back");
    assert!(
        on(&[
            "copy-out",
            &handle,
            "/home/vcap/app",
            back.to_str().unwrap()
        ])
        .status
        .success()
    );
    assert_eq!(std::fs::read_to_string(back.join("a")).unwrap(), "copied");
    assert!(on(&["ping"]).status.success() && on(&["capacity"]).status.success());
    fixture.backend.destroy(&handle).await.unwrap();
    std::fs::remove_dir_all(&files).unwrap();
    std::fs::remove_dir_all(&back).unwrap();
    fixture.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_has_a_terminal_and_its_exit_code_is_ours() {
    let Some(fixture) = linux().await else { return };
    let container = fixture.backend.create(plain_spec()).await.unwrap();
    let shell = wardenctl(&fixture.dir.depot(), &["shell", container.handle()]);
    let said = text(&shell.stdout);
    assert!(
        said.contains("from-42") && said.contains("/dev/pts/0"),
        "{said:?}"
    );
    assert_eq!(shell.status.code(), Some(5), "{}", text(&shell.stderr));
    fixture.backend.destroy(container.handle()).await.unwrap();
    fixture.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_the_serving_process_is_refused_with_its_name() {
    let Some(fixture) = linux().await else { return };
    let container = fixture.backend.create(plain_spec()).await.unwrap();
    let handle = container.handle();
    for (verb, words) in [
        ("create", vec!["create"]),
        ("destroy", vec!["destroy", handle]),
        ("limit", vec!["limit", handle, "--disk", "64"]),
        ("net-in", vec!["net-in", handle]),
        ("net-out", vec!["net-out", handle, "tcp", "192.0.2.1", "80"]),
    ] {
        let out = wardenctl(&fixture.dir.depot(), &words);
        let said = text(&out.stderr);
        let holder = format!("served by process {}", std::process::id());
        assert!(!out.status.success());
        assert!(
            said.contains(&format!("{verb}: depot")) && said.contains(&holder),
            "{said}"
        );
    }
    assert_eq!(script(&container, "exit 3").await.0.code, 3);
    fixture.backend.destroy(handle).await.unwrap();
    fixture.end();
}
