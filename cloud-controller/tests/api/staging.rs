//! How stagings end: well, badly, late, twice, or with nobody left to hear it.

use crate::support::dea::{Dea, upload};
use crate::support::files::{files_below, make_old};
use crate::support::{Platform, eventually, guid, wait_for_package_state, zip_of};
use serde_json::json;

const DROPLET: &[u8] = b"not really a tarball";

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_second_reply_loses_no_staging() {
    let mut platform = Platform::start().await;
    let mut dea = Dea::with_room(&platform).await;
    let app = platform.create_app_with_bits("lost").await;
    platform
        .put(&format!("/v2/apps/{app}"), json!({"state": "STARTED"}))
        .await
        .expect(201);
    let (request, _) = Dea::next("a staging request", &mut dea.stagings).await;
    // The controller that asked dies; the upload goes to its successor.
    let old = platform.base.clone();
    platform.restart().await;
    let new = platform.base.trim_start_matches("http://").to_owned();
    let uri = request["upload_uri"]
        .as_str()
        .unwrap()
        .replace(old.trim_start_matches("http://"), &new);
    upload(&platform, &uri, DROPLET, &[]).await.expect(200);
    wait_for_package_state(&platform, &app, "STAGED").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_staging_cancels_the_older_one() {
    let platform = Platform::start().await;
    let mut dea = Dea::with_room(&platform).await;
    let app = platform.create_app_with_bits("twice").await;
    platform
        .put(&format!("/v2/apps/{app}"), json!({"state": "STARTED"}))
        .await
        .expect(201);
    let (first, inbox) = Dea::next("the first request", &mut dea.stagings).await;
    platform
        .put(&format!("/v2/apps/{app}"), json!({"state": "STOPPED"}))
        .await
        .expect(201);
    platform
        .put(&format!("/v2/apps/{app}"), json!({"state": "STARTED"}))
        .await
        .expect(201);
    let late = upload(
        &platform,
        first["upload_uri"].as_str().unwrap(),
        b"old droplet",
        &[],
    )
    .await;
    let text = late.expect_error(400, 170001, "CF-StagingError");
    assert!(text.contains("another staging"), "{text}");
    dea.reply(
        &inbox.unwrap(),
        json!({"task_id": first["task_id"], "error": "Error staging: task stopped"}),
    )
    .await;
    let second = dea.stage_well(&platform, DROPLET).await;
    assert_ne!(first["task_id"], second["task_id"]);
    wait_for_package_state(&platform, &app, "STAGED").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_staging_tells_its_reason_and_can_be_tried_again() {
    let platform = Platform::start().await;
    let mut dea = Dea::with_room(&platform).await;
    let app = platform.create_app_with_bits("broken").await;
    platform
        .put(&format!("/v2/apps/{app}"), json!({"state": "STARTED"}))
        .await
        .expect(201);
    let (request, inbox) = Dea::next("a staging request", &mut dea.stagings).await;
    let error = json!({"type": "NoAppDetectedError", "message": "An application could not be detected by any available buildpack"});
    dea.reply(
        &inbox.unwrap(),
        json!({"task_id": request["task_id"], "error": "x", "error_info": error}),
    )
    .await;
    let failed = wait_for_package_state(&platform, &app, "FAILED").await;
    assert_eq!(
        failed["entity"]["staging_failed_reason"],
        "NoAppDetectedError"
    );
    assert_eq!(failed["entity"]["state"], "STARTED");
    platform
        .get(&format!("/v2/apps/{app}/instances"))
        .await
        .expect_error(400, 170003, "CF-NoAppDetectedError");
    let again = platform
        .put(&format!("/v2/apps/{app}"), json!({"state": "STARTED"}))
        .await
        .expect(201);
    assert_eq!(again["entity"]["package_state"], "PENDING");
    dea.stage_well(&platform, DROPLET).await;
    wait_for_package_state(&platform, &app, "STAGED").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_droplet_is_refused_and_completes_nothing() {
    let platform = Platform::start().await;
    let mut dea = Dea::with_room(&platform).await;
    let app = platform.create_app_with_bits("damaged").await;
    platform
        .put(&format!("/v2/apps/{app}"), json!({"state": "STARTED"}))
        .await
        .expect(201);
    let (request, _) = Dea::next("a staging request", &mut dea.stagings).await;
    let uri = request["upload_uri"].as_str().unwrap();
    let wrong_md5 = upload(
        &platform,
        uri,
        DROPLET,
        &[("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")],
    )
    .await;
    assert!(
        wrong_md5
            .expect_error(400, 170001, "CF-StagingError")
            .contains("md5")
    );
    let wrong_sha1 = upload(
        &platform,
        &format!("{uri}&sha1={}", "0".repeat(40)),
        DROPLET,
        &[],
    )
    .await;
    assert!(
        wrong_sha1
            .expect_error(400, 170001, "CF-StagingError")
            .contains("sha1")
    );
    let state = platform.get(&format!("/v2/apps/{app}")).await.expect(200);
    assert_eq!(state["entity"]["package_state"], "PENDING");
    upload(
        &platform,
        &format!("{uri}&sha1={}", crate::support::dea::sha1_hex(DROPLET)),
        DROPLET,
        &[],
    )
    .await
    .expect(200);
    wait_for_package_state(&platform, &app, "STAGED").await;
    let repeated = upload(&platform, uri, DROPLET, &[]).await;
    repeated.expect(200);
    let other = upload(&platform, uri, b"another droplet", &[]).await;
    other.expect_error(400, 170001, "CF-StagingError");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stager_that_never_finishes_is_given_up_at_the_deadline() {
    let platform = Platform::start_with(|config| config.staging.timeout_seconds = 1).await;
    let mut dea = Dea::with_room(&platform).await;
    let app = platform.create_app_with_bits("hanging").await;
    platform
        .put(&format!("/v2/apps/{app}"), json!({"state": "STARTED"}))
        .await
        .expect(201);
    let (request, inbox) = Dea::next("a staging request", &mut dea.stagings).await;
    let setup =
        json!({"task_id": request["task_id"], "task_streaming_log_url": null, "error": null});
    dea.reply(&inbox.unwrap(), setup).await;
    let failed = wait_for_package_state(&platform, &app, "FAILED").await;
    assert_eq!(
        failed["entity"]["staging_failed_reason"],
        "StagingTimeExpired"
    );
    let error = platform.get(&format!("/v2/apps/{app}/instances")).await;
    error.expect_error(504, 170007, "CF-StagingTimeExpired");
    let late = upload(
        &platform,
        request["upload_uri"].as_str().unwrap(),
        DROPLET,
        &[],
    )
    .await;
    late.expect_error(400, 170001, "CF-StagingError");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_outlives_the_controller_that_set_it() {
    let mut platform = Platform::start_with(|config| config.staging.timeout_seconds = 2).await;
    let mut dea = Dea::with_room(&platform).await;
    let app = platform.create_app_with_bits("orphaned").await;
    platform
        .put(&format!("/v2/apps/{app}"), json!({"state": "STARTED"}))
        .await
        .expect(201);
    Dea::next("a staging request", &mut dea.stagings).await;
    platform.restart().await;
    let failed = wait_for_package_state(&platform, &app, "FAILED").await;
    assert_eq!(
        failed["entity"]["staging_failed_reason"],
        "StagingTimeExpired"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_buildpacks_a_start_is_refused_and_an_uploaded_one_helps() {
    let platform = Platform::start_with(|config| config.install_buildpacks.clear()).await;
    let mut dea = Dea::with_room(&platform).await;
    let app = platform.create_app_with_bits("bare").await;
    let start = json!({"state": "STARTED"});
    let refused = platform
        .put(&format!("/v2/apps/{app}"), start.clone())
        .await;
    refused.expect_error(400, 170006, "CF-NoBuildpacksFound");
    let body = json!({"name": "mine", "position": 1});
    let buildpack = guid(
        &platform
            .post("/v2/buildpacks?async=true", body.clone())
            .await
            .expect(201),
    );
    platform
        .post("/v2/buildpacks", body)
        .await
        .expect_error(400, 290001, "CF-BuildpackNameTaken");
    let send = async |filename: &'static str, bytes: Vec<u8>| {
        let part = reqwest::multipart::Part::bytes(bytes).file_name(filename);
        let form = reqwest::multipart::Form::new().part("buildpack", part);
        let request = platform
            .client
            .put(format!("{}/v2/buildpacks/{buildpack}/bits", platform.base));
        crate::support::read(
            request
                .header("authorization", format!("bearer {}", platform.token))
                .multipart(form),
        )
        .await
    };
    let zip = zip_of(&[("bin/detect", "#!/bin/sh", 0o100755)]);
    send("mine.tgz", zip.clone())
        .await
        .expect_error(400, 290002, "CF-BuildpackBitsUploadInvalid");
    send("mine.zip", b"no zip".to_vec()).await.expect_error(
        400,
        290002,
        "CF-BuildpackBitsUploadInvalid",
    );
    let uploaded = send("mine.zip", zip).await.expect(201);
    assert_eq!(uploaded["entity"]["filename"], "mine.zip");
    platform
        .put(&format!("/v2/apps/{app}"), start)
        .await
        .expect(201);
    let request = dea.stage_well(&platform, DROPLET).await;
    assert!(
        request["admin_buildpacks"][0]["key"]
            .as_str()
            .unwrap()
            .starts_with(&buildpack)
    );
    platform
        .delete(&format!("/v2/buildpacks/{buildpack}?async=true"))
        .await
        .expect(202);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_blobs_nobody_refers_to_are_collected_and_all_others_stay() {
    let platform = Platform::start_with(|config| config.blob_sweep_seconds = 1).await;
    let mut dea = Dea::with_room(&platform).await;
    let app = platform.create_app_with_bits("kept").await;
    let start = json!({"state": "STARTED"});
    platform
        .put(&format!("/v2/apps/{app}"), start)
        .await
        .expect(201);
    dea.stage_well(&platform, DROPLET).await;
    let blobs = platform.dir.path().join("blobs");
    let young = store_blob(&blobs, "cc-packages", &"a".repeat(40));
    let package = store_blob(&blobs, "cc-packages", &"b".repeat(40));
    let gone = "0f0e0d0c-0000-4000-8000-000000000001";
    let droplet = store_blob(&blobs, "cc-droplets", &format!("{gone}/{}", "c".repeat(40)));
    let cache = store_blob(
        &blobs,
        "cc-droplets/buildpack_cache",
        &format!("{gone}-host"),
    );
    let mut kept = files_below(&blobs.join("cc-packages"));
    kept.extend(files_below(&blobs.join("cc-droplets")));
    for path in kept.iter().filter(|path| *path != &young) {
        make_old(path);
    }
    crate::support::eventually("the three nobody refers to are gone", async || {
        [&package, &droplet, &cache]
            .iter()
            .all(|path| !path.exists())
            .then_some(())
    })
    .await;
    // The look that takes this one comes after the look that took those three was over.
    let marker = store_blob(&blobs, "cc-packages", &"d".repeat(40));
    make_old(&marker);
    crate::support::eventually("one more look was taken", async || {
        (!marker.exists()).then_some(())
    })
    .await;
    kept.retain(|path| ![&package, &droplet, &cache].contains(&path));
    assert!(
        kept.len() >= 3,
        "a package, a droplet and the young one: {kept:?}"
    );
    for path in kept {
        assert!(path.exists(), "{} is needed", path.display());
    }
}

fn store_blob(blobs: &std::path::Path, folder: &str, key: &str) -> std::path::PathBuf {
    let path = blobs
        .join(folder)
        .join(&key[..2])
        .join(&key[2..4])
        .join(key);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, b"content").unwrap();
    path
}

/// An app with bits in a space of its own organization.
async fn app_of_another_organization(platform: &Platform) -> String {
    let org = guid(
        &platform
            .post("/v2/organizations", json!({"name": "other"}))
            .await
            .expect(201),
    );
    let space = json!({"name": "dev", "organization_guid": org});
    let space = guid(&platform.post("/v2/spaces", space).await.expect(201));
    let app = json!({"name": "theirs", "space_guid": space, "memory": 64, "disk_quota": 128, "instances": 1});
    let app = guid(&platform.post("/v2/apps?async=true", app).await.expect(201));
    let bits = zip_of(&[("hello.txt", "hello", 0o100644)]);
    platform
        .upload_bits(&app, json!([]), Some(bits))
        .await
        .expect(201);
    app
}

/// Four stagings that hung kept everybody else from staging on a small platform.
#[tokio::test(flavor = "multi_thread")]
async fn stagings_that_hang_wait_in_their_organizations_line_and_keep_no_other_out() {
    let platform = Platform::start().await;
    // 8 GB of offers that never change, and stagings of 1 GB: the share is 4 of them.
    let mut dea = Dea::with_room(&platform).await;
    let theirs = app_of_another_organization(&platform).await;
    let start = async |app: &str| {
        let started = json!({"state": "STARTED"});
        let path = format!("/v2/apps/{app}");
        platform.put(&path, started).await.expect(201);
    };
    let mut apps = Vec::new();
    for n in 0..6 {
        let app = platform.create_app_with_bits(&format!("hangs-{n}")).await;
        start(&app).await;
        apps.push(app);
    }
    let mut hanging = Vec::new();
    for _ in 0..4 {
        hanging.push(Dea::next("a request of the share", &mut dea.stagings).await);
    }
    let log = async |app: &str| {
        let recent = platform.get(&format!("/apps/{app}/recentlogs")).await;
        String::from_utf8_lossy(&recent.bytes).into_owned()
    };
    for (app, place) in [(&apps[4], "position 1"), (&apps[5], "position 2")] {
        eventually("its place in the line is in its log", async || {
            log(app).await.contains(place).then_some(())
        })
        .await;
    }
    // The other organization comes, and is next.
    start(&theirs).await;
    let (request, _) = Dea::next("the other's request", &mut dea.stagings).await;
    assert_eq!(request["app_id"], theirs.as_str());
    // One ends: the first in the line is next, and what was stopped is not.
    let stopped = json!({"state": "STOPPED"});
    let path = format!("/v2/apps/{}", apps[4]);
    platform.put(&path, stopped).await.expect(201);
    let (request, inbox) = hanging.remove(0);
    let error = json!({"task_id": request["task_id"], "error": "Error staging: task stopped"});
    dea.reply(&inbox.unwrap(), error).await;
    let (request, _) = Dea::next("the next of the line", &mut dea.stagings).await;
    assert_eq!(request["app_id"], apps[5].as_str());
}
