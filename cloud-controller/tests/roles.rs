//! Who may do what: the reference's table against the endpoints of the code.
#![allow(clippy::unwrap_used)]

mod support;

use reqwest::Method;
use serde_json::{Value, json};
use support::{PASSWORD, Platform, first_guid, guid};

/// The columns of the table: users by the one role they have besides that of organization user.
const ROLES: [&str; 9] = [
    "admin",
    "org-managers",
    "org-billing_managers",
    "org-auditors",
    "org-users",
    "space-managers",
    "space-developers",
    "space-auditors",
    "stranger",
];

/// Makes one user per column.
async fn people(platform: &Platform, org: &str, space: &str) {
    for role in &ROLES[1..8] {
        platform.add_user(role, org, &[]).await;
        let (kind, relation) = role.split_once('-').unwrap();
        let place = if kind == "org" {
            format!("/v2/organizations/{org}/{relation}")
        } else {
            format!("/v2/spaces/{space}/{relation}")
        };
        platform
            .put(&place, json!({"username": role}))
            .await
            .expect(201);
    }
    let stranger =
        json!({"userName": "stranger", "password": "pw", "emails": [{"value": "s@example.com"}]});
    platform.post("/Users", stranger).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_action_is_allowed_to_exactly_the_roles_of_the_reference() {
    let mut platform = Platform::start().await;
    let (org, space) = platform.target().await;
    people(&platform, &org, &space).await;
    let app = platform.create_app("web").await;
    let domain = first_guid(&platform.get("/v2/shared_domains").await.expect(200));
    let body = json!({"host": "web", "domain_guid": domain, "space_guid": space});
    let route = guid(&platform.post("/v2/routes", body).await.expect(201));
    let body = json!({"name": "db", "space_guid": space});
    let db = platform
        .post("/v2/user_provided_service_instances", body)
        .await;
    let db = guid(&db.expect(201));
    let member = platform.add_user("somebody", &org, &[]).await;
    let (o, s, a) = (
        format!("/v2/organizations/{org}"),
        format!("/v2/spaces/{space}"),
        format!("/v2/apps/{app}"),
    );
    let bad_app = json!({"memory": 0});
    let nameless = json!({"name": " ", "organization_guid": org, "space_guid": space, "owning_organization_guid": org});
    let bad_route = json!({"host": "a.b", "domain_guid": domain, "space_guid": space});
    // Allowed calls are refused for what they ask, so that they change nothing: any answer but 403 means "may".
    // Columns: admin; org manager, billing, auditor, user; space manager, developer, auditor; stranger.
    #[rustfmt::skip]
    let table: Vec<(&str, String, Option<Value>, &str)> = vec![
        ("GET",    o.clone(), None,                                                          "yyyyyyyy-"),
        ("PUT",    o.clone(), Some(json!({"name": " "})),                                    "yy-------"),
        ("PUT",    o.clone(), Some(json!({"status": "odd"})),                                "y--------"),
        ("DELETE", o.clone(), None,                                                          "y--------"),
        ("POST",   "/v2/spaces".into(), Some(nameless.clone()),                              "yy-------"),
        ("DELETE", s.clone(), None,                                                          "yy-------"),
        ("GET",    s.clone(), None,                                                          "yy---yyy-"),
        ("GET",    format!("{s}/summary"), None,                                             "yy---yyy-"),
        ("PUT",    s.clone(), Some(json!({"name": " "})),                                    "yy---y---"),
        ("DELETE", format!("{s}/auditors/{member}"), None,                                   "yy---y---"),
        ("POST",   "/v2/space_quota_definitions".into(), Some(nameless.clone()),             "yy-------"),
        ("POST",   "/v2/private_domains".into(), Some(nameless.clone()),                     "yy-------"),
        ("GET",    a.clone(), None,                                                          "yy---yyy-"),
        ("GET",    format!("{a}/summary"), None,                                             "yy---yyy-"),
        ("GET",    format!("{a}/instances"), None,                                           "yy---yyy-"),
        ("GET",    format!("{a}/env"), None,                                                 "y-----y--"),
        ("PUT",    a.clone(), Some(bad_app),                                                 "y-----y--"),
        ("POST",   "/v2/apps".into(), Some(nameless.clone()),                                "y-----y--"),
        ("POST",   format!("{a}/restage"), None,                                             "y-----y--"),
        ("POST",   format!("{a}/copy_bits"), Some(json!({"source_app_guid": app})),          "y-----y--"),
        ("DELETE", format!("{a}/instances/99"), None,                                        "y-----y--"),
        ("GET",    format!("/v2/routes/{route}"), None,                                      "yy-y-yyy-"),
        ("POST",   "/v2/routes".into(), Some(bad_route),                                     "y-----y--"),
        ("PUT",    format!("/v2/routes/{route}"), Some(json!({"host": "a.b"})),              "y-----y--"),
        ("GET",    format!("/v2/service_instances/{db}"), None,                              "yy---yyy-"),
        ("POST",   "/v2/user_provided_service_instances".into(), Some(nameless.clone()),     "y-----y--"),
        ("PUT",    format!("/v2/user_provided_service_instances/{db}"), Some(json!({"name": " "})), "y-----y--"),
        ("POST",   "/v2/service_bindings".into(), Some(json!({"app_guid": app, "service_instance_guid": "x"})), "y-----y--"),
        ("POST",   "/v2/quota_definitions".into(), Some(json!({})),                          "y--------"),
        ("POST",   "/v2/shared_domains".into(), Some(json!({})),                             "y--------"),
        ("POST",   "/v2/buildpacks".into(), Some(json!({})),                                 "y--------"),
        ("POST",   "/v2/users".into(), Some(json!({"guid": member})),                        "y--------"),
        ("PUT",    "/v2/config/feature_flags/nothing".into(), Some(json!({"enabled": true})), "y--------"),
        ("PUT",    "/v2/config/environment_variable_groups/running".into(), Some(json!({})), "y--------"),
        ("GET",    "/v2/stacks".into(), None,                                                "yyyyyyyyy"),
        ("GET",    "/v2/quota_definitions".into(), None,                                     "yyyyyyyyy"),
        ("GET",    "/v2/buildpacks".into(), None,                                            "yyyyyyyyy"),
        ("GET",    "/v2/config/feature_flags".into(), None,                                  "yyyyyyyyy"),
    ];
    let mut got = vec![String::new(); table.len()];
    for role in ROLES {
        let password = if role == "admin" { PASSWORD } else { "pw" };
        platform.log_in(role, password).await.expect(200);
        for (at, (method, path, body, _)) in table.iter().enumerate() {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let answer = platform.call(method, path, body.clone()).await;
            assert_ne!(answer.status.as_u16() / 100, 5, "{role} {path}: {answer:?}");
            got[at].push(if answer.status.as_u16() == 403 {
                '-'
            } else {
                'y'
            });
        }
    }
    for ((method, path, _, expected), got) in table.iter().zip(&got) {
        assert_eq!(got, expected, "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_suspended_organization_only_administrators_change_anything() {
    let mut platform = Platform::start().await;
    let (org, space) = platform.target().await;
    let app = platform.create_app("web").await;
    platform
        .add_user("dev", &org, &[(&space, "developers")])
        .await;
    let path = format!("/v2/organizations/{org}");
    platform
        .put(&path, json!({"status": "suspended"}))
        .await
        .expect(201);
    let app = format!("/v2/apps/{app}");
    platform.put(&app, json!({"memory": 65})).await.expect(201);
    platform.log_in("dev", "pw").await.expect(200);
    platform.get(&app).await.expect(200);
    let refused = platform.put(&app, json!({"memory": 66})).await;
    let text = refused.expect_error(403, 10_003, "CF-NotAuthorized");
    assert!(text.contains("suspended"), "{text}");
}
