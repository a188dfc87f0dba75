//! What becomes of blobs nobody refers to, with uploads under way and controllers that die in between.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::dea::sha1_hex;
use crate::support::{Platform, eventually, zip_of};

/// Where a file of an app is kept.
fn resource(blobs: &Path, content: &str) -> PathBuf {
    let sha1 = sha1_hex(content.as_bytes());
    blobs
        .join("cc-resources")
        .join(&sha1[0..2])
        .join(&sha1[2..4])
        .join(&sha1)
}

/// Files below a directory.
fn count(directory: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return 0;
    };
    entries
        .map(|entry| entry.unwrap().path())
        .map(|path| if path.is_dir() { count(&path) } else { 1 })
        .sum()
}

/// The package as a stager fetches it.
async fn package_is_there(platform: &Platform, app: &str) {
    let url = format!("{}/staging/apps/{app}", platform.base);
    let auth = &platform.config.staging_auth;
    let request = platform
        .client
        .get(url)
        .basic_auth(&auth.user, Some(&auth.password));
    assert_eq!(crate::support::read(request).await.status, 200);
}

async fn sweeping() -> Platform {
    Platform::start_with(|config| {
        config.blob_sweep_seconds = 1;
        config.blob_grace_seconds = 1;
        config.limits.resource_minimum_bytes = 0;
    })
    .await
}

async fn upload(platform: &Platform, app: &str, name: &str, content: &str) {
    let zip = zip_of(&[(name, content, 0o100_644)]);
    platform
        .upload_bits(app, json!([]), Some(zip))
        .await
        .expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_app_refers_to_goes_and_what_one_does_stays() {
    let platform = sweeping().await;
    let blobs = platform.config.blobstore.clone();
    let (kept, left) = (
        platform.create_app("kept").await,
        platform.create_app("left").await,
    );
    upload(&platform, &kept, "a.txt", "kept content").await;
    upload(&platform, &left, "a.txt", "left content").await;
    let inode = resource(&blobs, "kept content").metadata().unwrap().ino();
    platform
        .delete(&format!("/v2/apps/{left}"))
        .await
        .expect(204);
    // Never told to be here any more, then gone, with its package and manifest.
    eventually("the deleted app's file goes", async || {
        (!resource(&blobs, "left content").exists()).then_some(())
    })
    .await;
    eventually("the deleted app's package goes", async || {
        (count(&blobs.join("cc-packages")) == 1 && count(&blobs.join("cc-manifests")) == 1)
            .then_some(())
    })
    .await;
    let known = json!([{"sha1": sha1_hex(b"kept content"), "size": 12, "fn": "a.txt"},
                       {"sha1": sha1_hex(b"left content"), "size": 12, "fn": "a.txt"}]);
    let matched = platform.put("/v2/resource_match", known).await.expect(200);
    assert_eq!(matched.as_array().unwrap().len(), 1, "{matched}");
    assert_eq!(
        resource(&blobs, "kept content").metadata().unwrap().ino(),
        inode,
        "never touched"
    );
    package_is_there(&platform, &kept).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_sent_again_is_pardoned_and_uploads_never_lose_what_they_were_told_is_here()
{
    let platform = sweeping().await;
    let app = platform.create_app("app").await;
    // Uploads change the app's content all the time, so that files are condemned and pardoned beside them.
    for round in 0..24 {
        let content = format!("content {}", round % 3);
        let entry =
            json!({"sha1": sha1_hex(content.as_bytes()), "size": content.len(), "fn": "a.txt"});
        let matched = platform
            .put("/v2/resource_match", json!([entry]))
            .await
            .expect(200);
        let is_known = matched.as_array().unwrap().len() == 1;
        if is_known {
            platform.upload_bits(&app, matched, None).await.expect(201);
        } else {
            upload(&platform, &app, "a.txt", &content).await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    package_is_there(&platform, &app).await;
}
