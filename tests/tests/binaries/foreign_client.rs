//! A client we did not write, on a whole platform: the package `cloudfoundry-client` from PyPI. What it does against
//! a controller alone stands in `cloud-controller/tests/api/foreign_client.rs`.

use std::path::Path;
use std::process::Command;

use tests::binaries::{Entry, Platform, may_run, zip_of};

#[path = "../../../cloud-controller/tests/support/python.rs"]
mod python;

/// The release the script was written against; the same as the controller's test has.
const PACKAGE: &str = "cloudfoundry-client==1.40.4";

#[test]
fn the_python_client_pushes_scales_and_follows_logs() {
    if !may_run() {
        return;
    }
    let Some(programs) = python::environment("cf-client", &[PACKAGE]) else {
        python::skip(PACKAGE);
        return;
    };
    let platform = Platform::up(&[]);
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(here.join(path)).unwrap();
    let zip = platform.scratch().join("probe.zip");
    let entries = zip_of(&[
        Entry::File("probe.py", &read("apps/probe/probe.py")),
        Entry::File("Procfile", &read("apps/probe/Procfile")),
    ]);
    std::fs::write(&zip, entries).unwrap();
    let password = std::fs::read_to_string(platform.data_dir().join("admin-password")).unwrap();
    let settings = platform.settings();
    let at = |port: &str| format!("http://127.0.0.1:{}", settings[port]);
    let output = Command::new(programs.join("python"))
        .arg(here.join("tests/binaries/foreign_client.py"))
        .args([at("api_port").as_str(), "admin"])
        .arg(&zip)
        .arg(at("router_port"))
        // Names below `localhost` are nobody's but this host's.
        .envs([
            ("no_proxy", "*"),
            ("NO_PROXY", "*"),
            ("CF_PASSWORD", password.trim()),
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("ALL SAID AND DONE"),
        "{said}\n{wrong}"
    );
}
