//! Users and their roles, feature flags, buildpacks, copied sources: the calls of the reference's lists, with the fields clients read.

use crate::support::dea::Dea;
use crate::support::walk::{Step, taken, walk, with_job};
use crate::support::{Answer, PASSWORD, Platform, first_guid, guid, read, zip_of};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn roles_are_given_and_taken_by_guid_and_by_name() {
    let platform = Platform::start().await;
    let (org, space) = platform.target().await;
    let user = platform.add_user("ann", &org, &[]).await;
    let name = Some(json!({"username": "ann"}));
    let mut steps: Vec<Step<'_>> = Vec::new();
    let places = [
        (
            format!("/v2/organizations/{org}"),
            ["managers", "billing_managers", "auditors"],
        ),
        (
            format!("/v2/spaces/{space}"),
            ["managers", "developers", "auditors"],
        ),
    ];
    for (place, roles) in &places {
        for role in roles {
            let list = format!("{place}/{role}");
            // The seed made the administrator a manager of both and a developer.
            let before = u64::from(matches!(*role, "managers" | "developers"));
            let total = |more: u64| vec![("/total_results", json!(before + more))];
            steps.push(("PUT", format!("{list}/{user}"), None, 201, vec![]));
            steps.push(("GET", list.clone(), None, 200, total(1)));
            steps.push(("DELETE", format!("{list}/{user}"), None, 201, vec![]));
            steps.push(("GET", list.clone(), None, 200, total(0)));
            steps.push(("PUT", list.clone(), name.clone(), 201, vec![]));
            steps.push(("GET", list.clone(), None, 200, total(1)));
            if *role != "developers" {
                steps.push(("DELETE", list.clone(), name.clone(), 201, vec![]));
                steps.push(("GET", list.clone(), None, 200, total(0)));
            }
        }
    }
    let users = format!("/v2/organizations/{org}/users");
    steps.extend([
        (
            "GET",
            format!("/v2/spaces/{space}/developers?inline-relations-depth=1"),
            None,
            200,
            vec![("/resources/1/entity/username", json!("ann"))],
        ),
        ("DELETE", users.clone(), name.clone(), 400, taken(10_006)),
        (
            "DELETE",
            format!("/v2/spaces/{space}/developers"),
            name.clone(),
            201,
            vec![],
        ),
        ("DELETE", users.clone(), name.clone(), 201, vec![]),
        (
            "PUT",
            format!("/v2/spaces/{space}/developers"),
            name.clone(),
            400,
            taken(1002),
        ),
        (
            "PUT",
            users,
            Some(json!({"username": "nobody"})),
            404,
            taken(20_003),
        ),
    ]);
    walk(&platform, steps).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feature_that_is_off_is_refused_to_all_but_administrators() {
    let mut platform = Platform::start().await;
    let (org, space) = platform.target().await;
    let app = platform.create_app("mine").await;
    platform
        .add_user("ann", &org, &[(&space, "developers")])
        .await;
    platform
        .put(
            &format!("/v2/organizations/{org}/managers"),
            json!({"username": "ann"}),
        )
        .await
        .expect(201);
    let domain = first_guid(&platform.get("/v2/shared_domains").await.expect(200));
    let all = "/v2/config/feature_flags";
    let list = platform.get(all).await.expect(200);
    assert!(list.as_array().unwrap().len() >= 9, "a bare array: {list}");
    let ann = json!({"username": "ann"});
    let table = [
        (
            "user_org_creation",
            "POST",
            "/v2/organizations".to_owned(),
            json!({"name": "new"}),
        ),
        (
            "private_domain_creation",
            "POST",
            "/v2/private_domains".into(),
            json!({"name": "a.example.org", "owning_organization_guid": org}),
        ),
        (
            "app_bits_upload",
            "PUT",
            "/v2/resource_match".into(),
            json!([]),
        ),
        (
            "app_scaling",
            "PUT",
            format!("/v2/apps/{app}"),
            json!({"instances": 2}),
        ),
        (
            "route_creation",
            "POST",
            "/v2/routes".into(),
            json!({"host": "h", "domain_guid": domain, "space_guid": space}),
        ),
        (
            "set_roles_by_username",
            "PUT",
            format!("/v2/organizations/{org}/auditors"),
            ann.clone(),
        ),
        (
            "unset_roles_by_username",
            "DELETE",
            format!("/v2/organizations/{org}/auditors"),
            ann,
        ),
    ];
    for (flag, method, path, body) in table {
        platform.log_in("admin", PASSWORD).await.expect(200);
        let off = json!({"enabled": false});
        walk(
            &platform,
            vec![(
                "PUT",
                format!("{all}/{flag}"),
                Some(off),
                200,
                vec![("/name", json!(flag)), ("/enabled", json!(false))],
            )],
        )
        .await;
        platform.log_in("ann", "pw").await.expect(200);
        let refused = walk(
            &platform,
            vec![(
                method,
                path.clone(),
                Some(body.clone()),
                403,
                taken(330_002),
            )],
        )
        .await;
        assert!(
            refused[0]["description"].as_str().unwrap().contains(flag),
            "{}",
            refused[0]
        );
        platform.log_in("admin", PASSWORD).await.expect(200);
        platform
            .put(&format!("{all}/{flag}"), json!({"enabled": true}))
            .await
            .expect(200);
        platform.log_in("ann", "pw").await.expect(200);
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let allowed = platform.call(method, &path, Some(body)).await;
        assert!(allowed.status.is_success(), "{flag}: {allowed:?}");
    }
    platform
        .put(&format!("{all}/app_scaling"), json!({"enabled": true}))
        .await
        .expect_error(403, 10_003, "CF-NotAuthorized");
    platform.get(&format!("{all}/nothing")).await.expect_error(
        404,
        330_000,
        "CF-FeatureFlagNotFound",
    );
}

async fn send_buildpack(platform: &Platform, guid: &str, bytes: Vec<u8>) -> Answer {
    let part = reqwest::multipart::Part::bytes(bytes).file_name("mine.zip");
    let form = reqwest::multipart::Form::new().part("buildpack", part);
    let url = format!("{}/v2/buildpacks/{guid}/bits", platform.base);
    let request = platform.client.put(url).multipart(form);
    read(request.header("authorization", format!("bearer {}", platform.token))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn buildpacks_are_ordered_renamed_locked_switched_off_and_deleted() {
    let platform = Platform::start().await;
    let all = "/v2/buildpacks";
    let make = async |name: &str, position: i64| {
        let body = json!({"name": name, "position": position, "enabled": true});
        guid(
            &platform
                .post(&format!("{all}?async=true"), body)
                .await
                .expect(201),
        )
    };
    let (one, two) = (make("one", 1).await, make("two", 9).await);
    let names = async || -> Vec<String> {
        let list = platform.get(all).await.expect(200);
        let rows = list["resources"].as_array().unwrap();
        for (at, row) in rows.iter().enumerate() {
            assert_eq!(row["entity"]["position"], json!(at + 1));
        }
        rows.iter()
            .map(|row| row["entity"]["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        names().await,
        ["one", "test", "two"],
        "a position beyond the end is the end"
    );
    let zip = zip_of(&[
        ("bin/detect", "#!/bin/sh", 0o100755),
        ("bin/compile", "#!/bin/sh", 0o100755),
    ]);
    assert_eq!(
        send_buildpack(&platform, &two, zip.clone())
            .await
            .expect(201)["entity"]["filename"],
        "mine.zip"
    );
    assert_eq!(
        send_buildpack(&platform, &two, zip.clone())
            .await
            .expect(204),
        Value::Null
    );
    let no_buildpack = zip_of(&[("README", "x", 0o100644)]);
    send_buildpack(&platform, &two, no_buildpack)
        .await
        .expect_error(400, 290_002, "CF-BuildpackBitsUploadInvalid");
    let steps = vec![
        (
            "PUT",
            format!("{all}/{two}"),
            Some(json!({"position": 1})),
            201,
            vec![("/entity/position", json!(1))],
        ),
        (
            "PUT",
            format!("{all}/{one}"),
            Some(json!({"name": "test"})),
            400,
            taken(290_001),
        ),
        (
            "PUT",
            format!("{all}/{one}"),
            Some(json!({"name": "no good"})),
            400,
            taken(290_003),
        ),
        (
            "PUT",
            format!("{all}/{one}"),
            Some(json!({"name": "first"})),
            201,
            vec![("/entity/name", json!("first"))],
        ),
        (
            "PUT",
            format!("{all}/{two}"),
            Some(json!({"locked": true})),
            201,
            vec![("/entity/locked", json!(true))],
        ),
    ];
    walk(&platform, steps).await;
    assert_eq!(names().await, ["two", "first", "test"]);
    let locked = send_buildpack(&platform, &two, zip).await;
    assert!(
        locked
            .expect_error(409, 290_005, "CF-BuildpackLocked")
            .contains("--unlock")
    );
    let off = json!({"locked": false, "enabled": false});
    platform.put(&format!("{all}/{two}"), off).await.expect(201);
    let mut dea = Dea::with_room(&platform).await;
    let app = platform.create_app_with_bits("staged").await;
    platform
        .put(&format!("/v2/apps/{app}"), json!({"state": "STARTED"}))
        .await
        .expect(201);
    let request = dea.stage_well(&platform, b"droplet").await;
    let tried: Vec<&str> = request["admin_buildpacks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["key"].as_str().unwrap())
        .collect();
    assert!(
        tried.len() == 1 && !tried[0].starts_with(&two),
        "only enabled ones with bits: {tried:?}"
    );
    let job = platform
        .delete(&format!("{all}/{two}?async=true"))
        .await
        .expect(202);
    assert_eq!(job["entity"]["status"], "finished");
    assert_eq!(names().await, ["first", "test"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn copy_source_gives_the_target_the_package_of_the_source() {
    let platform = Platform::start().await;
    let mut dea = Dea::with_room(&platform).await;
    let (from, to) = (
        platform.create_app_with_bits("from").await,
        platform.create_app("to").await,
    );
    let path = format!("/v2/apps/{to}/copy_bits?async=true");
    let job = platform
        .post(&path, json!({"source_app_guid": from}))
        .await
        .expect(201);
    let url = job["metadata"]["url"].as_str().unwrap().to_owned();
    assert_eq!(
        platform.get(&url).await.expect(200)["entity"]["status"],
        "finished"
    );
    let steps = vec![
        (
            "PUT",
            format!("/v2/apps/{to}"),
            Some(json!({"state": "STARTED"})),
            201,
            vec![("/entity/package_state", json!("PENDING"))],
        ),
        (
            "GET",
            format!("/v2/events?q=actee:{to}&q=type:audit.app.copy-bits"),
            None,
            200,
            vec![("/resources/0/entity/metadata/source_guid", json!(from))],
        ),
        (
            "POST",
            format!("/v2/apps/{to}/copy_bits"),
            Some(json!({})),
            400,
            taken(1001),
        ),
        (
            "POST",
            format!("/v2/apps/{to}/copy_bits"),
            Some(json!({"source_app_guid": "no"})),
            404,
            taken(100_004),
        ),
    ];
    walk(&platform, steps).await;
    let request = dea.stage_well(&platform, b"droplet").await;
    let package = read(
        platform
            .client
            .get(request["download_uri"].as_str().unwrap()),
    )
    .await;
    assert!(package.status.is_success() && package.bytes.starts_with(b"PK"));
    let bare = platform.create_app("bare").await;
    platform
        .post(
            &format!("/v2/apps/{to}/copy_bits"),
            json!({"source_app_guid": bare}),
        )
        .await
        .expect_error(400, 160_002, "CF-AppBitsCopyInvalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_change_their_password_with_the_old_one_and_administrators_without() {
    let mut platform = Platform::start().await;
    let (org, _) = platform.target().await;
    let ann = platform.add_user("ann", &org, &[]).await;
    let path = format!("/Users/{ann}/password");
    platform.log_in("ann", "pw").await.expect(200);
    let wrong = json!({"password": "new", "oldPassword": "guess"});
    platform.put(&path, wrong).await.expect(401);
    let bad = platform
        .put(&path, json!({"password": 7}))
        .await
        .expect(400);
    assert_eq!(bad["error"], "invalid_request");
    let right = json!({"password": "new", "oldPassword": "pw"});
    platform.put(&path, right).await.expect(200);
    platform.log_in("ann", "pw").await.expect(401);
    platform.log_in("ann", "new").await.expect(200);
    platform.log_in("admin", PASSWORD).await.expect(200);
    platform
        .put(&path, json!({"password": "set"}))
        .await
        .expect(200);
    platform.log_in("ann", "set").await.expect(200);
    platform.log_in("admin", PASSWORD).await.expect(200);
    let steps = vec![
        (
            "GET",
            "/Users?attributes=id,userName&filter=userName%20Eq%20%22ann%22".into(),
            None,
            200,
            vec![("/resources/0/id", json!(ann))],
        ),
        (
            "DELETE",
            format!("/v2/users/{ann}?async=true"),
            None,
            204,
            vec![],
        ),
        ("DELETE", format!("/Users/{ann}"), None, 200, vec![]),
        (
            "DELETE",
            format!("/v2/users/{ann}"),
            None,
            404,
            taken(20_003),
        ),
    ];
    walk(&platform, steps.into_iter().map(with_job).collect()).await;
    platform.log_in("ann", "set").await.expect(401);
}
