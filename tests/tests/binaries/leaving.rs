//! What `bloomery down` leaves: nothing.

use tests::binaries::{HostSnapshot, Platform, may_run};

use crate::PROBE;

/// Runs an app, lets `harm` happen, takes the platform down and compares the host
/// with what it was before.
fn leaves_nothing_after(harm: impl FnOnce(&Platform)) {
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
    harm(&platform);
    platform.down().well();
    assert_eq!(
        HostSnapshot::take(&data_dir).beyond(&before),
        Vec::<String>::new()
    );
}

#[test]
fn down_leaves_nothing() {
    if may_run() {
        leaves_nothing_after(|_| {});
    }
}

#[test]
fn down_leaves_nothing_when_every_process_was_killed_before() {
    if may_run() {
        leaves_nothing_after(Platform::kill_everything);
    }
}

#[test]
fn down_leaves_nothing_of_a_platform_that_was_killed_and_brought_back() {
    if may_run() {
        leaves_nothing_after(|platform| {
            platform.kill_everything();
            platform.resume(&[]).well();
        });
    }
}

#[test]
fn down_leaves_nothing_when_apps_come_and_go() {
    if may_run() {
        leaves_nothing_after(|platform| {
            platform.cf(&["scale", "probe", "-i", "3"]).well();
            let site = platform.app("site");
            site.push("static", &[]).well();
            platform
                .app("crasher")
                .push("probe", &[&PROBE[..], &["-c", "exit 3"]].concat())
                .failed();
            platform.cf(&["delete", "-f", "probe"]).well();
            site.body("/");
        });
    }
}

#[test]
fn down_of_one_platform_leaves_the_other_on_the_host_serving() {
    if !may_run() {
        return;
    }
    let staying = Platform::up(&[]);
    staying.app("probe").push("probe", &PROBE).well();
    let instance = staying.app("probe").body("/");
    let mut going = staying.beside();
    let data_dir = going.data_dir();
    let before = HostSnapshot::take(&data_dir);
    going.resume(&[]).well();
    going.app("probe").push("probe", &PROBE).well();
    assert_ne!(going.app("probe").body("/"), instance);
    assert_ne!(
        HostSnapshot::take(&data_dir).beyond(&before),
        Vec::<String>::new()
    );
    going.down().well();
    assert_eq!(
        HostSnapshot::take(&data_dir).beyond(&before),
        Vec::<String>::new()
    );
    assert_eq!(staying.app("probe").get("/").unwrap().body, instance);
    staying.app("site").push("static", &[]).well();
    assert!(
        staying.app("site").body("/").contains("Hello"),
        "new containers still find their network"
    );
}
