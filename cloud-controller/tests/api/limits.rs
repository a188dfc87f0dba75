//! Quotas of organizations and spaces: the calls of the reference's lists, and what is refused for want of room.

use crate::support::dea::Dea;
use crate::support::walk::{taken, walk, with_job};
use crate::support::{Platform, first_guid, guid};
use serde_json::{Value, json};

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
