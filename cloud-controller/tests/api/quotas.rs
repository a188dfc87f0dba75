//! Quotas while many ask at once: what a quota allows is never exceeded, and what it allows is given.

use crate::support::dea::Dea;
use crate::support::stagers::{Room, Stagers};
use crate::support::{Answer, Platform, first_guid, guid};
use futures_util::future::join_all;
use serde_json::{Value, json};

/// Clients at once.
const MANY: usize = 16;

/// An organization with a quota and one space; the space has a quota of its own if `space` says so.
struct Place {
    org: String,
    space: String,
}

async fn place(platform: &Platform, name: &str, org: Value, space: Option<Value>) -> Place {
    let mut quota = json!({"name": name, "memory_limit": 10_000, "total_routes": 1000, "total_services": 10,
                           "non_basic_services_allowed": true});
    merge(&mut quota, org);
    let quota = guid(
        &platform
            .post("/v2/quota_definitions", quota)
            .await
            .expect(201),
    );
    let body = json!({"name": name, "quota_definition_guid": quota});
    let org = guid(&platform.post("/v2/organizations", body).await.expect(201));
    let mut body = json!({"name": name, "organization_guid": org});
    if let Some(limits) = space {
        let mut quota = json!({"name": name, "organization_guid": org, "memory_limit": 10_000});
        merge(&mut quota, limits);
        let made = platform.post("/v2/space_quota_definitions", quota).await;
        body["space_quota_definition_guid"] = json!(guid(&made.expect(201)));
    }
    let space = guid(&platform.post("/v2/spaces", body).await.expect(201));
    Place { org, space }
}

fn merge(into: &mut Value, from: Value) {
    for (key, value) in from.as_object().unwrap() {
        into[key] = value.clone();
    }
}

/// Of answers, so many were accepted, and every other was refused with this code.
fn check(what: &str, answers: &[Answer], accepted: usize, code: u32) {
    let good = answers.iter().filter(|answer| answer.status == 201).count();
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        let body = answer.expect(400);
        assert_eq!(body["code"], code, "{what}: {body}");
    }
    assert_eq!(good, accepted, "{what}");
}

/// Apps of 10 MB with bits, stopped.
async fn apps(platform: &Platform, place: &Place, count: usize) -> Vec<String> {
    let mut apps = Vec::new();
    for at in 0..count {
        let body = json!({"name": format!("app{at}"), "space_guid": place.space, "memory": 10, "disk_quota": 10, "instances": 1});
        let app = guid(&platform.post("/v2/apps", body).await.expect(201));
        let zip = crate::support::zip_of(&[("hello.txt", "hello", 0o100_644)]);
        platform
            .upload_bits(&app, json!([]), Some(zip))
            .await
            .expect(201);
        apps.push(app);
    }
    apps
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_and_instances_are_never_overdrawn() {
    let platform = Platform::start().await;
    let _stagers = Stagers::start(&platform, &[Room::of("roomy", 1_000_000)]).await;
    let cases = [
        ("memory", json!({"memory_limit": 50}), None, 5, 100_005),
        (
            "space-memory",
            json!({}),
            Some(json!({"memory_limit": 30})),
            3,
            310_003,
        ),
        (
            "instance-memory",
            json!({"instance_memory_limit": 9}),
            None,
            0,
            100_007,
        ),
        (
            "space-instance-memory",
            json!({}),
            Some(json!({"instance_memory_limit": 9})),
            0,
            310_004,
        ),
    ];
    for (what, org, space, accepted, code) in cases {
        let place = place(&platform, what, org, space).await;
        let apps = apps(&platform, &place, 8).await;
        let start = |app: &String| {
            let path = format!("/v2/apps/{app}");
            let platform = &platform;
            async move { platform.put(&path, json!({"state": "STARTED"})).await }
        };
        let answers = join_all(apps.iter().map(start)).await;
        check(what, &answers, accepted, code);
        let running = format!("/v2/spaces/{}/summary", place.space);
        let summary = platform.get(&running).await.expect(200);
        let started = summary["apps"].as_array().unwrap().iter();
        let started = started.filter(|app| app["state"] == "STARTED").count();
        assert_eq!(started, accepted, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_of_all_apps_count_and_one_app_may_have_what_is_left() {
    let platform = Platform::start().await;
    let _stagers = Stagers::start(&platform, &[Room::of("roomy", 1_000_000)]).await;
    let cases = [
        ("instances", json!({"app_instance_limit": 6}), None, 100_008),
        (
            "space-instances",
            json!({}),
            Some(json!({"app_instance_limit": 6})),
            310_008,
        ),
    ];
    for (what, org, space, code) in cases {
        let place = place(&platform, what, org, space).await;
        // Two apps that are stopped have two instances between them.
        let apps = apps(&platform, &place, 3).await;
        let path = format!("/v2/apps/{}", apps[0]);
        platform
            .put(&path, json!({"state": "STARTED"}))
            .await
            .expect(201);
        let scale = |wanted: usize| platform.put(&path, json!({"instances": wanted}));
        let answers = join_all((1..=MANY).map(scale)).await;
        check(what, &answers, 4, code);
        let app = platform.get(&path).await.expect(200);
        let instances = app["entity"]["instances"].as_u64().unwrap();
        assert!((1..=4).contains(&instances), "{what}: {instances}");
        let text = scale(5).await.expect(400)["description"].to_string();
        assert!(
            text.contains("limit 6 instances, in use 2, asked 5"),
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_and_private_domains_are_never_overdrawn() {
    let platform = Platform::start().await;
    let shared = first_guid(&platform.get("/v2/shared_domains").await.expect(200));
    let cases = [
        ("routes", json!({"total_routes": 3}), None, 310_006),
        (
            "space-routes",
            json!({}),
            Some(json!({"total_routes": 3})),
            310_005,
        ),
    ];
    for (what, org, space, code) in cases {
        let place = place(&platform, what, org, space).await;
        let make = |at: usize| {
            let body = json!({"host": format!("{what}{at}"), "domain_guid": shared, "space_guid": place.space});
            platform.post("/v2/routes", body)
        };
        check(what, &join_all((0..MANY).map(make)).await, 3, code);
        let list = platform
            .get(&format!("/v2/spaces/{}/routes", place.space))
            .await;
        assert_eq!(list.expect(200)["total_results"], 3, "{what}");
    }
    let place = place(
        &platform,
        "domains",
        json!({"total_private_domains": 2}),
        None,
    )
    .await;
    let make = |at: usize| {
        let body =
            json!({"name": format!("d{at}.example.org"), "owning_organization_guid": place.org});
        platform.post("/v2/private_domains", body)
    };
    check("domains", &join_all((0..MANY).map(make)).await, 2, 130_005);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_names_that_exclude_each_other_one_is_made() {
    let platform = Platform::start().await;
    let shared = first_guid(&platform.get("/v2/shared_domains").await.expect(200));
    for round in 0..4 {
        let name = format!("rival{round}");
        let mine = place(&platform, &format!("mine{round}"), json!({}), None).await;
        let theirs = place(&platform, &format!("theirs{round}"), json!({}), None).await;
        let outer =
            json!({"name": format!("{name}.example.org"), "owning_organization_guid": mine.org});
        let inner = json!({"name": format!("a.{name}.example.org"), "owning_organization_guid": theirs.org});
        let domains = "/v2/private_domains";
        let both = join_all([platform.post(domains, outer), platform.post(domains, inner)]).await;
        check("a domain below another's", &both, 1, 130_001);
        let route = json!({"host": name, "domain_guid": shared, "space_guid": mine.space});
        let domain = json!({"name": format!("{name}.apps.example.com"), "owning_organization_guid": mine.org});
        let both = join_all([
            platform.post("/v2/routes", route),
            platform.post(domains, domain),
        ])
        .await;
        let made = both.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(made, 1, "a route and a domain of one name: {both:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restage_is_a_start_and_needs_room() {
    let platform = Platform::start().await;
    let mut dea = Dea::with_room(&platform).await;
    let place = place(&platform, "tight", json!({"memory_limit": 10}), None).await;
    let apps = apps(&platform, &place, 2).await;
    for app in &apps {
        let path = format!("/v2/apps/{app}");
        platform
            .put(&path, json!({"state": "STARTED"}))
            .await
            .expect(201);
        dea.stage_well(&platform, b"droplet").await;
        crate::support::wait_for_package_state(&platform, app, "STAGED").await;
        platform
            .put(&path, json!({"state": "STOPPED"}))
            .await
            .expect(201);
    }
    let start = format!("/v2/apps/{}", apps[0]);
    platform
        .put(&start, json!({"state": "STARTED"}))
        .await
        .expect(201);
    let restage = format!("/v2/apps/{}/restage", apps[1]);
    let refused = platform.post(&restage, Value::Null).await;
    refused.expect_error(400, 100_005, "CF-AppMemoryQuotaExceeded");
}
