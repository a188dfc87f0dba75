//! `cf push` of both client generations, typed from the call lists of the reference; the test plays the DEA.

use crate::support::dea::Dea;
use crate::support::{
    Answer, Platform, eventually, first_guid, guid, wait_for_package_state, zip_of,
};
use serde_json::{Value, json};

const DROPLET: &[u8] = b"not really a tarball";

async fn finished_job(platform: &Platform, answer: &Answer) {
    let body = answer.expect(201);
    let url = body["metadata"]["url"].as_str().unwrap().to_owned();
    assert!(
        url.starts_with("/v2/jobs/"),
        "clients put the API address in front: {url}"
    );
    let job = platform.get(&url).await.expect(200);
    assert_eq!(
        job["entity"]["status"], "finished",
        "a small upload is over at the first poll"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn legacy_push_runs_from_create_to_running_instances() {
    let platform = Platform::start().await;
    let mut dea = Dea::with_room(&platform).await;
    let (org, space) = platform.target().await;

    // 1: the unconditional refresh
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", platform.refresh_token.as_str()),
        ("scope", ""),
    ];
    let refreshed = platform.token_request(&form).await.expect(200);
    assert!(refreshed["refresh_token"].is_string());
    // 3: not there yet
    let lookup = format!("/v2/spaces/{space}/apps?q=name:dora&inline-relations-depth=1");
    assert_eq!(
        platform.get(&lookup).await.expect(200)["resources"],
        json!([])
    );
    // 4
    let body = json!({"name": "Dora", "space_guid": space, "instances": 2, "memory": 64, "disk_quota": 128,
                      "environment_json": {"COLOUR": "blue"}});
    let created = platform.post("/v2/apps?async=true", body).await.expect(201);
    let app = guid(&created);
    assert_eq!(created["entity"]["state"], "STOPPED");
    assert_eq!(created["entity"]["package_state"], "PENDING");
    assert_eq!(created["entity"]["diego"], false);
    assert_eq!(
        created["entity"]["environment_json"],
        json!({"COLOUR": "blue"})
    );
    // 5: default domain, route
    assert_eq!(
        platform
            .get(&format!("/v2/organizations/{org}/private_domains"))
            .await
            .expect(200)["resources"],
        json!([])
    );
    let shared = platform
        .get("/v2/shared_domains?inline-relations-depth=1")
        .await
        .expect(200);
    let domain = first_guid(&shared);
    assert!(
        shared["resources"][0]["entity"]
            .get("owning_organization_guid")
            .is_none()
    );
    let search = format!("/v2/routes?inline-relations-depth=1&q=host:dora;domain_guid:{domain}");
    assert_eq!(platform.get(&search).await.expect(200)["total_results"], 0);
    let route_body = json!({"host": "dora", "domain_guid": domain, "space_guid": space});
    let route = platform
        .post(
            "/v2/routes?async=true&inline-relations-depth=1",
            route_body.clone(),
        )
        .await
        .expect(201);
    assert_eq!(
        route["entity"]["domain"]["entity"]["name"],
        "apps.example.com"
    );
    assert_eq!(route["entity"]["path"], "");
    platform
        .post("/v2/routes?async=true", route_body)
        .await
        .expect_error(400, 210003, "CF-RouteHostTaken");
    platform
        .put_empty(&format!(
            "/v2/apps/{app}/routes/{}?async=true",
            guid(&route)
        ))
        .await
        .expect(201);
    // 6, 7
    let sent = json!([{"sha1": "0", "size": 0}, {"sha1": "1".repeat(40), "size": 5, "fn": "a", "mode": "0644"}]);
    assert_eq!(
        platform
            .put("/v2/resource_match?async=true", sent)
            .await
            .expect(200),
        json!([])
    );
    let zip = zip_of(&[
        ("run", "#!/bin/sh\nexec sleep 1000\n", 0o100755),
        ("lib/a.txt", "text", 0o100644),
    ]);
    finished_job(
        &platform,
        &platform
            .upload_bits(&app, json!([]), Some(zip.clone()))
            .await,
    )
    .await;
    // 10: start
    let started = platform
        .put(
            &format!("/v2/apps/{app}?async=true&inline-relations-depth=1"),
            json!({"state": "STARTED"}),
        )
        .await
        .expect(201);
    assert_eq!(started["entity"]["package_state"], "PENDING");
    assert_eq!(started["entity"]["routes"][0]["entity"]["host"], "dora");
    assert_eq!(
        started["entity"]["routes"][0]["entity"]["domain"]["entity"]["name"],
        "apps.example.com"
    );
    platform
        .get(&format!("/v2/apps/{app}/instances"))
        .await
        .expect_error(400, 170002, "CF-NotStaged");

    let (stop, _) = Dea::next("staging.stop", &mut dea.staging_stops).await;
    assert_eq!(stop, json!({"app_id": app}));
    let request = dea.stage_well(&platform, DROPLET).await;
    check_staging_request(&platform, &request, &app).await;
    let staged = wait_for_package_state(&platform, &app, "STAGED").await;
    let version = staged["entity"]["version"].as_str().unwrap();

    // The stager starts index 0 itself; the controller starts the rest.
    let (start, _) = Dea::next("dea.start of index 1", &mut dea.starts).await;
    assert_eq!(start["index"], 1);
    assert_eq!(start["droplet"], json!(app));
    assert_eq!(start["version"], version);
    assert_eq!(start["uris"], json!(["dora.apps.example.com"]));
    assert_eq!(start["sha1"], json!(crate::support::dea::sha1_hex(DROPLET)));
    assert_eq!(start["env"], json!(["COLOUR=blue"]));
    assert_eq!(
        start["limits"],
        json!({"mem": 64, "disk": 128, "fds": 16384})
    );
    let droplet = platform
        .client
        .get(start["executableUri"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(droplet.bytes().await.unwrap(), DROPLET);

    let down = platform
        .get(&format!("/v2/apps/{app}/instances"))
        .await
        .expect(200);
    assert_eq!(down.as_object().unwrap().len(), 2, "no gap: {down}");
    dea.heartbeat(&[
        (&app, version, 0, "RUNNING"),
        (&app, version, 1, "STARTING"),
    ])
    .await;
    eventually("instances from the heartbeat", async || {
        let body = platform
            .get(&format!("/v2/apps/{app}/instances"))
            .await
            .expect(200);
        (body["0"]["state"] == "RUNNING" && body["1"]["state"] == "STARTING").then_some(())
    })
    .await;
    let summary = platform
        .get(&format!("/v2/apps/{app}/summary"))
        .await
        .expect(200);
    assert_eq!(summary["running_instances"], 2);
    assert_eq!(summary["detected_start_command"], "./run");
    assert_eq!(summary["routes"][0]["domain"]["name"], "apps.example.com");
    let overview = platform
        .get(&format!("/v2/spaces/{space}/summary"))
        .await
        .expect(200);
    assert_eq!(
        overview["apps"][0]["urls"],
        json!(["dora.apps.example.com"])
    );

    // A second push of the same bits does not stage again.
    finished_job(
        &platform,
        &platform.upload_bits(&app, json!([]), Some(zip)).await,
    )
    .await;
    assert_eq!(
        platform.get(&format!("/v2/apps/{app}")).await.expect(200)["entity"]["package_state"],
        "STAGED"
    );
    let events = platform
        .get(&format!(
            "/v2/events?results-per-page=50&order-direction=desc&q=actee:{app}"
        ))
        .await
        .expect(200);
    let kinds: Vec<&str> = events["resources"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["entity"]["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "audit.app.upload-bits",
            "audit.app.update",
            "audit.app.upload-bits",
            "audit.app.map-route",
            "audit.app.create"
        ]
    );
}

async fn check_staging_request(platform: &Platform, request: &Value, app: &str) {
    assert_eq!(request["app_id"], json!(app));
    assert_eq!(
        request["properties"]["resources"],
        json!({"memory": 1024, "disk": 4096, "fds": 16384})
    );
    assert_eq!(request["properties"]["environment"], json!(["COLOUR=blue"]));
    assert_eq!(request["start_message"]["index"], 0);
    assert!(request["start_message"]["sha1"].is_null());
    assert_eq!(request["admin_buildpacks"].as_array().unwrap().len(), 1);
    let buildpack = platform
        .client
        .get(request["admin_buildpacks"][0]["url"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(&buildpack.bytes().await.unwrap()[..2], b"PK");
    let package = platform
        .client
        .get(request["download_uri"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    let package = package.bytes().await.unwrap();
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(package)).unwrap();
    let mode = archive.by_name("run").unwrap().unix_mode().unwrap();
    assert_eq!(mode & 0o777, 0o755, "the x bit survives");
    let destinations: Vec<&str> = request["egress_network_rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["destination"].as_str().unwrap())
        .collect();
    assert!(
        destinations.contains(&"11.0.0.0-169.253.255.255"),
        "{destinations:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn refactored_push_runs_and_its_second_push_sends_no_file_twice() {
    let platform = Platform::start().await;
    let mut dea = Dea::with_room(&platform).await;
    let (org, space) = platform.target().await;
    // 1, 2
    let info = platform.get("/v2/info").await.expect(200);
    assert_eq!(info["authorization_endpoint"], json!(platform.base));
    assert_eq!(
        info["doppler_logging_endpoint"],
        json!(platform.base.replace("http", "ws"))
    );
    let login = platform.get("/login").await.expect(200);
    assert_eq!(
        login["prompts"]["password"],
        json!(["password", "Password"])
    );
    assert_eq!(
        platform
            .get(&format!("/v2/apps?q=name:web&q=space_guid:{space}"))
            .await
            .expect(200)["resources"],
        json!([])
    );
    // 4
    let domains = platform
        .get("/v2/shared_domains?q=name+IN+apps.example.com,example.com")
        .await
        .expect(200);
    let domain = first_guid(&domains);
    platform
        .get(&format!("/v2/organizations/{org}/private_domains"))
        .await
        .expect(200);
    // 5: an empty path is a condition; a free route is a 404 with a JSON body
    assert_eq!(
        platform
            .get(&format!(
                "/v2/routes?q=domain_guid:{domain}&q=host:web&q=path:"
            ))
            .await
            .expect(200)["total_results"],
        0
    );
    platform
        .get(&format!("/v2/routes/reserved/domain/{domain}/host/web"))
        .await
        .expect_error(404, 10000, "CF-NotFound");
    // 6, 7, 8
    let app = guid(
        &platform
            .post(
                "/v2/apps",
                json!({"name": "web", "space_guid": space, "memory": 64}),
            )
            .await
            .expect(201),
    );
    let route_body =
        json!({"host": "web", "port": null, "domain_guid": domain, "space_guid": space});
    let route = guid(&platform.post("/v2/routes", route_body).await.expect(201));
    assert_eq!(
        platform
            .get(&format!(
                "/v2/routes?q=domain_guid:{domain}&q=host:web&q=path:"
            ))
            .await
            .expect(200)["total_results"],
        1
    );
    assert_eq!(
        platform
            .get(&format!("/v2/routes/reserved/domain/{domain}/host/web"))
            .await
            .status
            .as_u16(),
        204
    );
    platform
        .put_empty(&format!("/v2/routes/{route}/apps/{app}"))
        .await
        .expect(201);
    // 10: the first time everything is sent, the second time nothing but what changed
    let text = "a file of some size";
    platform
        .upload_bits(&app, json!([]), Some(zip_of(&[("a.txt", text, 0o100644)])))
        .await
        .expect(201);
    let entry = json!({"fn": "a.txt", "mode": "755", "sha1": crate::support::dea::sha1_hex(text.as_bytes()), "size": text.len()});
    let matched = platform
        .put("/v2/resource_match", json!([entry]))
        .await
        .expect(200);
    assert_eq!(
        matched,
        json!([entry]),
        "the whole entry comes back, its mode included"
    );
    platform.upload_bits(&app, matched, None).await.expect(201);
    // 11
    let started = platform
        .put(&format!("/v2/apps/{app}"), json!({"state": "STARTED"}))
        .await
        .expect(201);
    assert_eq!(started["entity"]["instances"], 1);
    let request = dea.stage_well(&platform, DROPLET).await;
    let package = platform
        .client
        .get(request["download_uri"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    let mut archive =
        zip::ZipArchive::new(std::io::Cursor::new(package.bytes().await.unwrap())).unwrap();
    assert_eq!(
        archive.by_name("a.txt").unwrap().unix_mode().unwrap() & 0o777,
        0o755
    );
    wait_for_package_state(&platform, &app, "STAGED").await;
    // Once STAGED is shown, /instances must answer 200.
    platform
        .get(&format!("/v2/apps/{app}/instances"))
        .await
        .expect(200);
    let routes = platform
        .get(&format!("/v2/apps/{app}/routes"))
        .await
        .expect(200);
    assert_eq!(first_guid(&routes), route);
}
