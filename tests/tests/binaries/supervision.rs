//! Daemons and supervisors die; apps go on.

use std::sync::atomic::{AtomicBool, Ordering};

use tests::binaries::{App, Platform, eventually, may_run};

use crate::PROBE;

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
    platform.resume(&[]).failed().says(&["already"]);
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
    platform.kill_everything();
    platform.resume(&[]).well();
    assert_eq!(
        probe.body("/"),
        instance,
        "the instance was adopted, not started anew"
    );
}
