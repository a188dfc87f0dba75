//! User-provided services: the calls of both client generations, what apps get, and what others see.

use crate::support::dea::Dea;
use crate::support::{Platform, eventually, first_guid, guid, read};
use serde_json::{Value, json};

const SECRET: &str = "postgres://u:hunter2-in-a-service@db.example.com/d";

async fn create(platform: &Platform, name: &str) -> Value {
    let (_, space) = platform.target().await;
    let body = json!({"name": name, "credentials": {"uri": SECRET}, "space_guid": space,
                      "syslog_drain_url": "", "route_service_url": ""});
    platform
        .post("/v2/user_provided_service_instances", body)
        .await
        .expect(201)
}

async fn bind(platform: &Platform, app: &str, instance: &str) -> Value {
    let body = json!({"app_guid": app, "service_instance_guid": instance, "parameters": {}});
    platform
        .post("/v2/service_bindings", body)
        .await
        .expect(201)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_made_found_changed_and_deleted_as_the_clients_do_it() {
    let platform = Platform::start().await;
    let (_, space) = platform.target().await;
    let made = create(&platform, "My-DB").await;
    let db = guid(&made);
    let entity = &made["entity"];
    assert_eq!(entity["name"], "My-DB");
    assert_eq!(entity["type"], "user_provided_service_instance");
    assert_eq!(entity["credentials"], json!({"uri": SECRET}));
    assert_eq!(entity["space_guid"], json!(space));
    assert_eq!(
        made["metadata"]["url"],
        json!(format!("/v2/user_provided_service_instances/{db}"))
    );
    // found by name in any case, with bindings and space embedded
    let lookup = format!(
        "/v2/spaces/{space}/service_instances?return_user_provided_service_instances=true&q=name:my-db&inline-relations-depth=1"
    );
    let found = platform.get(&lookup).await.expect(200);
    assert_eq!(first_guid(&found), db);
    let entity = &found["resources"][0]["entity"];
    assert_eq!(entity["service_bindings"], json!([]));
    assert_eq!(entity["space"]["metadata"]["guid"], json!(space));
    // without the flag only managed instances are listed
    let managed = format!("/v2/spaces/{space}/service_instances");
    assert_eq!(platform.get(&managed).await.expect(200)["total_results"], 0);
    for path in [
        format!("/v2/service_instances/{db}"),
        format!("/v2/user_provided_service_instances/{db}"),
    ] {
        assert_eq!(guid(&platform.get(&path).await.expect(200)), db);
    }
    // a change leaves out what is not sent
    let path = format!("/v2/user_provided_service_instances/{db}");
    let changed = platform
        .put(
            &path,
            json!({"syslog_drain_url": "syslog://logs.example.com:514"}),
        )
        .await
        .expect(201);
    assert_eq!(changed["entity"]["credentials"], json!({"uri": SECRET}));
    let renamed = platform
        .put(&path, json!({"name": "db2"}))
        .await
        .expect(201);
    assert_eq!(renamed["entity"]["name"], "db2");
    assert_eq!(
        renamed["entity"]["syslog_drain_url"],
        "syslog://logs.example.com:514"
    );
    let job = platform
        .delete(&format!("{path}?async=true"))
        .await
        .expect(202);
    assert_eq!(job["entity"]["status"], "finished");
    platform
        .get(&path)
        .await
        .expect_error(404, 340001, "CF-UserProvidedServiceInstanceNotFound");
    platform
        .get(&format!("/v2/service_instances/{db}"))
        .await
        .expect_error(404, 60004, "CF-ServiceInstanceNotFound");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_instances_and_bindings_are_refused_by_code() {
    let platform = Platform::start().await;
    let (org, space) = platform.target().await;
    let db = guid(&create(&platform, "db").await);
    let collection = "/v2/user_provided_service_instances";
    let cases = [
        (json!({"name": "DB", "space_guid": space}), 60002),
        (json!({"name": " ", "space_guid": space}), 60001),
        (json!({"name": "x".repeat(51), "space_guid": space}), 60009),
        (json!({"name": "ok"}), 1001),
        (
            json!({"name": "ok", "space_guid": space, "credentials": "text"}),
            1001,
        ),
        (
            json!({"name": "ok", "space_guid": space, "syslog_drain_url": "logs:514"}),
            60003,
        ),
        (
            json!({"name": "ok", "space_guid": space, "tags": ["x".repeat(256)]}),
            60015,
        ),
    ];
    for (body, code) in cases {
        let answer = platform.post(collection, body.clone()).await.expect(400);
        assert_eq!(answer["code"], json!(code), "{body}: {answer}");
    }
    let broker = platform
        .post(
            "/v2/service_instances",
            json!({"name": "m", "space_guid": space, "service_plan_guid": "p"}),
        )
        .await
        .expect_error(404, 110003, "CF-ServicePlanNotFound");
    assert!(broker.contains("create-user-provided-service"), "{broker}");

    let app = platform.create_app("bound").await;
    bind(&platform, &app, &db).await;
    let again = json!({"app_guid": app, "service_instance_guid": db});
    platform
        .post("/v2/service_bindings", again)
        .await
        .expect_error(400, 90003, "CF-ServiceBindingAppServiceTaken");
    let other = platform
        .post(
            "/v2/spaces",
            json!({"name": "other", "organization_guid": org}),
        )
        .await
        .expect(201);
    let body = json!({"name": "far", "space_guid": guid(&other)});
    let far = guid(&platform.post(collection, body).await.expect(201));
    let cases = [
        (
            json!({"app_guid": app, "service_instance_guid": far}),
            400,
            90001,
        ),
        (
            json!({"app_guid": app, "service_instance_guid": "no"}),
            404,
            60004,
        ),
        (
            json!({"app_guid": "no", "service_instance_guid": db}),
            404,
            100004,
        ),
        (json!({"app_guid": app}), 400, 1001),
    ];
    for (body, status, code) in cases {
        let answer = platform
            .post("/v2/service_bindings", body.clone())
            .await
            .expect(status);
        assert_eq!(answer["code"], json!(code), "{body}: {answer}");
    }
    let kept = platform
        .delete(&format!("{collection}/{db}"))
        .await
        .expect_error(400, 10006, "CF-AssociationNotEmpty");
    assert!(kept.contains("service_bindings"), "{kept}");
    platform
        .delete(&format!("/v2/apps/{app}"))
        .await
        .expect_error(400, 10006, "CF-AssociationNotEmpty");
    platform
        .delete(&format!("/v2/spaces/{space}"))
        .await
        .expect_error(400, 10006, "CF-AssociationNotEmpty");
    platform
        .delete(&format!("/v2/apps/{app}?recursive=true"))
        .await
        .expect(204);
    assert_eq!(
        platform.get("/v2/service_bindings").await.expect(200)["total_results"],
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bindings_show_in_lists_summaries_and_the_environment() {
    let platform = Platform::start().await;
    let (_, space) = platform.target().await;
    let app = platform.create_app("web").await;
    let db = guid(&create(&platform, "db").await);
    let binding = bind(&platform, &app, &db).await;
    let entity = &binding["entity"];
    assert_eq!(entity["app_guid"], json!(app));
    assert_eq!(entity["service_instance_guid"], json!(db));
    assert_eq!(entity["credentials"], json!({"uri": SECRET}));
    assert_eq!(entity["binding_options"], json!({}));
    let binding = guid(&binding);
    for path in [
        format!("/v2/service_bindings?q=app_guid:{app}&q=service_instance_guid:{db}"),
        format!("/v2/apps/{app}/service_bindings"),
        format!("/v2/service_instances/{db}/service_bindings"),
        format!("/v2/user_provided_service_instances/{db}/service_bindings"),
    ] {
        let list = platform.get(&path).await.expect(200);
        assert_eq!(
            (list["total_results"].as_u64(), first_guid(&list)),
            (Some(1), binding.clone()),
            "{path}"
        );
    }
    let embedded = platform
        .get(&format!(
            "/v2/spaces/{space}/apps?q=name:web&inline-relations-depth=1"
        ))
        .await
        .expect(200);
    assert_eq!(
        guid(&embedded["resources"][0]["entity"]["service_bindings"][0]),
        binding
    );
    let of_space = platform
        .get(&format!("/v2/spaces/{space}/summary"))
        .await
        .expect(200);
    let short = json!([{"guid": db, "name": "db", "bound_app_count": 1}]);
    assert_eq!(of_space["services"], short);
    assert_eq!(of_space["apps"][0]["service_count"], 1);
    assert_eq!(of_space["apps"][0]["service_names"], json!(["db"]));
    let of_app = platform
        .get(&format!("/v2/apps/{app}/summary"))
        .await
        .expect(200);
    assert_eq!(of_app["services"], short);
    let env = platform
        .get(&format!("/v2/apps/{app}/env"))
        .await
        .expect(200);
    assert_eq!(
        env["system_env_json"]["VCAP_SERVICES"],
        json!({"user-provided": [{"name": "db", "label": "user-provided", "tags": [], "credentials": {"uri": SECRET},
                                  "syslog_drain_url": ""}]})
    );
    let events = platform
        .get(&format!("/v2/events?q=actee:{binding}"))
        .await
        .expect(200);
    assert_eq!(
        events["resources"][0]["entity"]["type"],
        "audit.service_binding.create"
    );
    let about = platform.get(&format!("/v2/events?q=actee:{db}")).await;
    assert!(!String::from_utf8_lossy(&about.bytes).contains("hunter2"));
    // legacy unbind: by the URL of the embedded binding
    platform
        .delete(&format!("/v2/service_bindings/{binding}?async=true"))
        .await
        .expect(202);
    platform
        .delete(&format!("/v2/service_bindings/{binding}"))
        .await
        .expect_error(404, 90004, "CF-ServiceBindingNotFound");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_binding_reaches_the_next_staging_and_start_and_restarts_nothing() {
    let platform = Platform::start().await;
    let mut dea = Dea::with_room(&platform).await;
    let app = platform.create_app_with_bits("bound").await;
    let path = format!("/v2/apps/{app}");
    platform
        .put(&path, json!({"state": "STARTED"}))
        .await
        .expect(201);
    let first = dea.stage_well(&platform, b"droplet").await;
    assert_eq!(first["properties"]["services"], json!([]));
    let version = eventually("staged", async || {
        let body = platform.get(&path).await.expect(200);
        (body["entity"]["detected_buildpack"] == "test")
            .then(|| body["entity"]["version"].as_str().unwrap().to_owned())
    })
    .await;
    dea.heartbeat(&[(&app, &version, 0, "RUNNING")]).await;
    let db = guid(&create(&platform, "db").await);
    bind(&platform, &app, &db).await;
    let after = platform.get(&path).await.expect(200);
    assert_eq!(
        after["entity"]["version"],
        json!(version),
        "binding must not restart"
    );
    // a restart: the first stop seen is the one asked for here, so binding sent none
    platform
        .put(&path, json!({"state": "STOPPED"}))
        .await
        .expect(201);
    let (stop, _) = Dea::next("a stop", &mut dea.stops).await;
    assert_eq!(stop["droplet"], json!(app));
    platform
        .put(&path, json!({"state": "STARTED"}))
        .await
        .expect(201);
    let (start, _) = Dea::next("a start", &mut dea.starts).await;
    let told = json!([{"name": "db", "label": "user-provided", "tags": [], "credentials": {"uri": SECRET},
                       "syslog_drain_url": ""}]);
    assert_eq!(start["services"], told);
    // a restage: in the properties and in the message the stager starts index 0 with
    platform
        .post(&format!("{path}/restage"), json!({}))
        .await
        .expect(201);
    let request = dea.stage_well(&platform, b"droplet 2").await;
    assert_eq!(request["properties"]["services"], told);
    assert_eq!(request["start_message"]["services"], told);
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_sealed_at_rest_and_shown_to_developers_only() {
    let mut platform = Platform::start().await;
    let (org, space) = platform.target().await;
    let app = platform.create_app("web").await;
    let db = guid(&create(&platform, "db").await);
    let drain = json!({"syslog_drain_url": "syslog://token-hunter2@logs.example.com"});
    let path = format!("/v2/user_provided_service_instances/{db}");
    platform.put(&path, drain).await.expect(201);
    let binding = guid(&bind(&platform, &app, &db).await);
    let stored = platform.stored();
    let is_there = |text: &[u8]| stored.windows(text.len()).any(|window| window == text);
    assert!(is_there(db.as_bytes()), "the look goes through");
    assert!(!is_there(b"hunter2"), "a secret is stored in clear");
    for (user, role) in [("dev", "developers"), ("audit", "auditors")] {
        platform.add_user(user, &org, &[(&space, role)]).await;
    }
    let paths = [path.clone(), format!("/v2/service_bindings/{binding}")];
    platform.log_in("dev", "pw").await.expect(200);
    for path in &paths {
        assert_eq!(
            platform.get(path).await.expect(200)["entity"]["credentials"],
            json!({"uri": SECRET})
        );
    }
    platform.log_in("audit", "pw").await.expect(200);
    for path in &paths {
        let answer = platform.get(path).await;
        assert_eq!(
            answer.expect(200)["entity"]["credentials"],
            json!({"redacted_message": "[PRIVATE DATA HIDDEN]"})
        );
        assert!(!String::from_utf8_lossy(&answer.bytes).contains("hunter2"));
    }
    platform
        .delete(&paths[1])
        .await
        .expect_error(403, 10003, "CF-NotAuthorized");
    platform
        .put(&path, json!({"name": "mine"}))
        .await
        .expect_error(403, 10003, "CF-NotAuthorized");
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_space_or_an_organization_takes_its_services_along() {
    let platform = Platform::start().await;
    let (org, space) = platform.target().await;
    let app = platform.create_app("web").await;
    let db = guid(&create(&platform, "db").await);
    bind(&platform, &app, &db).await;
    platform
        .delete(&format!("/v2/spaces/{space}?async=true&recursive=true"))
        .await
        .expect(202);
    platform
        .get(&format!("/v2/service_instances/{db}"))
        .await
        .expect_error(404, 60004, "CF-ServiceInstanceNotFound");
    let body = json!({"name": "second", "organization_guid": org});
    let second = guid(&platform.post("/v2/spaces", body).await.expect(201));
    let body = json!({"name": "db", "space_guid": second});
    platform
        .post("/v2/user_provided_service_instances", body)
        .await
        .expect(201);
    platform
        .delete(&format!(
            "/v2/organizations/{org}?async=true&recursive=true"
        ))
        .await
        .expect(202);
    assert_eq!(
        platform.get("/v2/service_instances").await.expect(200)["total_results"],
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn drains_of_bound_apps_are_told_in_batches_to_who_has_the_bulk_password() {
    let platform = Platform::start().await;
    let drain = json!({"syslog_drain_url": "syslog://logs.example.com:514"});
    let (logs, plain) = (
        guid(&create(&platform, "logs").await),
        guid(&create(&platform, "plain").await),
    );
    let path = format!("/v2/user_provided_service_instances/{logs}");
    platform.put(&path, drain).await.expect(201);
    let mut apps = Vec::new();
    for name in ["one", "two"] {
        let app = platform.create_app(name).await;
        bind(&platform, &app, &logs).await;
        bind(&platform, &app, &plain).await;
        apps.push(app);
    }
    let ask = async |query: &str| {
        let url = format!("{}/v2/syslog_drain_urls?{query}", platform.base);
        let request = platform.client.get(url);
        read(request.basic_auth("bulk_api", Some("bulk_api-secret")))
            .await
            .expect(200)
    };
    let first = ask("batch_size=1").await;
    let told = json!(["syslog://logs.example.com:514"]);
    assert_eq!(first["results"], json!({ &apps[0]: told }));
    let second = ask(&format!("batch_size=1&next_id={}", first["next_id"])).await;
    assert_eq!(second["results"], json!({ &apps[1]: told }));
    let end = ask(&format!("batch_size=1&next_id={}", second["next_id"])).await;
    assert_eq!(end, json!({"results": {}, "next_id": null}));
    platform
        .get("/v2/syslog_drain_urls")
        .await
        .expect_error(401, 10_002, "CF-NotAuthenticated");
}
