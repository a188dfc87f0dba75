//! What hangs on a thing that is deleted: refused without `recursive=true`, gone with it, told by events, and no blob is left.

use crate::support::dea::Dea;
use crate::support::files::{files_below, make_old};
use crate::support::world::World;
use crate::support::{Platform, eventually, guid, wait_for_package_state};
use reqwest::Method;
use serde_json::json;

/// A parent, how it is called in the error, a child that keeps it, and the event about the child.
struct Pair {
    parent: &'static str,
    collection: &'static str,
    child: &'static str,
    association: &'static str,
    event: Option<&'static str>,
}

const fn pair(
    parent: &'static str,
    collection: &'static str,
    child: &'static str,
    association: &'static str,
    event: Option<&'static str>,
) -> Pair {
    Pair {
        parent,
        collection,
        child,
        association,
        event,
    }
}

/// Every parent with each of its children, alone.
const PAIRS: [Pair; 10] = [
    pair("org", "organizations", "space", "spaces", None),
    pair(
        "org",
        "organizations",
        "domain",
        "private_domains",
        Some("audit.domain.delete-request"),
    ),
    pair(
        "org",
        "organizations",
        "spacequota",
        "space_quota_definitions",
        None,
    ),
    pair(
        "space",
        "spaces",
        "app",
        "apps",
        Some("audit.app.delete-request"),
    ),
    pair("space", "spaces", "db", "service_instances", None),
    pair("space", "spaces", "route", "routes", None),
    pair("app", "apps", "binding", "service_bindings", None),
    pair(
        "db",
        "user_provided_service_instances",
        "binding",
        "service_bindings",
        None,
    ),
    pair("shared", "shared_domains", "route", "routes", None),
    pair("domain", "private_domains", "route", "routes", None),
];

/// The collection a kind is in.
fn collection(kind: &str) -> &'static str {
    match kind {
        "space" => "spaces",
        "domain" => "private_domains",
        "spacequota" => "space_quota_definitions",
        "app" => "apps",
        "db" => "service_instances",
        "route" => "routes",
        "binding" => "service_bindings",
        other => panic!("{other}"),
    }
}

/// A world of its own for the pair: parent and child, and nothing else that counts.
async fn build(platform: &Platform, pair: &Pair) -> (String, String) {
    let mut world = World::empty(platform).await;
    for kind in ["org", "space"] {
        if pair.parent == kind {
            let parent = world.fresh(platform, kind).await;
            world.set(kind, parent.clone());
            let child = world.fresh(platform, pair.child).await;
            return (parent, child);
        }
        let made = world.fresh(platform, kind).await;
        world.set(kind, made);
    }
    let parent = world.fresh(platform, pair.parent).await;
    world.set(pair.parent, parent.clone());
    let child = match (pair.parent, pair.child) {
        ("domain", "route") => {
            let body =
                json!({"host": "www", "domain_guid": parent, "space_guid": world.guid("space")});
            guid(&platform.post("/v2/routes", body).await.expect(201))
        }
        ("db", "binding") => {
            let app = world.fresh(platform, "app").await;
            let body = json!({"app_guid": app, "service_instance_guid": parent});
            guid(
                &platform
                    .post("/v2/service_bindings", body)
                    .await
                    .expect(201),
            )
        }
        _ => world.fresh(platform, pair.child).await,
    };
    (parent, child)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_goes_with_its_children_only_when_that_is_wished_for() {
    let platform = Platform::start().await;
    for pair in &PAIRS {
        let (parent, child) = build(&platform, pair).await;
        let what = format!("{} with {}", pair.parent, pair.child);
        let path = format!("/v2/{}/{parent}", pair.collection);
        let child_path = format!("/v2/{}/{child}", collection(pair.child));
        for query in ["", "?recursive=false", "?async=true"] {
            let refused = platform.delete(&format!("{path}{query}")).await;
            let text = refused.expect_error(400, 10_006, "CF-AssociationNotEmpty");
            assert!(text.contains(pair.association), "{what}: {text}");
        }
        for kept in [&path, &child_path] {
            platform.get(kept).await.expect(200);
        }
        let about = |guid: &str| format!("/v2/events?q=actee:{guid}&results-per-page=100");
        let deletions = async |guid: &str| {
            let list = platform.get(&about(guid)).await.expect(200);
            let kinds = list["resources"].as_array().unwrap().clone();
            kinds
                .iter()
                .filter(|event| event["entity"]["type"].as_str().unwrap().contains("delete"))
                .cloned()
                .collect::<Vec<_>>()
        };
        assert!(deletions(&parent).await.is_empty(), "{what}");
        let deleted = platform.delete(&format!("{path}?recursive=true")).await;
        assert_eq!(deleted.status.as_u16(), 204, "{what}");
        for gone in [&path, &child_path] {
            assert_eq!(
                platform.get(gone).await.status.as_u16(),
                404,
                "{what}: {gone}"
            );
        }
        assert_eq!(deletions(&parent).await.len(), 1, "{what}");
        if let Some(kind) = pair.event {
            let of_child = deletions(&child).await;
            assert_eq!(of_child[0]["entity"]["type"], kind, "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_an_organization_leaves_its_spaces_when_that_is_wished_for() {
    let platform = Platform::start().await;
    let world = World::build(&platform, "left").await;
    let (org, space) = (world.guid("org"), world.guid("space"));
    for by_name in [false, true] {
        let name = crate::support::world::unique();
        let roles = [(space, "developers"), (space, "auditors")];
        let user = platform.add_user(&name, org, &roles).await;
        let path = match by_name {
            false => format!("/v2/organizations/{org}/users/{user}"),
            true => format!("/v2/organizations/{org}/users"),
        };
        let body = by_name.then(|| json!({"username": name}));
        let leave = async |query: &str| {
            let path = format!("{path}{query}");
            platform.call(Method::DELETE, &path, body.clone()).await
        };
        let is_in = async |list: &str| {
            let list = platform.get(&format!("/v2/{list}")).await.expect(200);
            list.to_string().contains(&user)
        };
        let developers = format!("spaces/{space}/developers");
        let members = format!("organizations/{org}/users");
        let text = leave("")
            .await
            .expect_error(400, 10_006, "CF-AssociationNotEmpty");
        assert!(text.contains("recursive=true"), "{text}");
        assert!(is_in(&developers).await && is_in(&members).await);
        leave("?recursive=true").await.expect(201);
        assert!(!is_in(&developers).await && !is_in(&members).await);
        let path = format!("/v2/events?q=actee:{user}&q=type:audit.user.organization_user_remove");
        let events = platform.get(&path).await.expect(200);
        assert_eq!(events["total_results"], 1);
        assert_eq!(
            events["resources"][0]["entity"]["metadata"]["request"]["recursive"],
            true
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_that_goes_leaves_no_blob_of_its_apps() {
    let platform = Platform::start_with(|config| config.blob_sweep_seconds = 1).await;
    let mut dea = Dea::with_room(&platform).await;
    let (org, _) = platform.target().await;
    let app = platform.create_app_with_bits("whole").await;
    let path = format!("/v2/apps/{app}");
    for content in [b"first", b"later"] {
        let state = json!({"state": "STOPPED"});
        platform.put(&path, state).await.expect(201);
        if content == b"later" {
            let zip = crate::support::zip_of(&[("more.txt", "more", 0o100_644)]);
            platform
                .upload_bits(&app, json!([]), Some(zip))
                .await
                .expect(201);
        }
        platform
            .put(&path, json!({"state": "STARTED"}))
            .await
            .expect(201);
        let request = dea.stage_well(&platform, content).await;
        let cache = request["buildpack_cache_upload_uri"].as_str().unwrap();
        // The last word may have been noted already: then the cache is not taken any more, which is as well here.
        let _ = crate::support::dea::upload(&platform, cache, b"cache", &[]).await;
        wait_for_package_state(&platform, &app, "STAGED").await;
    }
    let blobs = platform.dir.path().join("blobs");
    let folders = ["cc-packages", "cc-droplets", "cc-manifests", "cc-resources"];
    let of_apps = || {
        folders
            .map(|folder| files_below(&blobs.join(folder)))
            .concat()
    };
    assert!(of_apps().len() >= 4, "{:?}", of_apps());
    let deleted = platform
        .delete(&format!(
            "/v2/organizations/{org}?async=true&recursive=true"
        ))
        .await;
    deleted.expect(202);
    eventually("its blobs are collected", async || {
        // Files of apps go in two looks: condemned first. Both are about the age of the blob.
        for path in of_apps() {
            make_old(&path);
        }
        let left = of_apps();
        left.iter()
            .all(|path| path.display().to_string().contains("cc-resources"))
            .then_some(())
    })
    .await;
}
