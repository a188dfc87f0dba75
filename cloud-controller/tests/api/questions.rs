//! How often the database is asked for one answer: as often for many rows as for few.

use crate::support::{Platform, eventually, guid};
use serde_json::json;

/// Apps, each with a route and bound to a service instance of its own.
async fn add_apps(platform: &Platform, range: std::ops::Range<usize>) {
    let (_, space) = platform.target().await;
    let domains = platform.get("/v2/shared_domains").await.expect(200);
    let domain = crate::support::first_guid(&domains);
    for at in range {
        let app = platform.create_app(&format!("app-{at}")).await;
        let body =
            json!({"host": format!("host-{at}"), "domain_guid": domain, "space_guid": space});
        let route = guid(&platform.post("/v2/routes", body).await.expect(201));
        let path = format!("/v2/apps/{app}/routes/{route}");
        platform.put_empty(&path).await.expect(201);
        let body = json!({"name": format!("db-{at}"), "space_guid": space});
        let made = platform.post("/v2/user_provided_service_instances", body);
        let instance = guid(&made.await.expect(201));
        let body = json!({"app_guid": app, "service_instance_guid": instance});
        platform
            .post("/v2/service_bindings", body)
            .await
            .expect(201);
    }
}

/// Statements the controller ran until the answer was there: at least those for it, and whatever it did beside.
async fn statements(platform: &Platform, path: &str) -> u64 {
    let so_far = async || {
        let varz = platform.status("/varz").await.expect(200);
        varz["database_reads"].as_u64().unwrap()
    };
    let before = so_far().await;
    platform.get(path).await.expect(200);
    so_far().await - before
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_summaries_ask_the_database_as_often_for_many_rows_as_for_few() {
    let platform = Platform::start().await;
    let (_, space) = platform.target().await;
    let mut paths = vec![format!("/v2/spaces/{space}/summary")];
    for list in [
        "apps",
        "routes",
        "service_instances",
        "service_bindings",
        "spaces",
    ] {
        paths.push(format!("/v2/{list}?inline-relations-depth=1"));
        paths.push(format!("/v2/{list}?inline-relations-depth=2"));
    }
    add_apps(&platform, 0..2).await;
    let mut few = Vec::new();
    for path in &paths {
        let mut least = u64::MAX;
        for _ in 0..3 {
            least = least.min(statements(&platform, path).await);
        }
        few.push(least);
    }
    add_apps(&platform, 2..8).await;
    for (path, few) in paths.iter().zip(few) {
        // Other things the controller asks for may fall into the time of an answer; once they do not.
        let claim = format!("{path} asks {few} times with eight apps as with two");
        eventually(&claim, async || {
            (statements(&platform, path).await <= few).then_some(())
        })
        .await;
    }
}
