//! `tables/validation.txt`: the reference's rules, one by one; what is refused leaves everything as it was.

use std::collections::BTreeMap;

use crate::support::dea::Dea;
use crate::support::table::{self, Row};
use crate::support::world::World;
use crate::support::{Answer, PASSWORD, Platform, first_guid, guid, read, zip_of};
use reqwest::Method;
use serde_json::{Value, json};

/// The world the table is about.
async fn world(platform: &Platform) -> World {
    let mut world = World::build(platform, "world").await;
    world.set("WORLD", "WORLD".into());
    for (name, length) in [("letters200", 200), ("letters55", 55), ("letters56", 56)] {
        world.set(name, "x".repeat(length));
    }
    let (org, space) = (world.guid("org").to_owned(), world.guid("space").to_owned());
    let manager = platform
        .add_user("val-manager", &org, &[(&space, "developers")])
        .await;
    let path = format!("/v2/organizations/{org}/managers/{manager}");
    platform.put_empty(&path).await.expect(201);
    world.set("manager", manager);
    let other = post(platform, "organizations", json!({"name": "the-other"})).await;
    let stranger = platform.add_user("val-stranger", &other, &[]).await;
    world.set("stranger", stranger);
    let domain = json!({"name": "other.example.org", "owning_organization_guid": other});
    world.set(
        "otherdomain",
        post(platform, "private_domains", domain).await,
    );
    world.set("other", other);
    let bound = platform.get("/v2/service_bindings").await.expect(200);
    let bound = bound["resources"][0]["entity"]["service_instance_guid"].clone();
    world.set("bound", bound.as_str().unwrap().to_owned());
    fill_up(platform, &mut world).await;
    world
}

/// An organization with little room.
async fn fill_up(platform: &Platform, world: &mut World) {
    let quota = json!({"name": "tight", "memory_limit": 100, "instance_memory_limit": 60, "app_instance_limit": 8, "total_routes": 1,
                       "total_services": 1, "total_private_domains": 1, "non_basic_services_allowed": true});
    let quota = post(platform, "quota_definitions", quota).await;
    let body = json!({"name": "full", "quota_definition_guid": quota});
    let org = post(platform, "organizations", body).await;
    let space = post(
        platform,
        "spaces",
        json!({"name": "full", "organization_guid": org}),
    )
    .await;
    let app = json!({"name": "full", "space_guid": space, "memory": 50});
    let app = post(platform, "apps", app).await;
    let zip = zip_of(&[("hello.txt", "hello", 0o100_644)]);
    platform
        .upload_bits(&app, json!([]), Some(zip))
        .await
        .expect(201);
    let shared = first_guid(&platform.get("/v2/shared_domains").await.expect(200));
    post(
        platform,
        "routes",
        json!({"host": "full-up", "domain_guid": shared, "space_guid": space}),
    )
    .await;
    let domain = json!({"name": "full.example.org", "owning_organization_guid": org});
    post(platform, "private_domains", domain).await;
    let quota = json!({"name": "full", "organization_guid": org, "memory_limit": 1});
    let quota = post(platform, "space_quota_definitions", quota).await;
    for (name, made) in [
        ("full", org),
        ("fullspace", space),
        ("fullapp", app),
        ("fullspacequota", quota),
    ] {
        world.set(name, made);
    }
}

async fn post(platform: &Platform, collection: &str, body: Value) -> String {
    guid(
        &platform
            .post(&format!("/v2/{collection}"), body)
            .await
            .expect(201),
    )
}

/// Tokens by name; none is the administrator's.
async fn tokens(platform: &mut Platform) -> BTreeMap<String, String> {
    let mut tokens = BTreeMap::new();
    for (name, user, password) in [
        ("manager", "val-manager", "pw"),
        ("stranger", "val-stranger", "pw"),
        ("", "admin", PASSWORD),
    ] {
        platform.log_in(user, password).await.expect(200);
        tokens.insert(name.to_owned(), platform.token.clone());
    }
    tokens
}

/// What a refused request must leave alone: the thing it names, or the number of those it would have made one more of.
async fn state(platform: &Platform, row: &Row, address: &str) -> Value {
    let answer = platform.get(address).await;
    if answer.status != 200 {
        return json!(answer.status.as_u16());
    }
    let body = answer.json();
    match row.method.as_str() {
        "POST" => body["total_results"].clone(),
        _ => body,
    }
}

fn check(row: &Row, world: &World, answer: &Answer) -> bool {
    let told = String::from_utf8_lossy(&answer.bytes).into_owned();
    let verdict = world.fill(&row.verdict);
    let mut words = verdict.splitn(3, ' ');
    let status: u16 = words.next().unwrap().parse().unwrap();
    assert_eq!(answer.status.as_u16(), status, "{row:?}: {told}");
    let Some(code) = words.next().filter(|word| !word.is_empty()) else {
        return false;
    };
    let body = answer.json();
    assert_eq!(body["code"].to_string(), code, "{row:?}: {told}");
    let expected = words.next().unwrap_or_default().trim();
    let text = body["description"].as_str().unwrap();
    assert!(text.contains(expected), "{row:?}: {text}");
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn every_rule_of_the_reference_is_kept_and_a_refusal_changes_nothing() {
    let mut platform = Platform::start().await;
    let _dea = Dea::with_room(&platform).await;
    let world = world(&platform).await;
    let tokens = tokens(&mut platform).await;
    let rows = table::read(&table::text("validation.txt"));
    assert!(rows.len() > 140, "{}", rows.len());
    for row in &rows {
        let address = row.address(&world);
        let token = &tokens[row.argument("as").unwrap_or_default()];
        let method = Method::from_bytes(row.method.as_bytes()).unwrap();
        let before = state(&platform, row, &address).await;
        let answer = platform
            .call_as(token, method, &address, row.json(&world))
            .await;
        if check(row, &world, &answer) {
            assert_eq!(state(&platform, row, &address).await, before, "{row:?}");
        }
    }
    let mine = platform
        .call_as(
            &tokens["stranger"],
            Method::GET,
            "/v2/organizations?q=name:strangers",
            None,
        )
        .await;
    let org = first_guid(&mine.expect(200));
    for relation in ["users", "managers"] {
        let list = platform
            .get(&format!("/v2/organizations/{org}/{relation}"))
            .await;
        assert_eq!(
            list.expect(200)["resources"][0]["metadata"]["guid"],
            world.guid("stranger"),
            "{relation}"
        );
    }
    let created = platform
        .get(&format!("/v2/organizations/{org}?inline-relations-depth=1"))
        .await;
    let quota = &created.expect(200)["entity"]["quota_definition"]["entity"]["name"];
    assert_eq!(quota, "default");
}

#[tokio::test(flavor = "multi_thread")]
async fn buildpacks_shift_and_locked_ones_keep_their_bits() {
    let platform = Platform::start_with(|config| config.limits.custom_buildpacks = false).await;
    let mut made = Vec::new();
    for name in ["one", "two", "three"] {
        made.push(
            post(
                &platform,
                "buildpacks",
                json!({"name": name, "position": 1}),
            )
            .await,
        );
    }
    let order = async || {
        let list = platform.get("/v2/buildpacks").await.expect(200);
        let all = list["resources"].as_array().unwrap().clone();
        let entry = |at: (usize, &Value)| {
            assert_eq!(at.1["entity"]["position"], at.0 + 1, "no gap");
            at.1["entity"]["name"].as_str().unwrap().to_owned()
        };
        all.iter().enumerate().map(entry).collect::<Vec<_>>()
    };
    assert_eq!(order().await, ["three", "two", "one", "test"]);
    let path = format!("/v2/buildpacks/{}", made[0]);
    platform
        .put(&path, json!({"position": 1, "locked": true}))
        .await
        .expect(201);
    assert_eq!(order().await, ["one", "three", "two", "test"]);
    let form = reqwest::multipart::Form::new().part(
        "buildpack",
        reqwest::multipart::Part::bytes(zip_of(&[("bin/detect", "#!", 0o100_755)]))
            .file_name("x.zip"),
    );
    let request = platform.client.put(format!("{}{path}/bits", platform.base));
    let request = request.header("authorization", format!("bearer {}", platform.token));
    let refused = read(request.multipart(form)).await;
    refused.expect_error(409, 290_005, "CF-BuildpackLocked");
    assert!(platform.get(&path).await.expect(200)["entity"]["filename"].is_null());
    platform.delete(&path).await.expect(204);
    assert_eq!(order().await, ["three", "two", "test"]);

    let app = platform.create_app("customary").await;
    let path = format!("/v2/apps/{app}");
    let refused = platform
        .put(&path, json!({"buildpack": "https://example.com/own.git"}))
        .await;
    refused.expect_error(400, 290_004, "CF-CustomBuildpacksDisabled");
    platform
        .put(&path, json!({"buildpack": "test"}))
        .await
        .expect(201);
}
