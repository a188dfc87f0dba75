//! The daemon as its neighbours see it: a real bus, a fake controller, DEAs played by the test.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use bus::dea::HeartbeatState::{Crashed, Evacuating, Running};
use bus::droplet::Exited;
use common::{Controller, Platform, within};
use health_manager::Config;

fn wants(instances: u32) -> Controller {
    let controller = Controller::default();
    controller.want("app", "v1", instances);
    controller
}

#[tokio::test]
async fn stays_silent_until_actual_state_is_fresh() {
    let mut platform = Platform::start(wants(1)).await;
    let first_sign = Instant::now();
    let _dea = platform.dea("0-a");
    let start = platform.next_start().await;
    let silence = bus::times::TEST.heartbeat * bus::times::TEST.hm_ttl_heartbeats;
    assert!(
        first_sign.elapsed() >= silence,
        "spoke after {:?}",
        first_sign.elapsed()
    );
    assert_eq!(
        (
            start.droplet.as_str(),
            start.version.as_str(),
            start.instance_index,
            start.epoch
        ),
        ("app", "v1", 0, None)
    );
}

#[tokio::test]
async fn starts_what_is_missing_and_leaves_the_rest_alone() {
    let mut platform = Platform::start(wants(2)).await;
    let dea = platform.dea("0-a");
    dea.put("app", "v1", 0, "i0", Running);
    assert_eq!(platform.next_start().await.instance_index, 1);
    dea.put("app", "v1", 1, "i1", Running);
    platform
        .until_state("app", "v1", |state| {
            state["instance_heartbeats"]
                .as_array()
                .is_some_and(|list| list.len() == 2)
        })
        .await;
    while platform.starts.try_recv().is_ok() {}
    tokio::time::sleep(common::HEARTBEAT * 8).await;
    assert!(platform.starts.is_empty() && platform.stops.is_empty());
}

#[tokio::test]
async fn restarts_a_crashed_instance_on_the_notice_alone() {
    let mut platform = Platform::start(wants(1)).await;
    let dea = platform.dea("0-a");
    dea.put("app", "v1", 0, "i0", Running);
    platform.until_fresh("app", "v1").await;
    // The heartbeats go on saying RUNNING: only the notice can be the reason.
    let exit = Exited {
        cc_partition: "default".into(),
        droplet: "app".into(),
        version: "v1".into(),
        instance: "i0".into(),
        index: 0,
        reason: "CRASHED".into(),
        exit_status: 1,
        exit_description: "app instance exited".into(),
        crash_timestamp: Some(1),
    };
    platform.bus.publish(&exit).await.unwrap();
    assert_eq!(platform.next_start().await.instance_index, 0);
    let state = platform
        .until_state("app", "v1", |state| {
            state["crash_counts"][0]["crash_count"] == 1
        })
        .await;
    assert_eq!(state["crash_counts"][0]["instance_index"], 0);
    assert!(state["crash_counts"][0]["created_at"].as_i64().unwrap() > 1_700_000_000);
}

#[tokio::test]
async fn restarts_a_crashed_instance_on_the_heartbeat_alone() {
    let mut platform = Platform::start(wants(1)).await;
    let dea = platform.dea("0-a");
    dea.put("app", "v1", 0, "i0", Running);
    platform.until_fresh("app", "v1").await;
    dea.put("app", "v1", 0, "i0", Crashed);
    assert_eq!(platform.next_start().await.instance_index, 0);
}

#[tokio::test]
async fn instances_of_a_lost_dea_are_started_elsewhere() {
    let mut platform = Platform::start(wants(2)).await;
    let (first, second) = (platform.dea("0-a"), platform.dea("1-b"));
    first.put("app", "v1", 0, "i0", Running);
    second.put("app", "v1", 1, "i1", Running);
    platform.until_fresh("app", "v1").await;
    assert!(platform.starts.is_empty());
    first.kill().await;
    assert_eq!(platform.next_start().await.instance_index, 0);
}

#[tokio::test]
async fn an_outage_of_our_bus_loses_no_dea() {
    let mut platform = Platform::start(wants(1)).await;
    let dea = platform.dea("0-a");
    dea.put("app", "v1", 0, "i0", Running);
    platform.until_fresh("app", "v1").await;
    let listen = platform.nats.addr();
    platform.nats.shutdown().await;
    // Longer than a DEA may be silent.
    tokio::time::sleep(common::HEARTBEAT * (bus::times::TEST.hm_ttl_heartbeats + 3)).await;
    platform.nats = nats_lite::start(nats_lite::Config {
        listen,
        ..nats_lite::Config::default()
    })
    .await
    .unwrap();
    within("the test's own connection", platform.bus.wait_connected()).await;
    platform.until_fresh("app", "v1").await;
    tokio::time::sleep(common::HEARTBEAT * 6).await;
    assert!(
        platform.starts.is_empty() && platform.stops.is_empty(),
        "{:?}",
        platform.starts.try_recv()
    );
}

#[tokio::test]
async fn stops_what_nobody_wants() {
    let mut platform = Platform::start(wants(1)).await;
    let dea = platform.dea("0-a");
    dea.put("app", "v1", 0, "i0", Running);
    dea.put("app", "v1", 3, "i3", Running);
    let stop = platform.next_stop().await;
    assert_eq!(
        (
            stop.instance_guid.as_str(),
            stop.instance_index,
            stop.is_duplicate
        ),
        ("i3", 3, false)
    );
    dea.remove("i3");
    platform.controller.set("app", "v1", 1, "STOPPED", "STAGED");
    assert_eq!(platform.next_stop().await.instance_guid, "i0");
}

#[tokio::test]
async fn an_older_version_goes_only_after_the_new_one_serves() {
    let mut platform = Platform::start(wants(1)).await;
    let dea = platform.dea("0-a");
    dea.put("app", "v0", 0, "old", Running);
    let start = platform.next_start().await;
    assert_eq!(start.version, "v1");
    assert!(platform.stops.is_empty());
    dea.put("app", "v1", 0, "new", Running);
    assert_eq!(platform.next_stop().await.instance_guid, "old");
}

#[tokio::test]
async fn an_evacuating_instance_is_replaced_and_then_stopped() {
    let mut platform = Platform::start(wants(1)).await;
    let (leaving, staying) = (platform.dea("0-a"), platform.dea("1-b"));
    leaving.put("app", "v1", 0, "i0", Running);
    platform.until_fresh("app", "v1").await;
    leaving.put("app", "v1", 0, "i0", Evacuating);
    assert_eq!(platform.next_start().await.instance_index, 0);
    assert!(platform.stops.is_empty(), "not before its replacement runs");
    staying.put("app", "v1", 0, "i1", Running);
    let stop = platform.next_stop().await;
    assert_eq!(
        (stop.instance_guid.as_str(), stop.is_duplicate),
        ("i0", true)
    );
}

#[tokio::test]
async fn speaks_with_the_epoch_of_its_lease_and_is_silent_without_one() {
    let controller = wants(1);
    controller.lease(None);
    let mut platform = Platform::start(controller).await;
    let _dea = platform.dea("0-a");
    platform.until_fresh("app", "v1").await;
    tokio::time::sleep(common::HEARTBEAT * 6).await;
    assert!(platform.starts.is_empty(), "a standby is silent");
    platform.controller.lease(Some(42));
    assert_eq!(platform.next_start().await.epoch, Some(42));
}

#[tokio::test]
async fn desired_state_is_read_page_by_page() {
    let controller = Controller::default();
    for number in 0..7 {
        controller.want(&format!("app-{number}"), "v1", 1);
    }
    let mut platform = Platform::start_with(controller, |config| Config {
        batch_size: 2,
        ..config
    })
    .await;
    let _dea = platform.dea("0-a");
    let mut started = std::collections::BTreeSet::new();
    while started.len() < 7 {
        started.insert(platform.next_start().await.droplet);
    }
    assert!(
        platform.controller.pages() >= 5,
        "{} pages",
        platform.controller.pages()
    );
}

#[tokio::test]
async fn the_api_answers_the_controller_and_nobody_else() {
    let platform = Platform::start(wants(2)).await;
    let dea = platform.dea("0-a");
    dea.put("app", "v1", 0, "i0", Running);
    let state = platform.until_fresh("app", "v1").await;
    assert_eq!(state["desired"]["instances"], 2);
    let heartbeat = &state["instance_heartbeats"][0];
    assert_eq!(
        (
            &heartbeat["state"],
            &heartbeat["dea_guid"],
            &heartbeat["index"]
        ),
        (&"RUNNING".into(), &"0-a".into(), &0.into())
    );
    assert!(platform.app_state("other", "v").await.is_null());
    let url = format!("http://{}/bulk_app_state", platform.health_manager.addr());
    let client = reqwest::Client::new();
    assert_eq!(
        client.post(&url).body("[]").send().await.unwrap().status(),
        401
    );
    let nonsense = client
        .post(&url)
        .basic_auth("hm", Some("secret"))
        .body("nonsense")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            nonsense.status().as_u16(),
            nonsense.text().await.unwrap().as_str()
        ),
        (200, "{}")
    );
}

#[tokio::test]
async fn operators_see_the_numbers() {
    let platform = Platform::start(wants(2)).await;
    let dea = platform.dea("0-a");
    dea.put("app", "v1", 0, "i0", Running);
    platform.until_fresh("app", "v1").await;
    let client = reqwest::Client::new();
    let page = |path: &str| {
        client
            .get(format!(
                "http://{}{path}",
                platform.health_manager.status_addr()
            ))
            .basic_auth("u", Some("p"))
            .send()
    };
    assert_eq!(page("/healthz").await.unwrap().status(), 200);
    let missing = within("the missing index to be counted", async {
        loop {
            let varz: serde_json::Value = page("/varz").await.unwrap().json().await.unwrap();
            let metrics = varz["contexts"][0]["metrics"].as_array().unwrap().clone();
            let value = |name: &str| {
                metrics
                    .iter()
                    .find(|metric| metric["name"] == name)
                    .unwrap()["value"]
                    .as_f64()
                    .unwrap()
            };
            if value("NumberOfMissingIndices") >= 0.0 {
                return (
                    value("NumberOfMissingIndices"),
                    value("NumberOfRunningInstances"),
                );
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(missing, (1.0, 1.0));
    assert!(
        page("/metrics")
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
            .contains("hm9000_NumberOfMissingIndices 1")
    );
}

#[tokio::test]
async fn stops_in_time() {
    let platform = Platform::start(wants(1)).await;
    within("the shutdown", platform.health_manager.shutdown()).await;
}
