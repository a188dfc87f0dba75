//! Stories about the real programs with real containers: what a developer types,
//! what goes wrong, what dies, and what is left.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Method;
use serde_json::{Value, json};
use tests::binaries::{App, Entry, HostSnapshot, Platform, eventually, may_run, zip_of};

/// The probe needs nothing but the stack's python.
const PROBE: [&str; 2] = ["-b", "binary_buildpack"];

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

/// Pushes an app that cannot start; the reason is said where the developer looks.
fn fails_saying(app: App<'_>, flags: &[&str], reason: &str) {
    app.push("probe", &[&PROBE[..], flags].concat())
        .failed()
        .says(&["Start unsuccessful", reason, "TIP: use `cf logs"]);
    app.events().says(&["app.crash", reason]);
}

#[test]
fn an_app_that_crashes_on_start_is_reported_with_its_exit_status() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let crasher = platform.app("crasher");
    fails_saying(
        crasher,
        &["-c", "echo about to fail >&2; exit 3"],
        "app instance exited",
    );
    crasher.events().says(&["exit_status: 3"]);
    platform
        .cf(&["logs", "crasher", "--recent"])
        .well()
        .says(&["ERR about to fail", "exited with status 3"]);
}

#[test]
fn an_app_that_never_opens_its_port_is_reported_with_the_timeout() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let flags = ["-t", "2", "-c", "exec sleep 1000"];
    fails_saying(
        platform.app("deaf"),
        &flags,
        "failed to accept connections within health check timeout",
    );
}

#[test]
fn an_app_that_eats_its_memory_is_reported_as_out_of_memory() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let eater = platform.app("eater");
    eater
        .push("probe", &[&PROBE[..], &["-m", "64M"]].concat())
        .well();
    eater.body("/");
    let answer = eater.get("/eat").unwrap();
    assert_eq!(answer.status, 502, "{answer:?}");
    let crashed = eventually("the crash is an event", || {
        let events = eater.events();
        if events.text().contains("app.crash") {
            Ok(events)
        } else {
            Err(events)
        }
    });
    crashed.says(&["out of memory"]);
}

#[test]
fn wrong_input_at_the_command_line_is_refused_with_the_next_step() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let api = format!("http://127.0.0.1:{}", platform.settings()["api_port"]);
    let login = [
        "login", "-a", &api, "-u", "admin", "-o", "demo", "-s", "dev",
    ];
    platform
        .cf_with_password(&login, "wrong")
        .failed()
        .says(&["Credentials were rejected", "TIP:"]);
    platform
        .cf(&["app", "nobody"])
        .failed()
        .says(&["App nobody not found", "TIP: `cf apps`"]);
    let manifest = platform.scratch().join("manifest.yml");
    std::fs::write(&manifest, "---\napplications:\n- name: x\n  memroy: 64M\n").unwrap();
    let manifest = manifest.display().to_string();
    platform
        .cf(&["push", "-f", &manifest])
        .failed()
        .says(&[&format!("{manifest}:4: unknown key `memroy`"), "memory"]);
    platform
        .cf(&["push", "x", "--no-manifest", "-p", "/nowhere/at/all"])
        .failed()
        .says(&["/nowhere/at/all does not exist"]);
}

#[test]
fn hostile_archives_are_refused_and_the_app_stays_as_it_was() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let site = platform.app("site");
    site.push("static", &[]).well();
    let bits = format!("/v2/apps/{}/bits", site.guid());
    let outside = platform.scratch().join("evil").display().to_string();
    for (entry, reason) in [
        (Entry::File("../../evil", "x"), "leads out of the archive"),
        (Entry::Symlink("link", "/etc/passwd"), "symbolic link"),
        (Entry::File(&outside, "x"), "absolute path"),
    ] {
        let hostile = zip_of(&[Entry::File("index.html", "taken over"), entry]);
        let answer = platform.upload(&bits, "application", hostile, &[("resources", "[]")]);
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (400, &json!(160_001)),
            "{entry:?}: {answer:?}"
        );
        assert!(answer.body.contains(reason), "{entry:?}: {answer:?}");
    }
    assert!(!std::path::Path::new(&outside).exists());
    platform.cf(&["restart", "site"]).well();
    assert!(site.body("/").contains("Hello from Bloomery"));
    let harmless = zip_of(&[Entry::File("index.html", "a new page")]);
    let answer = platform.upload(&bits, "application", harmless, &[("resources", "[]")]);
    assert_eq!(
        answer.status, 201,
        "the same upload without the hostile entry: {answer:?}"
    );
}

#[test]
fn a_buildpack_that_fails_is_named_with_its_own_words() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let made = platform
        .api(
            Method::POST,
            "/v2/buildpacks",
            Some(json!({"name": "fortran"})),
        )
        .unwrap();
    let guid = made.json()["metadata"]["guid"]
        .as_str()
        .map(str::to_owned)
        .unwrap_or_else(|| panic!("{made:?}"));
    let buildpack = zip_of(&[
        Entry::Program("bin/detect", "#!/bin/sh\necho Fortran\n"),
        Entry::Program(
            "bin/compile",
            "#!/bin/sh\necho 'this stack has no gfortran' >&2\nexit 1\n",
        ),
        Entry::Program("bin/release", "#!/bin/sh\necho '--- {}'\n"),
    ]);
    let answer = platform.upload(
        &format!("/v2/buildpacks/{guid}/bits"),
        "buildpack",
        buildpack,
        &[],
    );
    assert_eq!(answer.status, 201, "{answer:?}");
    let old = platform.app("old");
    old.push("probe", &["-b", "fortran"]).failed().says(&[
        "this stack has no gfortran",
        "BuildpackCompileFailed",
        "exit status 1",
        "TIP: use `cf logs old --recent`",
    ]);
    platform
        .cf(&["logs", "old", "--recent"])
        .well()
        .says(&["ERR this stack has no gfortran"]);
}

#[test]
fn no_dea_with_enough_memory_names_the_resource_and_the_shortage() {
    if !may_run() {
        return;
    }
    // The organization may promise 4096 MB, but no single DEA has more than 2048.
    let platform = Platform::up(&["--deas", "2", "--memory", "4096"]);
    let big = platform.app("big");
    big.push("probe", &[&PROBE[..], &["-m", "3000M"]].concat())
        .failed()
        .says(&["memory", "3000", "2048"]);
    big.push("probe", &[&PROBE[..], &["-m", "64M"]].concat())
        .well();
    big.body("/");
}

#[test]
fn without_the_bus_writes_are_503_with_retry_after_and_reads_answer() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let probe = platform.app("probe");
    probe.push("probe", &PROBE).well();
    let instance = probe.body("/");
    let app = format!("/v2/apps/{}", probe.guid());
    platform.kill_supervisor();
    platform.kill("nats-lite");
    eventually("the controller notices", || {
        let health = platform.cf(&["curl", &format!("{app}/summary")]);
        if health.text().contains("\"running_instances\":-1") {
            Ok(())
        } else {
            Err(health)
        }
    });
    let refused = platform
        .api(Method::PUT, &app, Some(json!({"state": "STOPPED"})))
        .unwrap();
    assert_eq!(refused.status, 503, "{refused:?}");
    let seconds: u32 = refused
        .retry_after
        .as_deref()
        .unwrap_or("none")
        .parse()
        .unwrap();
    assert!((1..=60).contains(&seconds), "{refused:?}");
    for path in ["/v2/apps", "/v2/spaces", "/v2/info", &app] {
        let answer = platform.api(Method::GET, path, None).unwrap();
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    assert_eq!(probe.body("/"), instance, "apps do not need the bus");
    platform.resume(&[]).well();
    eventually("writes are taken again", || {
        let answer = platform
            .api(Method::PUT, &app, Some(json!({"state": "STOPPED"})))
            .unwrap();
        if answer.status == 201 {
            Ok(())
        } else {
            Err(format!("{answer:?}"))
        }
    });
}

/// Answers of the probe while `act` runs and until it is over.
fn answers_during(probe: App<'_>, act: impl FnOnce()) -> Vec<Result<String, String>> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut answers = Vec::new();
            while !over.load(Ordering::Relaxed) {
                answers.push(probe.get("/").map(|a| format!("{} {}", a.status, a.body)));
            }
            answers
        });
        let acted = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act));
        over.store(true, Ordering::Relaxed);
        let answers = asking.join().unwrap();
        acted.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        answers
    })
}

#[test]
fn a_killed_daemon_returns_and_the_app_never_restarts() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let probe = platform.app("probe");
    probe.push("probe", &PROBE).well();
    let instance = probe.body("/");
    let right = Ok(format!("200 {instance}"));
    for daemon in [
        "nats-lite",
        "health-manager",
        "cloud-controller",
        "dea-0",
        "router",
    ] {
        let during = answers_during(probe, || {
            let old = platform.kill(daemon);
            platform.wait_for_return(daemon, old);
        });
        assert!(!during.is_empty());
        if daemon != "router" {
            let wrong: Vec<_> = during.iter().filter(|a| **a != right).collect();
            assert!(
                wrong.is_empty(),
                "{daemon} is not on the way of requests, yet: {wrong:?}"
            );
        }
        assert_eq!(probe.body("/"), instance, "after {daemon}");
        let after = answers_during(probe, || {
            eventually("the controller sees the instance running", || {
                let shown = platform.cf(&["app", "probe"]);
                if shown.text().contains("instances: 1/1") {
                    Ok(())
                } else {
                    Err(shown)
                }
            });
        });
        let wrong: Vec<_> = after.iter().filter(|a| **a != right).collect();
        assert!(wrong.is_empty(), "after the return of {daemon}: {wrong:?}");
    }
    let restarts: Vec<_> = platform
        .components()
        .into_iter()
        .map(|c| (c.name, c.restarts))
        .collect();
    assert!(
        restarts.iter().all(|(_, n)| *n == 1),
        "each was started again once: {restarts:?}"
    );
    let events = probe.events();
    assert!(!events.text().contains("app.crash"), "{events}");
}

#[test]
fn a_platform_without_its_supervisor_serves_and_the_next_up_adopts_it() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let probe = platform.app("probe");
    probe.push("probe", &PROBE).well();
    let instance = probe.body("/");
    let before = platform.components();
    platform.kill_supervisor();
    assert_eq!(probe.body("/"), instance);
    platform
        .cf(&["app", "probe"])
        .well()
        .says(&["instances: 1/1"]);
    platform.resume(&[]).well();
    assert_eq!(
        platform.components(),
        before,
        "the same processes, none of them started again"
    );
    let old = platform.kill("router");
    platform.wait_for_return("router", old);
    assert_eq!(
        probe.body("/"),
        instance,
        "the new supervisor watches what it adopted"
    );
}

#[test]
fn a_platform_killed_as_a_whole_comes_back_with_its_app() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let probe = platform.app("probe");
    probe.push("probe", &PROBE).well();
    let instance = probe.body("/");
    platform.kill_supervisor();
    for component in platform.components() {
        platform.kill(&component.name);
    }
    platform.resume(&[]).well();
    assert_eq!(
        probe.body("/"),
        instance,
        "the instance was adopted, not started anew"
    );
}

/// The numbers of the probe's lines, in the order of the text.
fn numbers(lines: impl Iterator<Item = String>) -> impl Iterator<Item = u32> {
    lines.filter_map(|line| line.rsplit_once("OUT line ")?.1.trim().parse().ok())
}

#[test]
fn logs_are_complete_and_in_order() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let probe = platform.app("probe");
    probe.push("probe", &PROBE).well();
    let mut tail = platform.cf_running(&["logs", "probe"]);
    let mut lines = BufReader::new(tail.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    assert!(
        lines.any(|line| line.contains("Connected, tailing logs")),
        "cf logs ended before it was connected"
    );
    assert_eq!(probe.body("/lines/5000"), "printed");
    // `take` ends the reading: a lost line would leave it waiting, so the probe says when it is over.
    assert_eq!(probe.body("/lines/5001"), "printed");
    let mut streamed: Vec<u32> = Vec::new();
    for number in numbers(lines) {
        streamed.push(number);
        if number == 5000 {
            break;
        }
    }
    tail.kill().unwrap();
    tail.wait().unwrap();
    let expected: Vec<u32> = (0..5000).chain(0..=5000).collect();
    assert_eq!(streamed.len(), expected.len(), "lines lost or doubled");
    assert!(streamed == expected, "lines out of order");
    let recent = platform.cf(&["logs", "probe", "--recent"]).well();
    let kept: Vec<u32> = numbers(recent.text().lines().map(str::to_owned)).collect();
    assert!(
        kept.len() >= 1000 && expected.ends_with(&kept),
        "recent lines have no gap: {} kept",
        kept.len()
    );
}

#[test]
fn down_leaves_nothing() {
    if !may_run() {
        return;
    }
    let mut platform = Platform::prepared();
    let data_dir = platform.data_dir();
    let before = HostSnapshot::take(&data_dir);
    platform.resume(&[]).well();
    let probe = platform.app("probe");
    probe.push("probe", &PROBE).well();
    probe.body("/");
    let during = HostSnapshot::take(&data_dir).beyond(&before);
    for kind in [
        "links",
        "packet filter tables",
        "cgroups",
        "processes",
        "claims",
        "files",
    ] {
        assert!(
            during.iter().any(|line| line.starts_with(kind)),
            "a running platform shows no {kind}: {during:#?}"
        );
    }
    platform.down().well();
    assert_eq!(
        HostSnapshot::take(&data_dir).beyond(&before),
        Vec::<String>::new()
    );
}
