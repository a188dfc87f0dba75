//! What is refused, with which words, and what still works meanwhile.

use crate::support::dea::{DEA, Dea};
use crate::support::{PASSWORD, Platform, eventually, guid, zip_of};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_401_and_five_of_them_lock_the_account_honestly() {
    let mut platform = Platform::start().await;
    for _ in 0..5 {
        let body = platform.log_in("admin", "wrong").await.expect(401);
        assert_eq!(
            (body["error"].as_str(), body["error_description"].as_str()),
            (Some("unauthorized"), Some("Bad credentials"))
        );
    }
    let locked = platform.log_in("Admin", PASSWORD).await.expect(401);
    assert!(
        locked["error_description"]
            .as_str()
            .unwrap()
            .contains("locked"),
        "{locked}"
    );
    platform.log_in("nobody", "x").await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_tokens_carry_the_code_that_makes_clients_refresh() {
    let mut platform = Platform::start().await;
    let bare = platform
        .client
        .get(format!("{}/v2/apps", platform.base))
        .send()
        .await
        .unwrap();
    assert_eq!(bare.status().as_u16(), 401);
    assert_eq!(
        bare.json::<serde_json::Value>().await.unwrap()["code"],
        10002
    );
    let good = std::mem::replace(&mut platform.token, "not.a.token".into());
    platform
        .get("/v2/apps")
        .await
        .expect_error(401, 1000, "CF-InvalidAuthToken");
    platform.token = format!("{}x", good);
    platform
        .get("/v2/apps")
        .await
        .expect_error(401, 1000, "CF-InvalidAuthToken");
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_things_are_404_with_a_json_body() {
    let platform = Platform::start().await;
    let text =
        platform
            .get("/v2/apps/no-such-guid")
            .await
            .expect_error(404, 100004, "CF-AppNotFound");
    assert_eq!(text, "The app could not be found: no-such-guid");
    platform
        .get("/v2/no/such/path")
        .await
        .expect_error(404, 10000, "CF-NotFound");
    platform
        .delete("/v2/info")
        .await
        .expect_error(404, 10000, "CF-NotFound");
    platform
        .get("/v2/apps?q=colour:blue")
        .await
        .expect_error(400, 10005, "CF-BadQueryParameter");
    platform
        .get("/v2/apps?results-per-page=101")
        .await
        .expect_error(400, 10005, "CF-BadQueryParameter");
    let body = platform.get("/v2/jobs/gone").await.expect(200);
    assert_eq!(
        (
            body["entity"]["guid"].as_str(),
            body["entity"]["status"].as_str()
        ),
        (Some("0"), Some("finished"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_zips_are_refused_naming_the_entry() {
    let platform = Platform::start().await;
    let app = platform.create_app("hostile").await;
    let cases = [
        (
            vec![("ok.txt", "x", 0o100644), ("../evil.txt", "x", 0o100644)],
            "../evil.txt",
        ),
        (vec![("link", "/etc/passwd", 0o120777)], "link"),
        (vec![("/tmp/evil", "x", 0o100644)], "/tmp/evil"),
    ];
    for (entries, name) in cases {
        let answer = platform
            .upload_bits(&app, json!([]), Some(zip_of(&entries)))
            .await;
        let text = answer.expect_error(400, 160001, "CF-AppBitsUploadInvalid");
        assert!(text.contains(name), "{text}");
    }
    let garbage = platform
        .upload_bits(&app, json!([]), Some(b"this is no zip".to_vec()))
        .await;
    garbage.expect_error(400, 160001, "CF-AppBitsUploadInvalid");
    let bad_path = json!([{"sha1": "1".repeat(40), "size": 3, "fn": "../x", "mode": "0644"}]);
    platform
        .upload_bits(&app, bad_path, None)
        .await
        .expect_error(400, 160001, "CF-AppBitsUploadInvalid");
    let untouched = platform.get(&format!("/v2/apps/{app}")).await.expect(200);
    assert!(untouched["entity"]["package_updated_at"].is_null());
    let start = platform
        .put(&format!("/v2/apps/{app}"), json!({"state": "STARTED"}))
        .await;
    assert!(
        start
            .expect_error(400, 150001, "CF-AppPackageInvalid")
            .contains("bits have not been uploaded")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_stager_the_error_names_the_shortage_and_nothing_changed() {
    let platform = Platform::start().await;
    let app = platform.create_app_with_bits("nowhere").await;
    let start = json!({"state": "STARTED"});
    let nobody = platform
        .put(&format!("/v2/apps/{app}"), start.clone())
        .await
        .expect_error(400, 170001, "CF-StagingError");
    assert!(
        nobody.starts_with("Staging error: no available stagers: none has advertised"),
        "{nobody}"
    );
    let dea = Dea::listen(&platform).await;
    dea.advertise(512).await;
    let short = eventually("the advertisement is known", async || {
        let text = platform
            .put(&format!("/v2/apps/{app}"), start.clone())
            .await
            .expect_error(400, 170001, "CF-StagingError");
        text.contains("need").then_some(text)
    })
    .await;
    let short_id = &DEA[..6];
    assert_eq!(
        short,
        format!(
            "Staging error: no available stagers: need 1024 MB memory, the best of 1 ({short_id}…) has 512 MB"
        )
    );
    let unchanged = platform.get(&format!("/v2/apps/{app}")).await.expect(200);
    assert_eq!(unchanged["entity"]["state"], "STOPPED");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_bus_is_away_reads_answer_and_writes_that_need_it_say_so() {
    let mut platform = Platform::start().await;
    let app = platform.create_app_with_bits("away").await;
    platform.nats.down();
    let refused = eventually("the loss is noticed", async || {
        let answer = platform
            .put(&format!("/v2/apps/{app}"), json!({"state": "STARTED"}))
            .await;
        (answer.status.as_u16() == 503).then_some(answer)
    })
    .await;
    let text = refused.expect_error(503, 10015, "CF-ServiceUnavailable");
    assert!(text.contains("message bus is away"), "{text}");
    assert_eq!(refused.headers["retry-after"], "5");
    let state = platform.get(&format!("/v2/apps/{app}")).await.expect(200);
    assert_eq!(state["entity"]["state"], "STOPPED");
    let (_, space) = platform.target().await;
    platform
        .get(&format!("/v2/spaces/{space}/summary"))
        .await
        .expect(200);
    platform
        .put(&format!("/v2/apps/{app}"), json!({"name": "renamed"}))
        .await
        .expect(201);
    platform.nats.up().await;
    platform.bus_is_back().await;
    platform.bus.wait_connected().await;
    let mut dea = Dea::with_room(&platform).await;
    platform
        .put(&format!("/v2/apps/{app}"), json!({"state": "STARTED"}))
        .await
        .expect(201);
    dea.stage_well(&platform, b"droplet").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_controller_on_the_same_file_refuses_with_the_postgresql_hint() {
    let platform = Platform::start().await;
    let error = cloud_controller::start(platform.config.clone())
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("PostgreSQL"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn env_values_are_not_readable_in_the_database_file() {
    let platform = Platform::start().await;
    let app = platform.create_app("secretive").await;
    let secret = "hunter2-is-not-a-good-password";
    platform
        .put(
            &format!("/v2/apps/{app}"),
            json!({"environment_json": {"PW": secret}}),
        )
        .await
        .expect(201);
    let shown = platform
        .get(&format!("/v2/apps/{app}/env"))
        .await
        .expect(200);
    assert_eq!(shown["environment_json"]["PW"], secret);
    let stored = platform.stored();
    let is_there = |text: &str| {
        let mut windows = stored.windows(text.len());
        windows.any(|window| window == text.as_bytes())
    };
    assert!(is_there(&app), "the look goes through");
    assert!(!is_there(secret), "the value is stored in clear");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_signing_key_is_sealed_in_the_database_also_one_of_an_older_version() {
    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
    use aws_lc_rs::rsa::{KeyPair, KeySize};
    use base64::Engine as _;
    let mut platform = Platform::start().await;
    const KEPT: &str = "SELECT pkcs8 FROM uaa_keys";
    let is_sealed = |kept: Option<String>| kept.unwrap().starts_with("sealed:");
    assert!(is_sealed(platform.sql(KEPT).await));
    // An older version kept the key in clear: put one there, as it did.
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    let old = base64::engine::general_purpose::STANDARD.encode(der.as_ref());
    let sql = format!("UPDATE uaa_keys SET pkcs8 = '{old}'");
    platform.sql(sql.leak()).await;
    platform.restart().await;
    assert!(is_sealed(platform.sql(KEPT).await));
    platform.log_in("admin", PASSWORD).await.expect(200);
    platform.restart().await;
    platform.get("/v2/apps").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_sees_and_changes_nothing_of_others() {
    let mut platform = Platform::start().await;
    let app = platform.create_app("private").await;
    let user = json!({"userName": "eve", "password": "pw", "origin": "", "emails": [{"value": "eve@example.com", "primary": true}]});
    let id = platform.post("/Users", user.clone()).await.expect(201)["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(platform.post("/Users", user).await.status.as_u16(), 409);
    platform
        .post("/v2/users", json!({"guid": id}))
        .await
        .expect(201);
    let (org, space) = platform.target().await;
    platform.log_in("eve", "pw").await.expect(200);
    assert_eq!(
        platform.get("/v2/apps").await.expect(200)["total_results"],
        0
    );
    assert_eq!(
        platform.get("/v2/organizations").await.expect(200)["total_results"],
        0
    );
    platform
        .get(&format!("/v2/apps/{app}"))
        .await
        .expect_error(403, 10003, "CF-NotAuthorized");
    platform
        .delete(&format!("/v2/apps/{app}"))
        .await
        .expect_error(403, 10003, "CF-NotAuthorized");
    platform
        .post("/v2/shared_domains", json!({"name": "x.example.org"}))
        .await
        .expect_error(403, 10003, "CF-NotAuthorized");
    platform.log_in("admin", PASSWORD).await.expect(200);
    platform
        .put(
            &format!("/v2/spaces/{space}/developers"),
            json!({"username": "eve"}),
        )
        .await
        .expect_error(400, 1002, "CF-InvalidRelation");
    platform
        .put(
            &format!("/v2/organizations/{org}/users"),
            json!({"username": "eve"}),
        )
        .await
        .expect(201);
    platform
        .put(
            &format!("/v2/spaces/{space}/developers"),
            json!({"username": "eve"}),
        )
        .await
        .expect(201);
    platform.log_in("eve", "pw").await.expect(200);
    assert_eq!(
        guid(&platform.get(&format!("/v2/apps/{app}")).await.expect(200)),
        app
    );
    platform
        .delete(&format!("/v2/apps/{app}?async=true&recursive=true"))
        .await
        .expect(204);
}
