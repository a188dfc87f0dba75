//! A working day of an app developer: big sites, workers, changes under load.

use std::fs;
use std::path::Path;

use tests::binaries::{Answers, Noise, Platform, eventually, may_run};

use crate::PROBE;

/// A site of one page that says a word.
fn page(platform: &Platform, word: &str) -> String {
    let dir = platform.scratch().join(word);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("Staticfile"), "").unwrap();
    fs::write(dir.join("index.html"), word).unwrap();
    dir.display().to_string()
}

/// Panics unless only these answers came, each of them at least once.
#[track_caller]
fn only(answers: &Answers, expected: &[&str]) {
    let seen: Vec<&str> = answers.keys().map(String::as_str).collect();
    assert_eq!(seen, expected, "{answers:?}");
}

#[test]
fn blue_and_green_share_a_route_and_blue_leaves_without_a_failed_request() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let domain = platform.settings()["domain"].as_str().unwrap().to_owned();
    for color in ["blue", "green"] {
        let dir = page(&platform, color);
        platform
            .cf(&["push", color, "-m", "32M", "-p", &dir])
            .well();
    }
    let map = |verb: &str, color: &str| platform.cf(&[verb, color, &domain, "-n", "shop"]).well();
    map("map-route", "blue");
    let load = platform.load("shop");
    eventually("blue answers for the shop", || {
        let answers = load.so_far();
        answers
            .contains_key("200 blue")
            .then_some(())
            .ok_or(format!("{answers:?}"))
    });
    load.forget();
    load.flow(100);
    map("map-route", "green");
    eventually("green answers for the shop", || {
        let answers = load.so_far();
        answers
            .contains_key("200 green")
            .then_some(())
            .ok_or(format!("{answers:?}"))
    });
    load.flow(200);
    only(&load.so_far(), &["200 blue", "200 green"]);
    map("unmap-route", "blue");
    eventually("blue has left", || {
        load.forget();
        load.flow(200);
        let answers = load.so_far();
        match answers.keys().eq(["200 green"]) {
            true => Ok(()),
            // Blue may answer until the router hears of it; nothing else may.
            false if answers.keys().eq(["200 blue", "200 green"]) => Err(format!("{answers:?}")),
            false => panic!("not a 200 of blue or green: {answers:?}"),
        }
    });
    load.flow(500);
    only(&load.end(), &["200 green"]);
}

/// Two DEAs with a site that answers, on this many instances.
fn site_on_two_deas(instances: &str) -> Platform {
    let platform = Platform::up(&["--deas", "2"]);
    let dir = page(&platform, "site");
    let line = ["push", "site", "-m", "32M", "-i", instances, "-p", &dir];
    platform.cf(&line).well();
    platform.app("site").body("/");
    platform
}

#[test]
fn an_app_grows_and_shrinks_under_load_without_a_failed_request() {
    if !may_run() {
        return;
    }
    let platform = site_on_two_deas("1");
    let site = platform.app("site");
    let load = site.load();
    for instances in [4, 1, 3, 2] {
        let count = instances.to_string();
        platform.cf(&["scale", "site", "-i", &count]).well();
        site.runs(instances);
        load.flow(200);
    }
    only(&load.end(), &["200 site"]);
}

#[test]
fn a_drained_dea_hands_its_instances_over_without_a_failed_request() {
    if !may_run() {
        return;
    }
    let platform = site_on_two_deas("2");
    let site = platform.app("site");
    site.runs(2);
    let load = site.load();
    load.flow(100);
    let pid = platform.signal("dea-1", "USR2");
    platform.wait_for_return("dea-1", pid);
    site.runs(2);
    load.flow(200);
    only(&load.end(), &["200 site"]);
}

#[test]
fn the_second_push_of_five_thousand_files_sends_less_than_a_hundredth() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let dir = platform.scratch().join("big");
    five_thousand_files(&dir);
    let path = dir.display().to_string();
    let push = || {
        platform
            .cf(&["push", "big", "-m", "64M", "-p", &path])
            .well()
    };
    push();
    let first = uploaded_bytes(&platform);
    fs::write(dir.join("d7/f7.html"), "changed").unwrap();
    push();
    let second = uploaded_bytes(&platform) - first;
    assert!(first > 5_000_000, "the first push sent only {first} bytes");
    assert!(second * 100 < first, "{second} bytes after {first}");
    assert_eq!(platform.app("big").body("/d7/f7.html"), "changed");
}

/// Files that neither compress nor repeat.
fn five_thousand_files(dir: &Path) {
    let mut noise = Noise::default();
    for n in 0..50 {
        fs::create_dir_all(dir.join(format!("d{n}"))).unwrap();
        for m in 0..100 {
            let words = noise.by_ref().take(128);
            let text: String = words.map(|word| format!("{word:016x}")).collect();
            fs::write(dir.join(format!("d{n}/f{m}.html")), text).unwrap();
        }
    }
    fs::write(dir.join("Staticfile"), "").unwrap();
}

/// Bytes of app files that the controller has received in all, by its own counter.
fn uploaded_bytes(platform: &Platform) -> u64 {
    let varz = platform.varz("cloud-controller");
    varz["uploaded_bytes"]
        .as_u64()
        .unwrap_or_else(|| panic!("no uploaded_bytes in {varz}"))
}

#[test]
fn a_worker_without_a_route_runs_and_what_it_says_is_kept() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let dir = platform.scratch().join("worker");
    fs::create_dir_all(&dir).unwrap();
    fs::write(
        dir.join("work.sh"),
        "n=0\nwhile :; do n=$((n + 1)); echo \"piece $n\"; sleep 0.2; done\n",
    )
    .unwrap();
    let path = dir.display().to_string();
    let flags = [
        "--no-route",
        "-u",
        "none",
        "-m",
        "32M",
        "-b",
        "binary_buildpack",
    ];
    let mut line = vec!["push", "worker", "-p", &path, "-c", "sh work.sh"];
    line.extend(flags);
    platform.cf(&line).well();
    let worker = platform.app("worker");
    worker.runs(1);
    eventually("the worker's words are kept", || {
        let recent = platform.cf(&["logs", "worker", "--recent"]).well();
        match recent.text().contains("piece 3") {
            true => Ok(()),
            false => Err(recent),
        }
    });
    eventually("the router knows no route of the worker", || {
        let answer = worker.get("/")?;
        match answer.status {
            404 => Ok(()),
            // A router that has just started cannot know yet.
            503 => Err(answer.body),
            other => panic!("{other}: {}", answer.body),
        }
    });
}

#[test]
fn a_changed_variable_is_seen_after_a_restart_and_not_before() {
    if !may_run() {
        return;
    }
    let platform = Platform::up(&[]);
    let probe = platform.app("probe");
    probe.push("probe", &PROBE).well();
    platform
        .cf(&["set-env", "probe", "ORE", "magnetite"])
        .well();
    assert_eq!(probe.environment().get("ORE"), None);
    platform.cf(&["restart", "probe"]).well();
    assert_eq!(probe.environment()["ORE"], "magnetite");
    platform.cf(&["unset-env", "probe", "ORE"]).well();
    platform.cf(&["restart", "probe"]).well();
    assert_eq!(probe.environment().get("ORE"), None);
}
