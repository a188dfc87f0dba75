//! Several controllers, some of which die: no work is lost and none is done twice.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;

use super::fleet::{Fleet, Stager};
use crate::support::dea::sha1_hex;
use crate::support::eventually;

/// Numbers that follow from a seed (a linear congruential generator).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn shuffle<T>(&mut self, cards: &mut [T]) {
        for at in (1..cards.len()).rev() {
            cards.swap(at, self.below(at + 1));
        }
    }
}

/// A seed that is new in every run, or the one in `BLOOMERY_SEED`; it is printed, and a failed test shows what it printed.
fn seed() -> u64 {
    let given = std::env::var("BLOOMERY_SEED").ok();
    let now = || std::time::UNIX_EPOCH.elapsed().unwrap().as_micros() as u64;
    let seed = given.map_or_else(now, |text| text.parse().unwrap());
    eprintln!("this run again: BLOOMERY_SEED={seed}");
    seed
}

fn is_full() -> bool {
    std::env::var("BLOOMERY_FULL").as_deref() == Ok("1")
}

/// Where the controller that drives a staging is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// Its answer has left; the stager may have been asked or not.
    Asked,
    /// The stager was asked and has not confirmed.
    Unconfirmed,
    /// The stager confirmed, and has not uploaded.
    Confirmed,
    /// The droplet is there, the stager has not said so.
    Uploaded,
    /// It lives.
    Never,
}

const MOMENTS: [Moment; 5] = [
    Moment::Asked,
    Moment::Unconfirmed,
    Moment::Confirmed,
    Moment::Uploaded,
    Moment::Never,
];

/// What a driver holds a staging with, in the profile of the tests: ten heartbeats.
const LEASE: Duration = Duration::from_secs(2);

/// Each moment once, in any order; five times in full runs.
fn moments(dice: &mut Dice) -> Vec<Moment> {
    let mut moments = MOMENTS.repeat(if is_full() { 5 } else { 1 });
    dice.shuffle(&mut moments);
    moments
}

#[tokio::test(flavor = "multi_thread")]
async fn stagings_survive_controllers_that_are_killed_at_any_moment() {
    let sweeping = |config: &mut cloud_controller::Config| {
        // Blobs are collected all the time, by both.
        config.blob_sweep_seconds = 1;
        config.blob_grace_seconds = 2;
    };
    let Some(mut fleet) = Fleet::start(2, sweeping).await else {
        return;
    };
    let mut stager = fleet.stager().await;
    let seed = seed();
    let mut dice = Dice(seed);
    let mut adoptable = Vec::new();
    for (round, moment) in moments(&mut dice).into_iter().enumerate() {
        let moment_of = format!("{moment:?} in round {round} of seed {seed}");
        let app = fleet.app_with_bits(&format!("app{round}"), 64).await;
        let driver = dice.below(2);
        let droplet = format!("droplet of {round}").into_bytes();
        let alone = stage(&mut fleet, &mut stager, &app, driver, moment, &droplet).await;
        // A machine that stood still for longer than the lease is no different from a dead driver.
        if matches!(moment, Moment::Asked | Moment::Unconfirmed) || alone >= LEASE {
            adoptable.push(app.clone());
        }
        let other = 1 - driver;
        let shown = eventually("the app is staged", async || {
            let body = fleet
                .get(other, &format!("/v2/apps/{app}"))
                .await
                .expect(200);
            (body["entity"]["package_state"] != "PENDING").then_some(body)
        })
        .await;
        assert_eq!(
            shown["entity"]["package_state"], "STAGED",
            "{moment_of}: {shown}"
        );
        let count = |sql: &str| {
            fleet
                .postgres
                .sql("postgres", &format!("{sql} WHERE app_guid = '{app}'"))
        };
        assert_eq!(count("SELECT count(*) FROM droplets"), "1", "{moment_of}");
        assert_eq!(
            count("SELECT sha1 FROM droplets"),
            sha1_hex(&droplet),
            "{moment_of}"
        );
        assert_eq!(
            count("SELECT droplet_hash FROM processes"),
            sha1_hex(&droplet),
            "{moment_of}"
        );
        eventually("its task is done", async || {
            // The stager's last word may have been for the controller that died.
            let state = count("SELECT state FROM staging_tasks");
            ["DONE", "UPLOADED"].contains(&state.as_str()).then_some(())
        })
        .await;
    }
    // A marker after all others. Asked again were at most those whose driver died before the stager could confirm.
    let marker = fleet.app_with_bits("marker", 64).await;
    start(&fleet, 0, &marker).await;
    stager.next(&marker).await;
    let twice: Vec<_> = stager
        .again
        .iter()
        .filter(|app| !adoptable.contains(app))
        .collect();
    assert!(
        twice.is_empty(),
        "asked again without need: {twice:?}, seed {seed}"
    );
}

async fn start(fleet: &Fleet, at: usize, app: &str) {
    let wish = json!({"state": "STARTED"});
    fleet
        .call(at, Method::PUT, &format!("/v2/apps/{app}"), Some(wish))
        .await
        .expect(201);
}

/// One staging, with the driving controller killed at a moment; requests that come again are answered again. Gives the time for
/// which nothing but the driver's lease kept the other controllers away.
async fn stage(
    fleet: &mut Fleet,
    stager: &mut Stager,
    app: &str,
    driver: usize,
    moment: Moment,
    droplet: &[u8],
) -> Duration {
    let begun = Instant::now();
    start(fleet, driver, app).await;
    if moment == Moment::Asked {
        fleet.crash(driver).await;
    }
    let (mut request, mut inbox) = stager.next(app).await;
    if moment == Moment::Unconfirmed {
        fleet.crash(driver).await;
        // The stager starts over when somebody else drives: what it did before is stopped by `staging.stop`.
        let again = stager.next(app).await;
        assert_eq!(
            again.0["task_id"], request["task_id"],
            "one task, however many drivers"
        );
        (request, inbox) = again;
    }
    let mut alone = Duration::ZERO;
    let task = request["task_id"].clone();
    let setup = json!({"task_id": task, "task_streaming_log_url": null, "error": null});
    fleet.bus.publish_to(&inbox, &setup).await.unwrap();
    fleet.bus.flush().await.unwrap();
    if moment == Moment::Confirmed {
        let id = task.as_str().unwrap();
        eventually("the confirmation is noted", async || {
            let sql = format!("SELECT state FROM staging_tasks WHERE task_id = '{id}'");
            (fleet.postgres.sql("postgres", &sql) == "SET_UP").then_some(())
        })
        .await;
        alone = begun.elapsed();
        fleet.crash(driver).await;
    }
    assert_eq!(
        fleet.upload_droplet(&request, droplet).await,
        200,
        "{moment:?}"
    );
    if moment != Moment::Confirmed {
        alone = begun.elapsed();
    }
    if moment == Moment::Uploaded {
        fleet.crash(driver).await;
    }
    // A stager that lost the answer repeats itself; that does nothing more.
    assert_eq!(
        fleet.upload_droplet(&request, droplet).await,
        200,
        "{moment:?}"
    );
    let done = json!({"task_id": task, "detected_buildpack": "test", "buildpack_key": null,
                      "droplet_sha1": sha1_hex(droplet), "detected_start_command": "./run"});
    // Whoever asked may be dead: nobody listens then, and the upload was enough.
    let _ = fleet.bus.publish_to(&inbox, &done).await;
    alone
}

#[tokio::test(flavor = "multi_thread")]
async fn two_controllers_answer_as_one() {
    let adjust =
        |config: &mut cloud_controller::Config| config.default_quota.memory_limit_mb = 2_000;
    let Some(fleet) = Fleet::start(2, adjust).await else {
        return;
    };
    let mut stager = fleet.stager().await;
    // Both heard the adverts: either places.
    let mut apps = Vec::new();
    for at in 0..2 {
        let app = fleet.app_with_bits(&format!("app{at}"), 10).await;
        start(&fleet, at, &app).await;
        let (request, inbox) = stager.next(&app).await;
        assert_eq!(fleet.upload_droplet(&request, b"droplet").await, 200);
        let done = json!({"task_id": request["task_id"], "detected_buildpack": "test", "buildpack_key": null,
                          "droplet_sha1": sha1_hex(b"droplet"), "detected_start_command": "./run"});
        fleet.bus.publish_to(&inbox, &done).await.unwrap();
        eventually("the other sees it staged", async || {
            let body = fleet
                .get(1 - at, &format!("/v2/apps/{app}"))
                .await
                .expect(200);
            (body["entity"]["package_state"] == "STAGED").then_some(())
        })
        .await;
        apps.push(app);
    }
    // A job is seen from both.
    let route = "/v2/shared_domains?async=true";
    let made = fleet
        .call(
            0,
            Method::POST,
            route,
            Some(json!({"name": "other.example.com"})),
        )
        .await
        .expect(201);
    let gone = format!("{}?async=true", made["metadata"]["url"].as_str().unwrap());
    let job = fleet.call(0, Method::DELETE, &gone, None).await.expect(202);
    let job = fleet
        .get(1, job["metadata"]["url"].as_str().unwrap())
        .await
        .expect(200);
    assert_eq!(job["entity"]["status"], "finished");
    one_of_them_carries_out_a_wish_and_notes_a_crash(&fleet, &mut stager, &apps[0]).await;
    a_quota_holds_under_64_scales_of_both(&fleet, &apps).await;
}

async fn one_of_them_carries_out_a_wish_and_notes_a_crash(
    fleet: &Fleet,
    stager: &mut Stager,
    app: &str,
) {
    let body = fleet
        .get(0, &format!("/v2/apps/{app}/summary"))
        .await
        .expect(200);
    let version = body["version"].as_str().unwrap().to_owned();
    let scaled = json!({"instances": 3});
    fleet
        .call(0, Method::PUT, &format!("/v2/apps/{app}"), Some(scaled))
        .await
        .expect(201);
    let mut placed = Vec::new();
    for _ in 0..2 {
        placed.push(stager.next_start().await);
    }
    placed.sort_unstable();
    assert_eq!(placed, [1, 2], "each index is placed once");
    // One that died before it told anybody wrote this: nobody was told to start index 3, so that the health manager asks for it.
    let died = format!("UPDATE processes SET instances = 4 WHERE app_guid = '{app}'");
    fleet.postgres.sql("postgres", &died);
    // The wish reaches one of them: a second start of that index would come before the marker. (For index 0 it might reach the one
    // that saw the staging end: its stager starts that index, so that a start of it is under way there.)
    let lease = json!({"holder": "hm", "ttl_seconds": 300.0});
    let path = "/internal/v1/health_manager/lease";
    let held = fleet
        .try_internal(1, Method::PUT, path, &lease)
        .await
        .unwrap();
    let wish = json!({"droplet": app, "version": version, "instance_index": 3, "epoch": held.json()["epoch"]});
    fleet.bus.publish_to("hm9000.start", &wish).await.unwrap();
    assert_eq!(stager.next_start().await, 3, "the health manager's wish");
    let scaled = json!({"instances": 5});
    fleet
        .call(1, Method::PUT, &format!("/v2/apps/{app}"), Some(scaled))
        .await
        .expect(201);
    assert_eq!(stager.next_start().await, 4, "the marker");
    let exit = json!({"cc_partition": "default", "droplet": app, "version": version, "instance": "f".repeat(32), "index": 0,
                      "reason": "CRASHED", "exit_status": 1, "exit_description": "boom", "crash_timestamp": 1_422_765_999});
    for _ in 0..3 {
        fleet.bus.publish_to("droplet.exited", &exit).await.unwrap();
    }
    fleet.bus.flush().await.unwrap();
    let events = async |at: usize| {
        let path = format!("/v2/events?q=actee:{app}&q=type:app.crash");
        fleet.get(at, &path).await.expect(200)["total_results"]
            .as_u64()
            .unwrap()
    };
    eventually("three crashes are noted", async || {
        (events(0).await >= 3).then_some(())
    })
    .await;
    assert_eq!(events(1).await, 3, "each crash is noted by one of the two");
}

/// 64 clients ask for more at once, half of each controller; what the quota allows is never exceeded.
async fn a_quota_holds_under_64_scales_of_both(fleet: &Fleet, apps: &[String]) {
    let wishes = (0..64_usize).map(|at| async move {
        let path = format!("/v2/apps/{}", apps[at % 2]);
        // Of either app alone there is room for any of these, of both for none.
        let wish = json!({"instances": 110 + at % 32});
        fleet
            .call(at % 2, Method::PUT, &path, Some(wish))
            .await
            .status
            .as_u16()
    });
    let answers = futures_util::future::join_all(wishes).await;
    assert!(
        answers.iter().all(|status| matches!(status, 201 | 400)),
        "{answers:?}"
    );
    assert!(
        answers.contains(&201) && answers.contains(&400),
        "both kinds: {answers:?}"
    );
    let sum = "SELECT SUM(a.memory * p.instances) FROM apps a JOIN processes p ON p.app_guid = a.guid WHERE a.state = 'STARTED'";
    let used: i64 = fleet.postgres.sql("postgres", sum).parse().unwrap();
    assert!(used <= 2_000, "{used} MB of 2000");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_never_has_two_holders_while_controllers_die() {
    let Some(mut fleet) = Fleet::start(2, |_| {}).await else {
        return;
    };
    let seed = seed();
    let mut dice = Dice(seed);
    let mut holders = std::collections::HashMap::<u64, String>::new();
    let mut newest = 0;
    for _ in 0..if is_full() { 6 } else { 3 } {
        for _ in 0..12 {
            let holder = format!("hm{}", dice.below(3));
            let at = dice.below(2);
            let wish = json!({"holder": holder, "ttl_seconds": 0.5});
            let Some(answer) = lease(&fleet, at, &wish).await else {
                continue;
            };
            if answer.status == 200 {
                let epoch = answer.json()["epoch"].as_u64().unwrap();
                assert!(epoch >= newest, "epochs only grow, seed {seed}");
                newest = epoch;
                let first = holders.entry(epoch).or_insert_with(|| holder.clone());
                assert_eq!(*first, holder, "epoch {epoch}, seed {seed}");
            }
        }
        fleet.crash(dice.below(2)).await;
    }
    assert!(newest > 0);
}

async fn lease(
    fleet: &Fleet,
    at: usize,
    wish: &serde_json::Value,
) -> Option<crate::support::Answer> {
    let path = "/internal/v1/health_manager/lease";
    fleet.try_internal(at, Method::PUT, path, wish).await
}
