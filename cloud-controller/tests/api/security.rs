//! What reaches the containers: security groups, groups of variables; and what is noted for billing.

use crate::support::dea::Dea;
use crate::support::{Platform, guid, wait_for_package_state};
use serde_json::{Value, json};

/// Makes a group with one rule for this address.
async fn group(platform: &Platform, name: &str, address: &str) -> String {
    let rules = json!([{"protocol": "tcp", "destination": address, "ports": "443"}]);
    let body = json!({"name": name, "rules": rules});
    guid(&platform.post("/v2/security_groups", body).await.expect(201))
}

/// Addresses of egress rules in a message.
fn destinations(rules: &Value) -> Vec<&str> {
    let rules = rules.as_array().unwrap();
    rules
        .iter()
        .filter_map(|rule| rule["destination"].as_str())
        .collect()
}

async fn start(platform: &Platform, app: &str) {
    let started = json!({"state": "STARTED"});
    platform
        .put(&format!("/v2/apps/{app}"), started)
        .await
        .expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_of_the_space_and_defaults_reach_the_dea_and_others_do_not() {
    let platform = Platform::start().await;
    let mut dea = Dea::with_room(&platform).await;
    let (org, space) = platform.target().await;
    let other = json!({"name": "other", "organization_guid": org});
    let other = guid(&platform.post("/v2/spaces", other).await.expect(201));
    let ours = group(&platform, "ours", "10.1.0.1").await;
    let theirs = group(&platform, "theirs", "10.2.0.1").await;
    let running = group(&platform, "running", "10.3.0.1").await;
    let staging = group(&platform, "staging", "10.4.0.1").await;
    platform
        .put_empty(&format!("/v2/security_groups/{ours}/spaces/{space}"))
        .await
        .expect(201);
    platform
        .put_empty(&format!("/v2/security_groups/{theirs}/spaces/{other}"))
        .await
        .expect(201);
    // Clients send the JSON text "" here.
    platform
        .put(
            &format!("/v2/config/running_security_groups/{running}"),
            json!(""),
        )
        .await
        .expect(200);
    platform
        .put(
            &format!("/v2/config/staging_security_groups/{staging}"),
            json!(""),
        )
        .await
        .expect(200);

    let app = platform.create_app_with_bits("web").await;
    start(&platform, &app).await;
    let request = dea.stage_well(&platform, b"droplet").await;
    let staged = destinations(&request["egress_network_rules"]);
    assert!(
        staged.contains(&"10.4.0.1") && staged.contains(&"0.0.0.0-9.255.255.255"),
        "{staged:?}"
    );
    assert!(
        !staged
            .iter()
            .any(|rule| ["10.1.0.1", "10.2.0.1", "10.3.0.1"].contains(rule)),
        "{staged:?}"
    );
    let started = destinations(&request["start_message"]["egress_network_rules"]);
    assert!(
        started.contains(&"10.1.0.1") && started.contains(&"10.3.0.1"),
        "{started:?}"
    );
    assert!(
        !started
            .iter()
            .any(|rule| ["10.2.0.1", "10.4.0.1"].contains(rule)),
        "{started:?}"
    );

    // A change shows at the next start.
    wait_for_package_state(&platform, &app, "STAGED").await;
    let rules = json!({"rules": [{"protocol": "all", "destination": "10.9.0.0/16"}]});
    platform
        .put(&format!("/v2/security_groups/{ours}"), rules)
        .await
        .expect(201);
    platform
        .delete(&format!("/v2/config/running_security_groups/{running}"))
        .await
        .expect(204);
    platform
        .put(&format!("/v2/apps/{app}"), json!({"instances": 2}))
        .await
        .expect(201);
    let (message, _) = Dea::next("a start", &mut dea.starts).await;
    let started = destinations(&message["egress_network_rules"]);
    assert!(started.contains(&"10.9.0.0/16"), "{started:?}");
    assert!(
        !started
            .iter()
            .any(|rule| ["10.1.0.1", "10.3.0.1"].contains(rule)),
        "{started:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_are_listed_where_they_hold_and_bad_ones_are_refused() {
    let mut platform = Platform::start().await;
    let (_, space) = platform.target().await;
    let ours = group(&platform, "ours", "10.1.0.1").await;
    platform
        .put_empty(&format!("/v2/security_groups/{ours}/spaces/{space}"))
        .await
        .expect(201);
    let names = |list: Value| -> Vec<String> {
        let all = list["resources"].as_array().unwrap();
        all.iter()
            .map(|one| one["entity"]["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let of_space = format!("/v2/spaces/{space}/security_groups");
    let listed = names(platform.get(&of_space).await.expect(200));
    assert!(
        listed.contains(&"ours".to_owned()) && listed.contains(&"dns".to_owned()),
        "{listed:?}"
    );
    let running = names(
        platform
            .get("/v2/config/running_security_groups")
            .await
            .expect(200),
    );
    assert!(!running.contains(&"ours".to_owned()), "{running:?}");
    let found = platform
        .get("/v2/security_groups?q=name:OURS&inline-relations-depth=1")
        .await
        .expect(200);
    assert_eq!(
        found["resources"][0]["entity"]["spaces"][0]["metadata"]["guid"],
        json!(space)
    );

    let again = json!({"name": "Ours", "rules": []});
    platform
        .post("/v2/security_groups", again)
        .await
        .expect_error(400, 300_005, "CF-SecurityGroupNameTaken");
    let bad = json!({"name": "bad", "rules": [{"protocol": "tcp", "destination": "everywhere", "ports": "1"}]});
    let text = platform
        .post("/v2/security_groups", bad)
        .await
        .expect_error(400, 300_001, "CF-SecurityGroupInvalid");
    assert!(
        text.contains("everywhere") && text.contains("rule number 1"),
        "{text}"
    );
    platform
        .delete(&format!("/v2/security_groups/{ours}?async=true"))
        .await
        .expect(202);
    platform
        .get(&format!("/v2/security_groups/{ours}"))
        .await
        .expect_error(404, 300_002, "CF-SecurityGroupNotFound");

    // What an operator made of a default group outlives a restart.
    let dns = platform
        .get("/v2/security_groups?q=name:dns")
        .await
        .expect(200);
    let dns = crate::support::first_guid(&dns);
    platform
        .put(&format!("/v2/security_groups/{dns}"), json!({"rules": []}))
        .await
        .expect(201);
    platform
        .delete(&format!("/v2/config/staging_security_groups/{dns}"))
        .await
        .expect(204);
    platform.restart().await;
    let after = platform
        .get(&format!("/v2/security_groups/{dns}"))
        .await
        .expect(200);
    assert_eq!(
        (
            &after["entity"]["rules"],
            &after["entity"]["staging_default"]
        ),
        (&json!([]), &json!(false))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_of_groups_reach_staging_and_start_below_the_apps_own() {
    let platform = Platform::start().await;
    let mut dea = Dea::with_room(&platform).await;
    let groups = "/v2/config/environment_variable_groups";
    platform
        .put(
            &format!("{groups}/running"),
            json!({"A": "running", "R": "running"}),
        )
        .await
        .expect(200);
    platform
        .put(
            &format!("{groups}/staging"),
            json!({"A": "staging", "S": 7}),
        )
        .await
        .expect(200);
    let app = platform.create_app_with_bits("web").await;
    let own = json!({"environment_json": {"A": "own"}});
    platform
        .put(&format!("/v2/apps/{app}"), own)
        .await
        .expect(201);
    start(&platform, &app).await;
    let request = dea.stage_well(&platform, b"droplet").await;
    assert_eq!(
        request["properties"]["environment"],
        json!(["A=own", "S=7"])
    );
    assert_eq!(
        request["start_message"]["env"],
        json!(["A=own", "R=running"])
    );
    let shown = platform
        .get(&format!("/v2/apps/{app}/env"))
        .await
        .expect(200);
    assert_eq!(
        shown["running_env_json"],
        json!({"A": "running", "R": "running"})
    );
    assert_eq!(shown["staging_env_json"], json!({"A": "staging", "S": 7}));
}

/// (state, instances, memory) of all usage events behind one.
async fn usage(platform: &Platform, after: Option<&str>) -> (Vec<(String, i64, i64)>, String) {
    let query = after.map_or_else(String::new, |guid| format!("?after_guid={guid}"));
    let list = platform
        .get(&format!("/v2/app_usage_events{query}"))
        .await
        .expect(200);
    let all = list["resources"].as_array().unwrap();
    let one = |event: &Value| {
        let entity = &event["entity"];
        (
            entity["state"].as_str().unwrap().to_owned(),
            entity["instance_count"].as_i64().unwrap(),
            entity["memory_in_mb_per_instance"].as_i64().unwrap(),
        )
    };
    let last = all.last().map_or_else(String::new, guid);
    (all.iter().map(one).collect(), last)
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_scalings_buildpacks_stops_and_deletions_are_usage() {
    let platform = Platform::start().await;
    let mut dea = Dea::with_room(&platform).await;
    let app = platform.create_app_with_bits("web").await;
    assert_eq!(usage(&platform, None).await.0, []);
    start(&platform, &app).await;
    dea.stage_well(&platform, b"droplet").await;
    crate::support::eventually("the buildpack is noted", async || {
        let (events, _) = usage(&platform, None).await;
        (events.len() == 2).then_some(())
    })
    .await;
    let (events, last) = usage(&platform, None).await;
    assert_eq!(
        events,
        [("STARTED".into(), 1, 64), ("BUILDPACK_SET".into(), 1, 64)]
    );
    let path = format!("/v2/apps/{app}");
    platform
        .put(&path, json!({"instances": 3}))
        .await
        .expect(201);
    platform
        .put(&path, json!({"memory": 128}))
        .await
        .expect(201);
    platform
        .put(&path, json!({"name": "renamed"}))
        .await
        .expect(201);
    platform
        .put(&path, json!({"state": "STOPPED"}))
        .await
        .expect(201);
    start(&platform, &app).await;
    platform.delete(&path).await.expect(204);
    let (events, _) = usage(&platform, Some(&last)).await;
    let expected = [
        ("STARTED", 3, 64),
        ("STARTED", 3, 128),
        ("STOPPED", 3, 128),
        ("STARTED", 3, 128),
        ("STOPPED", 3, 128),
    ];
    assert_eq!(
        events,
        expected.map(|(state, count, memory)| (state.to_owned(), count, memory))
    );
    let shown = platform
        .get(&format!("/v2/app_usage_events/{last}"))
        .await
        .expect(200);
    assert_eq!(
        (
            &shown["entity"]["buildpack_name"],
            &shown["entity"]["app_name"]
        ),
        (&json!("test"), &json!("web"))
    );
    let text = platform
        .get("/v2/app_usage_events?after_guid=nothing")
        .await
        .expect_error(400, 10_005, "CF-BadQueryParameter");
    assert!(text.contains("after_guid"), "{text}");

    let second = platform.create_app_with_bits("second").await;
    start(&platform, &second).await;
    let purge = "/v2/app_usage_events/destructively_purge_all_and_reseed_started_apps";
    platform.post(purge, json!({})).await.expect(204);
    assert_eq!(usage(&platform, None).await.0, [("STARTED".into(), 1, 64)]);
}
