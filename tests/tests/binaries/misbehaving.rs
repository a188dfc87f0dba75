//! Apps that misbehave: the developer is told what happened, by `cf push` and by `cf events`.

use tests::binaries::{App, Platform, eventually, may_run};

use crate::PROBE;

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

/// Takes memory from its first instruction on.
const GREEDY: &str = "exec /usr/bin/python3 -c 'x = [bytes([1]) * 1048576 for _ in range(4096)]'";

#[test]
fn an_app_that_eats_its_memory_while_starting_is_reported_as_out_of_memory() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let greedy = platform.app("greedy");
    fails_saying(greedy, &["-m", "64M", "-c", GREEDY], "out of memory");
    let events = greedy.events();
    let crashes = || {
        events
            .text()
            .lines()
            .filter(|line| line.contains("app.crash"))
    };
    assert!(
        crashes().all(|line| line.contains("out of memory")),
        "every one of its ends had this reason: {events}"
    );
}
