//! The addresses DEAs and stagers are handed: each opens one thing for a while, and no password is among them.

use std::io::Write;
use std::sync::{Arc, Mutex};

use crate::support::dea::{Dea, sha1_hex, upload};
use crate::support::files::files_below;
use crate::support::{Answer, Platform, eventually, read};
use aws_lc_rs::hmac;
use reqwest::Method;
use serde_json::{Value, json};

const DROPLET: &[u8] = b"not really a tarball";

/// An app whose staging was asked for.
struct Asked {
    platform: Platform,
    dea: Dea,
    app: String,
    request: Value,
    inbox: String,
}

impl Asked {
    async fn start(adjust: impl FnOnce(&mut cloud_controller::Config)) -> Asked {
        let platform = Platform::start_with(adjust).await;
        let mut dea = Dea::with_room(&platform).await;
        let app = platform.create_app_with_bits("addressed").await;
        platform
            .put(&format!("/v2/apps/{app}"), json!({"state": "STARTED"}))
            .await
            .expect(201);
        let (request, inbox) = Dea::next("a staging request", &mut dea.stagings).await;
        Asked {
            platform,
            dea,
            app,
            request,
            inbox: inbox.unwrap(),
        }
    }

    fn address(&self, key: &str) -> String {
        self.request[key].as_str().unwrap().to_owned()
    }

    async fn get(&self, address: &str) -> Answer {
        self.send(Method::GET, address).await
    }

    async fn send(&self, method: Method, address: &str) -> Answer {
        read(self.platform.client.request(method, address)).await
    }

    /// The stager's last word.
    async fn conclude(&self) {
        let done = json!({"task_id": self.request["task_id"], "detected_buildpack": "test", "buildpack_key": null,
                          "droplet_sha1": sha1_hex(DROPLET), "detected_start_command": "./run"});
        self.dea.reply(&self.inbox, done).await;
        eventually("the stager's last word is noted", async || {
            let app = self.platform.get(&format!("/v2/apps/{}", self.app)).await;
            (app.expect(200)["entity"]["detected_start_command"] == "./run").then_some(())
        })
        .await;
    }

    /// What lies in the blobstore below `cc-droplets`: droplets and build caches.
    fn written(&self) -> Vec<std::path::PathBuf> {
        let blobs = self.platform.dir.path().join("blobs/cc-droplets");
        files_below(&blobs)
    }
}

/// Every text in a message that is an address.
fn addresses(message: &Value, found: &mut Vec<String>) {
    match message {
        Value::String(text) if text.starts_with("http") => found.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|value| addresses(value, found)),
        Value::Object(map) => map.values().for_each(|value| addresses(value, found)),
        _ => {}
    }
}

/// Signs as the controller's documentation says: a client that may sign, for what it must not.
fn signed(secret: &[u8], method: &str, path: &str, query: &str, expires: i64) -> String {
    let key = |secret: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, secret);
    let derived = hmac::sign(&key(secret), b"bloomery signed addresses, version 1");
    let derived = key(derived.as_ref());
    let id = hex::encode(&hmac::sign(&derived, b"id").as_ref()[..4]);
    let joint = if query.is_empty() { "" } else { "&" };
    let covered = format!("{path}?{query}{joint}expires={expires}&key={id}");
    let tag = hmac::sign(&derived, format!("{method}\n{covered}").as_bytes());
    format!("{covered}&signature={}", hex::encode(tag))
}

fn secret_of(platform: &Platform) -> Vec<u8> {
    let file = std::fs::read_to_string(platform.dir.path().join("secrets.json")).unwrap();
    let secrets: Value = serde_json::from_str(&file).unwrap();
    secrets["encryption_key"].as_str().unwrap().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_on_the_bus_opens_by_signature_and_holds_no_password() {
    let asked = Asked::start(|_| {}).await;
    let mut found = Vec::new();
    addresses(&asked.request, &mut found);
    let said = found.join("\n");
    for part in [
        format!("/staging/apps/{}?", asked.app),
        format!("/staging/droplets/{}/upload?task=", asked.app),
        format!("/staging/droplets/{}/download?", asked.app),
        format!("/staging/buildpack_cache/{}/upload?task=", asked.app),
        "/download?sha1=".to_owned(),
    ] {
        assert!(said.contains(&part), "{part} in {said}");
    }
    for address in &found {
        let parts = url::Url::parse(address).unwrap();
        assert_eq!((parts.username(), parts.password()), ("", None));
        assert!(address.contains("&signature="), "{address}");
    }
    assert!(!asked.request.to_string().contains("staging-secret"));

    // As often as it takes, as long as it is good.
    let buildpack = asked.request["admin_buildpacks"][0]["url"]
        .as_str()
        .unwrap();
    for address in [&asked.address("download_uri"), buildpack] {
        for _ in 0..2 {
            let answer = asked.get(address).await;
            assert_eq!(
                (answer.status.as_u16(), answer.bytes.is_empty()),
                (200, false)
            );
        }
    }
    let cache = asked.address("buildpack_cache_upload_uri");
    upload(&asked.platform, &cache, b"a cache", &[])
        .await
        .expect(200);
    // As an original stager does: its own parameter behind ours, and the job polled where it is told.
    let droplet = format!("{}&async=true", asked.address("upload_uri"));
    let job = upload(&asked.platform, &droplet, DROPLET, &[])
        .await
        .expect(200);
    let job = job["metadata"]["url"].as_str().unwrap();
    assert!(job.contains("&signature=") && !job.contains('@'), "{job}");
    let polled = asked.get(job).await.expect(200);
    assert_eq!(polled["entity"]["status"], "finished");
    let droplet = asked.request["start_message"]["executableUri"]
        .as_str()
        .unwrap();
    assert_eq!(asked.get(droplet).await.bytes, DROPLET);
    asked.conclude().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_expired_or_foreign_address_is_refused_and_nothing_is_written() {
    let asked = Asked::start(|_| {}).await;
    let other = asked.platform.create_app_with_bits("other").await;
    let secret = secret_of(&asked.platform);
    let base = asked.platform.base.clone();
    let path = format!("/staging/droplets/{}/upload", asked.app);
    let task = format!("task={}", asked.request["task_id"].as_str().unwrap());
    let far = 4_000_000_000;
    let by = |secret: &[u8], method: &str, path: &str, query: &str, expires: i64| {
        format!("{base}{}", signed(secret, method, path, query, expires))
    };
    let good = asked.address("upload_uri");
    let cut = |from: &str, to: &str| {
        let at = good.find(from).unwrap();
        let rest = &good[at + from.len()..];
        let end = rest.find('&').unwrap_or(rest.len());
        format!("{}{to}{}", &good[..at], &rest[end..])
    };
    let cases = [
        (
            "another app",
            good.replace(&asked.app, &other),
            10_003,
            "fits another",
        ),
        (
            "a longer life",
            cut("expires=", "expires=4000000000"),
            10_003,
            "fits another",
        ),
        (
            "another task",
            cut("task=", "task=t"),
            10_003,
            "fits another",
        ),
        (
            "without the task",
            cut("task=", "x=1"),
            10_003,
            "fits another",
        ),
        (
            "another signature",
            cut("signature=", "signature=00"),
            10_003,
            "fits another",
        ),
        (
            "no hex",
            cut("signature=", "signature=zz"),
            10_003,
            "\"signature\"",
        ),
        (
            "an empty signature",
            cut("signature=", "signature="),
            10_003,
            "fits another",
        ),
        (
            "no signature",
            cut("&signature=", ""),
            10_002,
            "Authentication",
        ),
        ("no key", cut("&key=", ""), 10_003, "\"key\""),
        ("no expiry", cut("&expires=", ""), 10_003, "\"expires\""),
        (
            "an unknown key",
            cut("key=", "key=00000000"),
            10_003,
            "does not have",
        ),
        (
            "nothing",
            format!("{base}{path}?{task}"),
            10_002,
            "Authentication",
        ),
        (
            "for another method",
            by(&secret, "GET", &path, &task, far),
            10_003,
            "fits another",
        ),
        (
            "for a download",
            by(&secret, "POST", "/staging/apps/x", "", far).replace("/staging/apps/x", &path),
            10_003,
            "fits another",
        ),
        (
            "by a stranger",
            by(b"a secret of somebody else's", "POST", &path, &task, far),
            10_003,
            "does not have",
        ),
        (
            "long ago",
            by(&secret, "POST", &path, &task, 1_000_000_000),
            10_003,
            "expired",
        ),
        (
            "before time",
            by(&secret, "POST", &path, &task, i64::MIN),
            10_003,
            "expired",
        ),
        (
            "a password of its own",
            good.replace("http://", "http://staging:guess@")
                .replace("signature=", "signature=00"),
            10_003,
            "fits another",
        ),
    ];
    for (what, address, code, words) in cases {
        let answer = upload(&asked.platform, &address, DROPLET, &[]).await;
        let status = if code == 10_002 { 401 } else { 403 };
        let body = answer.expect(status);
        assert_eq!(body["code"], code, "{what}: {body}");
        let text = body["description"].as_str().unwrap();
        assert!(text.contains(words), "{what}: {text}");
        assert!(!text.contains("signature="), "{what}: {text}");
    }
    // Downloads: of another app, and by another method.
    let package = asked.address("download_uri");
    asked.get(&package).await.expect_status(200);
    let of_other = asked.get(&package.replace(&asked.app, &other)).await;
    of_other.expect_error(403, 10_003, "CF-NotAuthorized");
    let head = asked.send(Method::HEAD, &package).await;
    assert_eq!(head.status.as_u16(), 403);
    let by_hash = package.replace("/staging/apps/", "/internal/v2/droplets/");
    asked.get(&by_hash).await.expect(404);

    assert_eq!(asked.written(), Vec::<std::path::PathBuf>::new());
    let app = asked.platform.get(&format!("/v2/apps/{}", asked.app)).await;
    assert_eq!(app.expect(200)["entity"]["package_state"], "PENDING");
    // And what the test signs itself is as good as what was handed out: the refusals above are not for want of a key.
    let own = by(&secret, "POST", &path, &task, far);
    upload(&asked.platform, &own, DROPLET, &[])
        .await
        .expect(200);
    assert_eq!(asked.written().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_address_dies_with_its_staging() {
    let asked = Asked::start(|_| {}).await;
    let (droplet, cache) = (
        asked.address("upload_uri"),
        asked.address("buildpack_cache_upload_uri"),
    );
    for (address, content) in [(&droplet, DROPLET), (&cache, b"a cache")] {
        upload(&asked.platform, address, content, &[])
            .await
            .expect(200);
    }
    // A stager that lost our answer says the same again, and no more than that.
    upload(&asked.platform, &droplet, DROPLET, &[])
        .await
        .expect(200);
    asked.conclude().await;
    let before = asked.written();
    assert_eq!(before.len(), 2, "{before:?}");
    for (address, content) in [
        (&droplet, DROPLET),
        (&droplet, b"another droplet"),
        (&cache, b"a cache"),
        (&cache, b"another cache"),
    ] {
        let late = upload(&asked.platform, address, content, &[]).await;
        let text = late.expect_error(400, 170_001, "CF-StagingError");
        assert!(
            text.contains("is over") && text.contains("not wanted"),
            "{text}"
        );
    }
    assert_eq!(asked.written(), before);
    let cache = before
        .iter()
        .find(|path| path.display().to_string().contains("buildpack_cache"));
    assert_eq!(std::fs::read(cache.unwrap()).unwrap(), b"a cache");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_good_no_longer_than_it_says() {
    let asked = Asked::start(|config| {
        config.staging.timeout_seconds = 1;
        config.address_seconds = 1;
    })
    .await;
    let address = asked.address("download_uri");
    let refused = eventually("the address expires", async || {
        let answer = asked.get(&address).await;
        (answer.status.as_u16() != 200).then_some(answer)
    })
    .await;
    let text = refused.expect_error(403, 10_003, "CF-NotAuthorized");
    assert!(
        text.contains("expired") && text.contains("to get a new one"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_originals_way_in_is_the_password() {
    let platform = Platform::start().await;
    let app = platform.create_app_with_bits("classic").await;
    let url = format!("{}/staging/apps/{app}", platform.base);
    let with = async |password: &str| {
        let request = platform.client.get(&url);
        read(request.basic_auth("staging", Some(password))).await
    };
    assert_eq!(with("staging-secret").await.status.as_u16(), 200);
    for wrong in ["", "staging", "bulk_api-secret"] {
        with(wrong)
            .await
            .expect_error(401, 10_002, "CF-NotAuthenticated");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_renewed_without_a_staging_that_fails() {
    let mut asked = Asked::start(|_| {}).await;
    let file = asked.platform.dir.path().join("secrets.json");
    let secrets: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let old = secrets["encryption_key"].as_str().unwrap().to_owned();
    let new = "n".repeat(40);
    let before = asked.address("download_uri");
    for (in_force, status) in [
        (vec![&old, &new], 200),
        (vec![&new, &old], 200),
        (vec![&new], 403),
    ] {
        let mut secrets = secrets.clone();
        secrets["address_secrets"] = json!(in_force);
        std::fs::write(&file, secrets.to_string()).unwrap();
        asked.platform.restart().await;
        // The controller has another port now; the rest of the address is what counts.
        let handed = url::Url::parse(&before).unwrap();
        let (path, query) = (handed.path(), handed.query().unwrap());
        let here = format!("{}{path}?{query}", asked.platform.base);
        let answer = asked.get(&here).await;
        assert_eq!(answer.status.as_u16(), status, "{in_force:?}");
    }
}

/// Everything that is logged, down to what only developers ask for. (Beyond that, the bus's library prints messages whole.)
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_signature_is_in_any_line_of_the_log() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let asked = Asked::start(|_| {}).await;
    let droplet = asked.address("upload_uri");
    let package = asked.address("download_uri");
    asked.get(&package).await.expect_status(200);
    let stale = package.replace("expires=", "expires=1");
    asked.get(&stale).await.expect(403);
    let job = upload(
        &asked.platform,
        &format!("{droplet}&async=true"),
        DROPLET,
        &[],
    )
    .await;
    asked
        .get(job.expect(200)["metadata"]["url"].as_str().unwrap())
        .await
        .expect(200);
    asked.conclude().await;
    upload(&asked.platform, &droplet, DROPLET, &[])
        .await
        .expect(400);

    let text = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    // The test's own client is no part of the controller.
    let of_client = |line: &&str| {
        ["hyper", "reqwest", "h2::", "tokio_tungstenite"]
            .iter()
            .any(|name| line.contains(name))
    };
    let lines: Vec<&str> = text.lines().filter(|line| !of_client(line)).collect();
    assert!(
        lines
            .iter()
            .any(|line| line.contains("a signed address was refused"))
    );
    assert!(lines.iter().any(|line| line.contains("asked to stage")));
    for address in [&droplet, &package] {
        let signature = address.split("signature=").nth(1).unwrap();
        let told: Vec<_> = lines
            .iter()
            .filter(|line| line.contains(signature))
            .collect();
        assert!(told.is_empty(), "{told:?}");
    }
}
