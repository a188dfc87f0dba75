//! Organizations, spaces, domains and routes: the calls of the reference's lists, with the fields clients read.

use crate::support::walk::{taken, walk, with_job};
use crate::support::{Platform, first_guid, guid};
use serde_json::json;

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
