//! A client we did not write: the package `cloudfoundry-client` from PyPI, from login to the deletion of a running app.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::dea::Dea;
use crate::support::{PASSWORD, Platform, python, zip_of};

/// The release the script was written against.
const PACKAGE: &str = "cloudfoundry-client==1.40.4";

/// A Python with the package: the one named by `BLOOMERY_CF_PYTHON`, or one of ours.
fn python() -> Option<PathBuf> {
    let named = std::env::var_os("BLOOMERY_CF_PYTHON").map(PathBuf::from);
    named.or_else(|| Some(python::environment("cf-client", &[PACKAGE])?.join("python")))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_pushes_starts_reads_and_deletes() {
    let Some(python) = tokio::task::spawn_blocking(python).await.unwrap() else {
        python::skip(PACKAGE);
        return;
    };
    let platform = Platform::start().await;
    let mut dea = Dea::with_room(&platform).await;
    let zip = platform.dir.path().join("web.zip");
    std::fs::write(&zip, zip_of(&[("index.html", "hello", 0o100_644)])).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cf_python_client.py");
    let mut command = Command::new(python);
    command
        .arg(script)
        .arg(&platform.base)
        .args(["admin", PASSWORD])
        .arg(&zip);
    for proxy in [
        "http_proxy",
        "https_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "all_proxy",
    ] {
        command.env_remove(proxy);
    }
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut script = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());

    // The script starts one app; the test is the DEA that stages and runs it.
    let staged = tokio::select! {
        ended = &mut script => panic!("the script ended early: {:?}", ended.unwrap()),
        request = dea.stage_well(&platform, b"droplet") => request,
    };
    let app = staged["app_id"].as_str().unwrap().to_owned();
    let version = staged["start_message"]["version"]
        .as_str()
        .unwrap()
        .to_owned();
    let output = loop {
        let pause = tokio::time::sleep(std::time::Duration::from_millis(100));
        tokio::select! {
            ended = &mut script => break ended.unwrap(),
            () = pause => dea.heartbeat(&[(&app, &version, 0, "RUNNING")]).await,
        }
    };
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("ALL SAID AND DONE"),
        "{said}\n{wrong}"
    );
}
