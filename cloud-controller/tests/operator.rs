//! What operators and organization managers do all day: the calls of the reference's lists, with the fields clients read.
#![allow(clippy::unwrap_used)]

mod support;

use reqwest::Method;
use serde_json::{Value, json};
use support::dea::Dea;
use support::{Answer, PASSWORD, Platform, first_guid, guid, read, zip_of};

/// One call of a list: method, path, body, status, and fields of the answer by JSON pointer.
type Step<'a> = (&'a str, String, Option<Value>, u16, Vec<(&'a str, Value)>);

/// Issues the calls in order and checks each; gives the answers.
async fn walk(platform: &Platform, steps: Vec<Step<'_>>) -> Vec<Value> {
    let mut answers = Vec::new();
    for (method, path, body, status, fields) in steps {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = platform.call(method.clone(), &path, body).await;
        let text = String::from_utf8_lossy(&answer.bytes).into_owned();
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {text}");
        let value = if answer.bytes.is_empty() {
            Value::Null
        } else {
            answer.json()
        };
        for (pointer, expected) in fields {
            assert_eq!(
                value.pointer(pointer),
                Some(&expected),
                "{method} {path} {pointer}: {text}"
            );
        }
        answers.push(value);
    }
    answers
}

fn taken(code: u32) -> Vec<(&'static str, Value)> {
    vec![("/code", json!(code))]
}

#[tokio::test(flavor = "multi_thread")]
async fn quotas_are_made_found_changed_given_and_deleted() {
    let platform = Platform::start().await;
    let (org, _) = platform.target().await;
    let body = json!({"name": "small", "memory_limit": 100, "instance_memory_limit": -1, "total_routes": 2,
                      "total_services": 5, "non_basic_services_allowed": false, "app_instance_limit": -1,
                      "total_reserved_route_ports": 0});
    let all = "/v2/quota_definitions";
    let made = platform
        .post(&format!("{all}?async=true"), body.clone())
        .await
        .expect(201);
    let quota = guid(&made);
    let one = format!("{all}/{quota}");
    let with = |key: &str, value: i64| {
        let mut body = body.clone();
        body["name"] = json!("other");
        body[key] = json!(value);
        Some(body)
    };
    let steps = vec![
        ("POST", all.into(), Some(body.clone()), 400, taken(240_002)),
        (
            "POST",
            all.into(),
            with("memory_limit", -1),
            400,
            taken(240_004),
        ),
        (
            "POST",
            all.into(),
            with("instance_memory_limit", -2),
            400,
            taken(240_003),
        ),
        (
            "POST",
            all.into(),
            Some(json!({"name": "bare"})),
            400,
            taken(1001),
        ),
        (
            "GET",
            format!("{all}?q=name:SMALL"),
            None,
            200,
            vec![
                ("/total_results", json!(1)),
                ("/resources/0/entity/memory_limit", json!(100)),
                ("/resources/0/entity/total_private_domains", json!(-1)),
                ("/resources/0/entity/trial_db_allowed", json!(false)),
            ],
        ),
        (
            "PUT",
            format!("{one}?async=true"),
            Some(json!({"name": "tiny", "app_instance_limit": 3})),
            201,
            vec![
                ("/entity/name", json!("tiny")),
                ("/entity/memory_limit", json!(100)),
                ("/entity/app_instance_limit", json!(3)),
            ],
        ),
        (
            "PUT",
            format!("/v2/organizations/{org}"),
            Some(json!({"quota_definition_guid": quota})),
            201,
            vec![("/entity/quota_definition_guid", json!(quota))],
        ),
        (
            "PUT",
            format!("/v2/organizations/{org}"),
            Some(json!({"quota_definition_guid": "no"})),
            400,
            taken(30_001),
        ),
        (
            "GET",
            "/v2/organizations?q=name:acme&inline-relations-depth=1".into(),
            None,
            200,
            vec![(
                "/resources/0/entity/quota_definition/entity/name",
                json!("tiny"),
            )],
        ),
        (
            "DELETE",
            format!("{one}?async=true"),
            None,
            400,
            taken(10_006),
        ),
        ("GET", format!("{all}/nothing"), None, 404, taken(240_001)),
    ];
    walk(&platform, steps).await;
    let app = platform.create_app_with_bits("big").await;
    let path = format!("/v2/apps/{app}");
    platform
        .put(&path, json!({"memory": 101}))
        .await
        .expect(201);
    let _dea = Dea::with_room(&platform).await;
    let text = platform
        .put(&path, json!({"state": "STARTED"}))
        .await
        .expect_error(400, 100_005, "CF-AppMemoryQuotaExceeded");
    assert!(
        text.contains("limit 100 MB, in use 0 MB, asked 101 MB"),
        "{text}"
    );
    let text = platform
        .put(
            &path,
            json!({"memory": 10, "instances": 4, "state": "STARTED"}),
        )
        .await
        .expect_error(400, 100_008, "CF-QuotaInstanceLimitExceeded");
    assert!(
        text.contains("limit 3 instances, in use 0, asked 4"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn space_quotas_belong_to_an_organization_and_are_enforced_before_its_own() {
    let platform = Platform::start().await;
    let (org, space) = platform.target().await;
    let all = "/v2/space_quota_definitions";
    let body = json!({"name": "team", "organization_guid": org, "memory_limit": 80, "instance_memory_limit": 70,
                      "total_routes": 1, "total_services": -1, "non_basic_services_allowed": true});
    let quota = guid(&platform.post(all, body.clone()).await.expect(201));
    let one = format!("{all}/{quota}");
    let steps = vec![
        ("POST", all.into(), Some(body), 400, taken(310_002)),
        (
            "POST",
            all.into(),
            Some(json!({"name": "x"})),
            400,
            taken(1001),
        ),
        (
            "GET",
            format!("/v2/organizations/{org}/space_quota_definitions"),
            None,
            200,
            vec![
                ("/resources/0/entity/name", json!("team")),
                ("/resources/0/entity/organization_guid", json!(org)),
                ("/resources/0/entity/app_instance_limit", json!(-1)),
            ],
        ),
        (
            "PUT",
            format!("{one}/spaces/{space}"),
            None,
            201,
            vec![("/metadata/guid", json!(quota))],
        ),
        (
            "GET",
            format!("/v2/spaces/{space}?inline-relations-depth=1"),
            None,
            200,
            vec![
                ("/entity/space_quota_definition_guid", json!(quota)),
                (
                    "/entity/space_quota_definition/entity/memory_limit",
                    json!(80),
                ),
            ],
        ),
        (
            "GET",
            format!("{one}/spaces"),
            None,
            200,
            vec![("/resources/0/metadata/guid", json!(space))],
        ),
        ("GET", format!("{all}/nothing"), None, 404, taken(310_007)),
    ];
    walk(&platform, steps).await;
    let _dea = Dea::with_room(&platform).await;
    let app = platform.create_app_with_bits("fits-not").await;
    for (change, code, name) in [
        (
            json!({"memory": 71}),
            310_004,
            "CF-SpaceQuotaInstanceMemoryLimitExceeded",
        ),
        (
            json!({"memory": 64, "instances": 2}),
            310_003,
            "CF-SpaceQuotaMemoryLimitExceeded",
        ),
    ] {
        let mut change = change;
        change["state"] = json!("STARTED");
        platform
            .put(&format!("/v2/apps/{app}"), change)
            .await
            .expect_error(400, code, name);
    }
    let domain = first_guid(&platform.get("/v2/shared_domains").await.expect(200));
    let route = |host: &str| json!({"host": host, "domain_guid": domain, "space_guid": space});
    platform.post("/v2/routes", route("one")).await.expect(201);
    let text = platform
        .post("/v2/routes", route("two"))
        .await
        .expect_error(400, 310_005, "CF-SpaceQuotaTotalRoutesExceeded");
    assert!(text.contains("limit 1 routes, in use 1, asked 1"), "{text}");
    let steps = vec![
        (
            "DELETE",
            format!("{one}/spaces/{space}"),
            None,
            201,
            vec![("/metadata/guid", json!(quota))],
        ),
        ("POST", "/v2/routes".into(), Some(route("two")), 201, vec![]),
        ("PUT", format!("{one}/spaces/{space}"), None, 201, vec![]),
        ("DELETE", format!("{one}?async=true"), None, 204, vec![]),
        (
            "GET",
            format!("/v2/spaces/{space}"),
            None,
            200,
            vec![("/entity/space_quota_definition_guid", Value::Null)],
        ),
    ];
    let last = walk(&platform, steps.into_iter().map(with_job).collect()).await;
    assert_eq!(last.len(), 5);
}

/// Deletions with `async` of what the reference lists for it answer with a job.
fn with_job(step: Step<'_>) -> Step<'_> {
    let (method, path, body, status, mut fields) = step;
    if method == "DELETE" && path.contains("async=true") && status == 204 {
        fields.push(("/entity/status", json!("finished")));
        return (method, path, body, 202, fields);
    }
    (method, path, body, status, fields)
}

#[tokio::test(flavor = "multi_thread")]
async fn domains_are_made_shared_used_and_deleted() {
    let platform = Platform::start().await;
    let (org, space) = platform.target().await;
    let second = guid(
        &platform
            .post("/v2/organizations", json!({"name": "second"}))
            .await
            .expect(201),
    );
    let body = json!({"name": "there", "organization_guid": second});
    let there = guid(&platform.post("/v2/spaces", body).await.expect(201));
    let body =
        json!({"name": "acme.example.org", "owning_organization_guid": org, "wildcard": true});
    let domain = guid(
        &platform
            .post("/v2/private_domains?async=true", body.clone())
            .await
            .expect(201),
    );
    let lend = format!("/v2/organizations/{second}/private_domains/{domain}");
    let on = |host: &str, space: &str| {
        Some(json!({"host": host, "domain_guid": domain, "space_guid": space, "port": null}))
    };
    let steps = vec![
        (
            "POST",
            "/v2/private_domains".into(),
            Some(body),
            400,
            taken(130_003),
        ),
        (
            "POST",
            "/v2/private_domains".into(),
            Some(json!({"name": "x", "owning_organization_guid": org})),
            400,
            taken(130_001),
        ),
        (
            "GET",
            format!("/v2/organizations/{org}/private_domains?q=name:acme.example.org"),
            None,
            200,
            vec![("/resources/0/entity/owning_organization_guid", json!(org))],
        ),
        (
            "POST",
            "/v2/routes".into(),
            on("web", &there),
            400,
            taken(210_001),
        ),
        (
            "PUT",
            lend.clone(),
            None,
            201,
            vec![("/metadata/guid", json!(second))],
        ),
        (
            "GET",
            format!("/v2/organizations/{second}/private_domains"),
            None,
            200,
            vec![("/total_results", json!(1))],
        ),
        (
            "GET",
            format!("/v2/private_domains/{domain}/shared_organizations"),
            None,
            200,
            vec![("/resources/0/metadata/guid", json!(second))],
        ),
        (
            "POST",
            "/v2/routes?async=true&inline-relations-depth=1".into(),
            on("web", &there),
            201,
            vec![
                ("/entity/domain/entity/name", json!("acme.example.org")),
                ("/entity/space/entity/name", json!("there")),
                ("/entity/apps", json!([])),
                ("/entity/path", json!("")),
            ],
        ),
        (
            "GET",
            format!("/v2/routes/reserved/domain/{domain}/host/web"),
            None,
            204,
            vec![],
        ),
        (
            "GET",
            format!("/v2/routes/reserved/domain/{domain}?host=free"),
            None,
            404,
            taken(10_000),
        ),
        ("DELETE", lend.clone(), None, 400, taken(10_006)),
        (
            "DELETE",
            format!("{lend}?recursive=true"),
            None,
            201,
            vec![],
        ),
        ("POST", "/v2/routes".into(), on("own", &space), 201, vec![]),
        (
            "DELETE",
            format!("/v2/private_domains/{domain}"),
            None,
            400,
            taken(10_006),
        ),
        (
            "DELETE",
            format!("/v2/private_domains/{domain}?async=true&recursive=true"),
            None,
            204,
            vec![],
        ),
        (
            "GET",
            "/v2/routes?q=host:own".into(),
            None,
            200,
            vec![("/total_results", json!(0))],
        ),
        (
            "POST",
            "/v2/shared_domains?async=true".into(),
            Some(json!({"name": "everybody.example.net", "wildcard": true})),
            201,
            vec![("/entity/name", json!("everybody.example.net"))],
        ),
        (
            "GET",
            format!("/v2/private_domains/{domain}"),
            None,
            404,
            taken(130_002),
        ),
    ];
    walk(&platform, steps.into_iter().map(with_job).collect()).await;
}

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
async fn organizations_and_spaces_are_renamed_and_deleted_with_all_they_hold() {
    let platform = Platform::start().await;
    let (org, space) = platform.target().await;
    platform.create_app("left").await;
    let steps = vec![
        (
            "POST",
            "/v2/organizations".into(),
            Some(json!({"name": "ACME"})),
            400,
            taken(30_002),
        ),
        (
            "PUT",
            format!("/v2/organizations/{org}?async=true"),
            Some(json!({"name": "acme2"})),
            201,
            vec![("/entity/name", json!("acme2"))],
        ),
        (
            "POST",
            "/v2/spaces?async=true&inline-relations-depth=1".into(),
            Some(json!({"name": "Dev", "organization_guid": org})),
            400,
            taken(40_002),
        ),
        (
            "POST",
            "/v2/spaces".into(),
            Some(json!({"name": "x"})),
            400,
            taken(1001),
        ),
        (
            "PUT",
            format!("/v2/spaces/{space}"),
            Some(json!({"name": "prod"})),
            201,
            vec![("/entity/name", json!("prod"))],
        ),
        (
            "GET",
            format!("/v2/organizations/{org}/spaces?order-by=name&inline-relations-depth=1"),
            None,
            200,
            vec![
                ("/resources/0/entity/name", json!("prod")),
                (
                    "/resources/0/entity/organization/entity/name",
                    json!("acme2"),
                ),
                ("/resources/0/entity/apps/0/entity/name", json!("left")),
            ],
        ),
        (
            "GET",
            format!("/v2/events?q=actee:{org}"),
            None,
            200,
            vec![(
                "/resources/0/entity/type",
                json!("audit.organization.update"),
            )],
        ),
        (
            "GET",
            format!("/v2/spaces/{space}/events?q=type:audit.space.update"),
            None,
            200,
            vec![("/total_results", json!(1))],
        ),
        (
            "DELETE",
            format!("/v2/spaces/{space}"),
            None,
            400,
            taken(10_006),
        ),
        (
            "DELETE",
            format!("/v2/organizations/{org}"),
            None,
            400,
            taken(10_006),
        ),
        (
            "DELETE",
            format!("/v2/organizations/{org}?async=true&recursive=true"),
            None,
            204,
            vec![],
        ),
        (
            "GET",
            format!("/v2/organizations/{org}"),
            None,
            404,
            taken(30_003),
        ),
        (
            "GET",
            format!("/v2/spaces/{space}"),
            None,
            404,
            taken(40_004),
        ),
        (
            "GET",
            "/v2/apps".into(),
            None,
            200,
            vec![("/total_results", json!(0))],
        ),
    ];
    walk(&platform, steps.into_iter().map(with_job).collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn relations_are_embedded_as_deep_as_asked_and_never_back_to_a_type_above() {
    let platform = Platform::start().await;
    platform.create_app("deep").await;
    let at = async |depth: u32| {
        let path = format!("/v2/organizations?q=name:acme&inline-relations-depth={depth}");
        platform.get(&path).await.expect(200)["resources"][0]["entity"].clone()
    };
    let app = "/spaces/0/entity/apps/0/entity";
    assert_eq!(at(0).await.pointer("/spaces"), None);
    let one = at(1).await;
    assert!(one.pointer("/spaces/0/entity/name").is_some());
    assert_eq!(one.pointer("/spaces/0/entity/apps"), None);
    let two = at(2).await;
    assert_eq!(two.pointer(&format!("{app}/name")), Some(&json!("deep")));
    assert_eq!(two.pointer(&format!("{app}/stack")), None);
    assert_eq!(
        two.pointer("/spaces/0/entity/organization"),
        None,
        "back to a type above"
    );
    let three = at(3).await;
    assert!(three.pointer(&format!("{app}/stack/entity/name")).is_some());
    assert_eq!(
        three.pointer(&format!("{app}/space")),
        None,
        "back to a type above"
    );
    platform
        .get("/v2/organizations?inline-relations-depth=4")
        .await
        .expect_error(400, 10_005, "CF-BadQueryParameter");
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

#[tokio::test(flavor = "multi_thread")]
async fn routes_are_moved_and_orphans_are_recognized() {
    let platform = Platform::start().await;
    let (_, space) = platform.target().await;
    let domain = first_guid(&platform.get("/v2/shared_domains").await.expect(200));
    let app = platform.create_app("web").await;
    let make = async |host: &str| {
        let body = json!({"host": host, "domain_guid": domain, "space_guid": space});
        guid(&platform.post("/v2/routes", body).await.expect(201))
    };
    let (used, orphan) = (make("used").await, make("orphan").await);
    let all = format!("/v2/spaces/{space}/routes?inline-relations-depth=1");
    let steps = vec![
        (
            "PUT",
            format!("/v2/apps/{app}/routes/{used}"),
            None,
            201,
            vec![("/metadata/guid", json!(app))],
        ),
        (
            "GET",
            all,
            None,
            200,
            vec![
                ("/resources/0/entity/apps/0/entity/name", json!("web")),
                (
                    "/resources/0/entity/domain/entity/name",
                    json!("apps.example.com"),
                ),
                ("/resources/1/entity/apps", json!([])),
            ],
        ),
        (
            "PUT",
            format!("/v2/routes/{used}"),
            Some(json!({"host": "orphan"})),
            400,
            taken(210_003),
        ),
        (
            "PUT",
            format!("/v2/routes/{used}"),
            Some(json!({"host": "moved"})),
            201,
            vec![("/entity/host", json!("moved"))],
        ),
        (
            "GET",
            format!("/v2/routes/{orphan}/apps"),
            None,
            200,
            vec![("/total_results", json!(0))],
        ),
        (
            "DELETE",
            format!("/v2/routes/{orphan}?async=true"),
            None,
            204,
            vec![],
        ),
        (
            "DELETE",
            format!("/v2/apps/{app}/routes/{used}"),
            None,
            201,
            vec![],
        ),
        (
            "GET",
            format!("/v2/apps/{app}/routes"),
            None,
            200,
            vec![("/total_results", json!(0))],
        ),
        (
            "GET",
            format!("/v2/routes/{orphan}"),
            None,
            404,
            taken(210_002),
        ),
    ];
    walk(&platform, steps.into_iter().map(with_job).collect()).await;
}
