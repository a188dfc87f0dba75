//! What a pushed app answers and sees.

use serde_json::{Value, json};
use tests::binaries::{Platform, may_run};

use crate::PROBE;

#[test]
fn a_static_site_answers_and_an_unchanged_push_transfers_nothing() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let site = platform.app("site");
    site.push("static", &[])
        .well()
        .says(&["2 files (0 already known)", "1 of 1 instances running"]);
    assert!(site.body("/").contains("Hello from Bloomery"));
    assert_eq!(site.get("/nothing-here").unwrap().status, 404);
    site.push("static", &[]).well().says(&[
        "Uploading 0, 0 files (2 already known)",
        "1 of 1 instances running",
    ]);
    assert!(site.body("/").contains("Hello from Bloomery"));
}

/// The table of variables, typed; DATABASE_URL is there only with a bound service.
const ENVIRONMENT: [&str; 17] = [
    "VCAP_APPLICATION",
    "VCAP_SERVICES",
    "MEMORY_LIMIT",
    "HOME",
    "TMPDIR",
    "VCAP_APP_HOST",
    "VCAP_APP_PORT",
    "PORT",
    "CF_INSTANCE_INDEX",
    "CF_INSTANCE_IP",
    "CF_INSTANCE_PORT",
    "CF_INSTANCE_ADDR",
    "CF_INSTANCE_PORTS",
    "USER",
    "PWD",
    "PATH",
    "LANG",
];

/// What the shell adds by itself between the environment and the program.
const OF_THE_SHELL: [&str; 3] = ["SHLVL", "OLDPWD", "_"];

/// Every character a careless shell script would expand.
const HARD_VALUE: &str = r#"pa$$w'"rd`x` \ $HOME"#;

#[test]
fn an_app_sees_exactly_the_environment_of_the_reference() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let probe = platform.app("probe");
    probe
        .push(
            "probe",
            &[&PROBE[..], &["-m", "128M", "--no-start"]].concat(),
        )
        .well();
    platform
        .cf(&["set-env", "probe", "SECRET", HARD_VALUE])
        .well();
    platform.cf(&["start", "probe"]).well();
    let seen = probe.environment();
    let mut names: Vec<&str> = seen
        .keys()
        .map(String::as_str)
        .filter(|n| !OF_THE_SHELL.contains(n))
        .collect();
    let mut expected = [&ENVIRONMENT[..], &["SECRET"]].concat();
    names.sort_unstable();
    expected.sort_unstable();
    assert_eq!(names, expected);
    let port = seen["VCAP_APP_PORT"].as_str().unwrap();
    for (name, value) in [
        ("SECRET", HARD_VALUE),
        ("PORT", port),
        ("CF_INSTANCE_PORT", port),
        ("HOME", "/home/vcap/app"),
        ("PWD", "/home/vcap/app"),
        ("TMPDIR", "/home/vcap/tmp"),
        ("MEMORY_LIMIT", "128m"),
        ("USER", "vcap"),
        ("VCAP_APP_HOST", "0.0.0.0"),
        ("VCAP_SERVICES", "{}"),
        ("CF_INSTANCE_INDEX", "0"),
        ("PATH", "/bin:/usr/bin"),
    ] {
        assert_eq!(seen[name], value, "{name}");
    }
    let application: Value =
        serde_json::from_str(seen["VCAP_APPLICATION"].as_str().unwrap()).unwrap();
    assert_eq!(
        application["limits"],
        json!({"mem": 128, "disk": 1024, "fds": 16384})
    );
    assert_eq!(application["application_id"], probe.guid());
    assert_eq!(application["port"].to_string(), port);
    platform.cf(&["set-env", "probe", "PORT", "9999"]).well();
    platform.cf(&["restart", "probe"]).well();
    let seen = probe.environment();
    assert_eq!(seen["PORT"], "9999", "the user's value comes last and wins");
    assert_ne!(seen["VCAP_APP_PORT"], "9999");
}

#[test]
fn a_program_made_elsewhere_runs_as_it_is() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let directory = platform.scratch().join("program");
    std::fs::create_dir(&directory).unwrap();
    // A Rust program that needs nothing of the stack: our own static server.
    std::fs::copy(platform.static_program(), directory.join("server")).unwrap();
    std::fs::write(directory.join("Procfile"), "web: ./server .\n").unwrap();
    std::fs::write(directory.join("hello.txt"), "from a binary\n").unwrap();
    let path = directory.display().to_string();
    platform
        .cf(&["push", "binary", "-p", &path, "-m", "32M"])
        .well()
        .says(&["1 of 1 instances running"]);
    assert_eq!(platform.app("binary").body("/hello.txt"), "from a binary\n");
}
