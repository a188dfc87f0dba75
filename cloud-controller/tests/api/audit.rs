//! Every endpoint that changes something leaves an event: `tables/mutations.txt`.

use crate::support::dea::Dea;
use crate::support::table::{self, Row};
use crate::support::world::World;
use crate::support::{Answer, Platform, eventually, read, wait_for_package_state, zip_of};
use reqwest::Method;
use serde_json::{Value, json};

fn rows() -> Vec<Row> {
    table::read(include_str!("../tables/mutations.txt"))
}

#[test]
fn the_table_names_every_endpoint_that_is_no_get() {
    table::must_match(&rows(), |method, _| method != "GET");
}

/// Number of events, and the newest one.
async fn newest(platform: &Platform) -> (u64, Value) {
    let page = "/v2/events?results-per-page=1&order-direction=desc";
    let list = platform.get(page).await.expect(200);
    let event = list["resources"][0]["entity"].clone();
    (list["total_results"].as_u64().unwrap(), event)
}

async fn send(platform: &Platform, world: &World, row: &Row) -> Answer {
    let address = row.address(world);
    let body = row.json(world);
    let (field, name, zip) = match body.as_ref().and_then(Value::as_str) {
        Some("@bits") => {
            return platform
                .upload_bits(
                    world.guid("app"),
                    json!([]),
                    Some(zip_of(&[("a", "b", 0o100_644)])),
                )
                .await;
        }
        Some("@buildpack") => (
            "buildpack",
            "bp.zip",
            zip_of(&[("bin/detect", "#!/bin/sh", 0o100_755)]),
        ),
        _ => {
            let method = Method::from_bytes(row.method.as_bytes()).unwrap();
            return platform.call(method, &address, body).await;
        }
    };
    let part = reqwest::multipart::Part::bytes(zip).file_name(name);
    let form = reqwest::multipart::Form::new().part(field, part);
    let request = platform.client.put(format!("{}{address}", platform.base));
    let token = format!("bearer {}", platform.token);
    read(request.header("authorization", token).multipart(form)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mutation_leaves_an_event_of_its_type_naming_who_did_it() {
    let platform = Platform::start().await;
    let mut dea = Dea::with_room(&platform).await;
    let mut world = World::build(&platform, "world").await;
    let other = world.fresh(&platform, "org").await;
    world.set("other", other);
    let somebody =
        json!({"userName": "somebody", "password": "pw", "emails": [{"value": "s@example.com"}]});
    platform.post("/Users", somebody).await.expect(201);
    let seen = format!("/v2/organizations/{}/users", world.guid("org"));
    platform
        .put(&seen, json!({"username": "admin"}))
        .await
        .expect(201);
    let staged = platform.create_app_with_bits("staged").await;
    let started = json!({"state": "STARTED"});
    platform
        .put(&format!("/v2/apps/{staged}"), started)
        .await
        .expect(201);
    dea.stage_well(&platform, b"droplet").await;
    wait_for_package_state(&platform, &staged, "STAGED").await;
    eventually("staging details are stored", async || {
        let app = platform
            .get(&format!("/v2/apps/{staged}"))
            .await
            .expect(200);
        (app["entity"]["detected_buildpack"] == "test").then_some(())
    })
    .await;
    world.set("staged", staged);

    let mut wrong = Vec::new();
    for row in rows()
        .iter()
        .filter(|row| !row.verdict.starts_with("none:"))
    {
        for (_, value) in &row.arguments {
            if let Some(kind) = value.strip_prefix("new-") {
                let made = world.fresh(&platform, kind).await;
                world.set(value, made);
            }
        }
        let (before, _) = newest(&platform).await;
        let answer = send(&platform, &world, row).await;
        let said = format!("{} {}", row.method, row.path);
        assert!(answer.status.is_success(), "{said}: {answer:?}");
        let (after, event) = newest(&platform).await;
        let by = event["actor_name"] == "admin" && event["actor_type"] == "user";
        if after != before + 1 || event["type"] != row.verdict.as_str() || !by {
            wrong.push(format!(
                "{said}: {} new, the newest {event}",
                after - before
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
