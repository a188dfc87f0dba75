//! The blobstore on a directory, in memory and on S3: one list of claims, run on each.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cloud_controller::blobs::{BlobError, Blobs, Place, sha1_of_file};
use cloud_controller::config::{BlobService, S3Config};

use crate::support::{eventually, python};

/// Larger than one part of an upload.
const LARGE: usize = 20 * 1024 * 1024 + 7;

fn file(dir: &Path, name: &str, bytes: &[u8]) -> (std::path::PathBuf, String) {
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    let sha1 = sha1_of_file(&path).unwrap();
    (path, sha1)
}

async fn every_claim(blobs: Blobs) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let large: Vec<u8> = (0..LARGE).map(|at| (at % 251) as u8).collect();
    for (name, bytes) in [("empty", &[][..]), ("small", b"hello"), ("large", &large)] {
        let (path, sha1) = file(dir.path(), name, bytes);
        let place = Place::Package(sha1);
        assert!(!blobs.has(&place).await.unwrap(), "{name}");
        assert!(!blobs.fetch(&place, &out).await.unwrap(), "{name}");
        blobs.put(&place, &path).await.unwrap();
        assert!(blobs.has(&place).await.unwrap(), "{name}");
        assert!(blobs.fetch(&place, &out).await.unwrap(), "{name}");
        assert_eq!(std::fs::read(&out).unwrap(), bytes, "{name}");
        // The same content again is the same blob.
        blobs.put(&place, &path).await.unwrap();
    }
    let (path, sha1) = file(dir.path(), "other", b"other");
    let wrong = Place::Resource("0".repeat(40));
    blobs.put(&wrong, &path).await.unwrap();
    let damaged = blobs.fetch(&wrong, &out).await;
    assert!(
        matches!(damaged, Err(BlobError::Damaged { .. })),
        "{damaged:?}"
    );
    let manifest = Place::Manifest(sha1.clone());
    blobs.put_bytes(&manifest, b"a\nb".to_vec()).await.unwrap();
    assert_eq!(
        blobs.get_bytes(&manifest).await.unwrap().unwrap(),
        b"a\nb"[..]
    );
    assert!(
        blobs
            .get_bytes(&Place::Manifest("1".repeat(40)))
            .await
            .unwrap()
            .is_none()
    );
    let far = i64::MAX / 2_000;
    let all = blobs.older_than(far).await.unwrap();
    assert!(all.contains(&manifest) && all.contains(&wrong), "{all:?}");
    assert!(blobs.older_than(0).await.unwrap().is_empty());
    assert!(
        blobs.is_older(&manifest, far).await.unwrap()
            && !blobs.is_older(&manifest, 0).await.unwrap()
    );
    blobs.delete(&manifest).await.unwrap();
    blobs.delete(&manifest).await.unwrap();
    assert!(!blobs.has(&manifest).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_hold_in_a_directory() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(&BlobService::Directory, &dir.path().join("blobs")).unwrap();
    assert!(
        blobs
            .signed_url(&Place::Package("00".into()), Duration::from_secs(1))
            .await
            .unwrap()
            .is_none()
    );
    every_claim(blobs).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_hold_in_memory() {
    every_claim(Blobs::open(&BlobService::Memory, Path::new("")).unwrap()).await;
}

/// An S3 server of the test's own.
struct Moto {
    child: Child,
    base: String,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server of PyPI's `moto`, with no more than S3 needs.
const MOTO: [&str; 3] = ["moto[s3]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5"];

/// With a bucket `apps`; `BLOOMERY_MOTO_SERVER` names one that is installed.
async fn moto() -> Option<Moto> {
    let named = std::env::var_os("BLOOMERY_MOTO_SERVER").map(std::path::PathBuf::from);
    let installed = || Some(python::environment("moto", &MOTO)?.join("moto_server"));
    let program = tokio::task::spawn_blocking(move || named.or_else(installed));
    let Some(program) = program.await.unwrap() else {
        python::skip("moto");
        return None;
    };
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let child = Command::new(program)
        .args(["-H", "127.0.0.1", "-p", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let moto = Moto {
        child,
        base: format!("http://127.0.0.1:{port}"),
    };
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    eventually("the bucket is made", async || {
        let made = client
            .put(format!("{}/apps", moto.base))
            .send()
            .await
            .ok()?;
        made.status().is_success().then_some(())
    })
    .await;
    Some(moto)
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_hold_in_a_bucket_and_signed_addresses_lead_to_blobs() {
    let Some(moto) = moto().await else { return };
    let dir = tempfile::tempdir().unwrap();
    let credentials = dir.path().join("credentials");
    std::fs::write(&credentials, "id\nsecret\n").unwrap();
    let config = |prefix: &str| {
        BlobService::S3(S3Config {
            bucket: "apps".into(),
            prefix: prefix.into(),
            endpoint: Some(moto.base.clone()),
            region: "us-east-1".into(),
            credentials_file: Some(credentials.clone()),
            redirect: true,
        })
    };
    every_claim(Blobs::open(&config(""), dir.path()).unwrap()).await;
    every_claim(Blobs::open(&config("below/here"), dir.path()).unwrap()).await;
    let blobs = Blobs::open(&config(""), dir.path()).unwrap();
    let (path, sha1) = file(dir.path(), "signed", b"signed");
    let place = Place::Package(sha1);
    blobs.put(&place, &path).await.unwrap();
    let url = blobs
        .signed_url(&place, Duration::from_secs(60))
        .await
        .unwrap()
        .unwrap();
    assert!(
        url.contains("X-Amz-Expires=60") && url.contains("X-Amz-Signature="),
        "{url}"
    );
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.get(&url).send().await.unwrap();
    assert_eq!(answer.bytes().await.unwrap(), b"signed"[..]);
}
