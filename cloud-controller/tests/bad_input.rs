//! What clients and disks do wrong: each answer has the original's code and says what to do next, and nothing is half done.
#![allow(clippy::unwrap_used)]

mod support;

use std::io::Write as _;
use std::path::Path;

use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};
use support::dea::{Dea, sha1_hex};
use support::{
    Answer, Platform, eventually, first_guid, guid, read, wait_for_package_state, zip_of,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const MEGABYTE: usize = 1024 * 1024;

async fn send(platform: &Platform, method: reqwest::Method, path: &str, body: &[u8]) -> Answer {
    let request = platform
        .client
        .request(method, format!("{}{path}", platform.base))
        .header("authorization", format!("bearer {}", platform.token))
        .body(body.to_vec());
    read(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_cannot_be_read_name_the_field_and_the_type_wanted() {
    let platform = Platform::start().await;
    let (org, space) = platform.target().await;
    let app = format!("/v2/apps/{}", platform.create_app("typed").await);
    let space = format!("/v2/spaces/{space}");
    let org = format!("/v2/organizations/{org}");
    let flag = "/v2/config/feature_flags/app_scaling";
    let cases: [(&str, &[u8], &str, &str); 9] = [
        (&app, br#"{"memory":"64M"}"#, "\"memory\"", "a whole number"),
        (
            &app,
            br#"{"instances":1.5}"#,
            "\"instances\"",
            "a whole number",
        ),
        (
            &app,
            br#"{"environment_json":[]}"#,
            "\"environment_json\"",
            "an object",
        ),
        (&app, br#"{"name":7}"#, "\"name\"", "a string"),
        (
            &space,
            br#"{"allow_ssh":"yes"}"#,
            "\"allow_ssh\"",
            "a boolean",
        ),
        (&org, br#"{"name":{}}"#, "\"name\"", "a string"),
        (flag, br#"{"enabled":"true"}"#, "\"enabled\"", "a boolean"),
        (
            &app,
            b"{\"name\":\"\xff\xfe\"}",
            "not JSON in UTF-8",
            "send a JSON object",
        ),
        (&app, br#"{"name":"#, "not JSON", "send a JSON object"),
    ];
    for (path, body, field, wanted) in cases {
        let text = send(&platform, reqwest::Method::PUT, path, body)
            .await
            .expect_error(400, 1001, "CF-MessageParseError");
        assert!(text.contains(field) && text.contains(wanted), "{text}");
    }
    let tolerated = br#"{"memory":65,"no_such_key":{"deep":[1]}}"#;
    let changed = send(&platform, reqwest::Method::PUT, &app, tolerated).await;
    assert_eq!(changed.expect(201)["entity"]["memory"], 65);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_routes_that_are_taken_say_so_by_code() {
    let platform = Platform::start().await;
    let (_, space) = platform.target().await;
    platform.create_app("web").await;
    let domain = first_guid(&platform.get("/v2/shared_domains").await.expect(200));
    let route = json!({"host": "web", "domain_guid": domain, "space_guid": space, "path": "/x"});
    platform.post("/v2/routes", route.clone()).await.expect(201);
    let cases = [
        (
            "/v2/apps",
            json!({"name": "WEB", "space_guid": space}),
            100_002,
        ),
        ("/v2/routes", route, 210_004),
        (
            "/v2/shared_domains",
            json!({"name": "apps.example.com"}),
            130_003,
        ),
    ];
    for (path, body, code) in cases {
        let answer = platform.post(path, body).await.expect(400);
        assert_eq!(answer["code"], json!(code), "{answer}");
        assert!(
            answer["description"]
                .as_str()
                .unwrap()
                .contains("Choose another"),
            "{answer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_1000_and_says_how_to_get_a_new_one() {
    let platform = Platform::start_with(|config| config.uaa.access_token_seconds = 1).await;
    let refused = eventually("the token expires", async || {
        let answer = platform.get("/v2/apps").await;
        (answer.status.as_u16() == 401).then_some(answer)
    })
    .await;
    let text = refused.expect_error(401, 1000, "CF-InvalidAuthToken");
    assert!(
        text.contains("expired") && text.contains("cf login"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_announces_too_much_is_refused_before_its_body() {
    let platform = Platform::start().await;
    let app = platform.create_app("large").await;
    let address = platform.base.trim_start_matches("http://").to_owned();
    let mut socket = tokio::net::TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "PUT /v2/apps/{app}/bits?async=true HTTP/1.1\r\nHost: {address}\r\nAuthorization: bearer {}\r\n\
         Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 10000000000\r\n\r\n",
        platform.token
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    // Not one byte of the body is sent: an answer shows that none was waited for.
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("\"code\":150001"), "{answer}");
    assert!(answer.contains("10000000000 bytes"), "{answer}");
}

/// `size` zeros, made while they are sent; the length is not announced.
fn zeros(size: usize) -> reqwest::Body {
    let chunk = Bytes::from(vec![0; MEGABYTE]);
    let chunks = (0..size / MEGABYTE).map(move |_| Ok::<_, std::io::Error>(chunk.clone()));
    reqwest::Body::wrap_stream(stream::iter(chunks))
}

async fn upload(platform: &Platform, app: &str, body: reqwest::Body) -> Answer {
    let part = reqwest::multipart::Part::stream(body).file_name("application.zip");
    let form = reqwest::multipart::Form::new()
        .text("resources", "[]")
        .part("application", part);
    let url = format!("{}/v2/apps/{app}/bits?async=true", platform.base);
    let request = platform.client.put(url).multipart(form);
    read(request.header("authorization", format!("bearer {}", platform.token))).await
}

fn bomb() -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file("zeros", options).unwrap();
    zip.write_all(&vec![0; 4 * MEGABYTE]).unwrap();
    zip.finish().unwrap().into_inner()
}

async fn package_of(platform: &Platform, app: &str) -> Vec<u8> {
    let url = format!("{}/staging/apps/{app}", platform.base);
    let request = platform.client.get(url);
    let answer = read(request.basic_auth("staging", Some("staging-secret"))).await;
    assert_eq!(answer.status.as_u16(), 200);
    answer.bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_bits_fail_the_app_with_the_reason_and_leave_its_package() {
    let platform =
        Platform::start_with(|config| config.limits.max_package_bytes = MEGABYTE as u64).await;
    let app = platform.create_app_with_bits("kept").await;
    let before = package_of(&platform, &app).await;
    let cases: [(&str, reqwest::Body, u32, &str); 4] = [
        (
            "chunked, too much",
            zeros(3 * MEGABYTE),
            150_001,
            "larger than the 1048576 bytes",
        ),
        (
            "a bomb",
            bomb().into(),
            150_001,
            "unpacked, it is larger than 1048576 bytes",
        ),
        (
            "leads out",
            zip_of(&[("../../x", "x", 0o100644)]).into(),
            160_001,
            "../../x",
        ),
        (
            "no zip",
            b"nothing".to_vec().into(),
            160_001,
            "not a readable zip",
        ),
    ];
    for (what, body, code, words) in cases {
        let answer = upload(&platform, &app, body).await.expect(400);
        assert_eq!(answer["code"], json!(code), "{what}: {answer}");
        assert!(
            answer["description"].as_str().unwrap().contains(words),
            "{what}: {answer}"
        );
        let shown = wait_for_package_state(&platform, &app, "FAILED").await;
        let entity = &shown["entity"];
        assert_eq!(entity["staging_failed_reason"], "StagingError");
        assert!(
            entity["staging_failed_description"]
                .as_str()
                .unwrap()
                .contains(words),
            "{entity}"
        );
        assert_eq!(package_of(&platform, &app).await, before, "{what}");
    }
    // What runs on a good droplet keeps running.
    let mut dea = Dea::with_room(&platform).await;
    let path = format!("/v2/apps/{app}");
    platform
        .put(&path, json!({"state": "STARTED"}))
        .await
        .expect(201);
    dea.stage_well(&platform, b"droplet").await;
    wait_for_package_state(&platform, &app, "STAGED").await;
    upload(&platform, &app, b"nothing".to_vec().into())
        .await
        .expect(400);
    let after = platform.get(&path).await.expect(200);
    assert_eq!(after["entity"]["package_state"], "STAGED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_no_form_has_a_json_answer() {
    let platform = Platform::start().await;
    let app = platform.create_app("formless").await;
    let path = format!("/v2/apps/{app}/bits");
    send(&platform, reqwest::Method::PUT, &path, b"{}")
        .await
        .expect_error(400, 160_001, "CF-AppBitsUploadInvalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_answers_503_with_a_time_to_come_back_and_reads_go_on() {
    use sqlx::{ConnectOptions as _, Executor as _};
    let platform = Platform::start().await;
    let file = platform.dir.path().join("cc.db");
    let mut other = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(file)
        .connect()
        .await
        .unwrap();
    other.execute("BEGIN IMMEDIATE").await.unwrap();
    let body = json!({"name": "later"});
    let refused = platform.post("/v2/organizations", body.clone()).await;
    let text = refused.expect_error(503, 10_015, "CF-ServiceUnavailable");
    assert!(text.contains("try again"), "{text}");
    assert_eq!(refused.headers["retry-after"], "5");
    platform.get("/v2/organizations").await.expect(200);
    other.execute("ROLLBACK").await.unwrap();
    platform.post("/v2/organizations", body).await.expect(201);
}

/// Peak memory of this process, bytes.
fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    let kilobytes: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes * 1024
}

/// A zip of one stored file of zeros, made while it is sent.
fn zip_of_zeros(size: usize) -> reqwest::Body {
    struct Channel(tokio::sync::mpsc::Sender<Bytes>);
    impl std::io::Write for Channel {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let sent = self.0.blocking_send(Bytes::copy_from_slice(bytes));
            sent.map(|()| bytes.len()).map_err(std::io::Error::other)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    std::thread::spawn(move || {
        let mut zip = zip::ZipWriter::new_stream(std::io::BufWriter::with_capacity(
            MEGABYTE,
            Channel(sender),
        ));
        let options = zip::write::SimpleFileOptions::default()
            .compression_method(zip::CompressionMethod::Stored);
        zip.start_file("zeros", options).unwrap();
        let chunk = vec![0; MEGABYTE];
        for _ in 0..size / MEGABYTE {
            zip.write_all(&chunk).unwrap();
        }
        zip.finish().unwrap();
    });
    reqwest::Body::wrap_stream(stream::unfold(receiver, |mut receiver| async {
        let chunk = receiver.recv().await?;
        Some((Ok::<_, std::io::Error>(chunk), receiver))
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_of_hundreds_of_megabytes_do_not_grow_the_controller() {
    const SIZE: usize = 320 * MEGABYTE;
    const GROWTH: usize = 96 * MEGABYTE;
    let platform = Platform::start().await;
    let app = platform.create_app_with_bits("heavy").await;
    let small = package_of(&platform, &app).await;
    let before = peak_memory();
    let part = reqwest::multipart::Part::stream(zeros(SIZE)).file_name("cache.tgz");
    let form = reqwest::multipart::Form::new().part("upload[droplet]", part);
    let url = format!("{}/staging/buildpack_cache/{app}/upload", platform.base);
    let request = platform.client.post(url).multipart(form);
    read(request.basic_auth("staging", Some("staging-secret")))
        .await
        .expect(200);
    assert!(
        peak_memory() - before < GROWTH,
        "a cache: {} bytes more",
        peak_memory() - before
    );
    upload(&platform, &app, zip_of_zeros(SIZE))
        .await
        .expect(201);
    assert!(
        peak_memory() - before < GROWTH,
        "a package: {} bytes more",
        peak_memory() - before
    );
    assert_ne!(package_of(&platform, &app).await, small);
    assert!(peak_memory() > before / 2, "the measure itself works");
}

/// Runs the named test again in mounts of its own, where it may mount what the host must not see. False: that was done, or
/// cannot be done here; true: this is that process.
fn in_mounts_of_its_own(test: &str) -> bool {
    if std::env::var_os("BLOOMERY_OWN_MOUNTS").is_some() {
        return true;
    }
    let ci = std::env::var("CI").is_ok_and(|value| value == "true");
    if !std::fs::metadata("/proc/self")
        .is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
    {
        assert!(!ci, "this test mounts a small disk and needs root");
        eprintln!("skipped: needs root");
        return false;
    }
    let status = std::process::Command::new("unshare")
        .args(["--mount", "--propagation", "private"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("BLOOMERY_OWN_MOUNTS", "1")
        .status()
        .unwrap();
    assert!(status.success(), "{test} failed in its own mounts");
    false
}

/// A disk of a few megabytes at this directory; it goes with the mounts of this process.
fn small_disk(at: &Path, megabytes: usize) {
    std::fs::create_dir_all(at).unwrap();
    let status = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "none"])
        .arg(at)
        .status()
        .unwrap();
    assert!(status.success());
}

/// Every blob below has the content its name claims: none is half written.
fn assert_blobs_are_whole(directory: &Path) -> usize {
    let mut whole = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            whole += assert_blobs_are_whole(&path);
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let sha1 = sha1_hex(&std::fs::read(&path).unwrap());
        assert!(name.ends_with(&sha1), "{} is half written", path.display());
        whole += 1;
    }
    whole
}

fn noise(size: usize) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("noise", zip::write::SimpleFileOptions::default())
        .unwrap();
    let content: Vec<u8> = (0..size).map(|_| rand::random()).collect();
    zip.write_all(&content).unwrap();
    zip.finish().unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_blobstore_says_which_disk_and_keeps_the_package_of_before() {
    if !in_mounts_of_its_own("a_full_blobstore_says_which_disk_and_keeps_the_package_of_before") {
        return;
    }
    let mut disk = std::path::PathBuf::new();
    let platform = Platform::start_with(|config| {
        small_disk(&config.blobstore, 4);
        disk.clone_from(&config.blobstore);
    })
    .await;
    let app = platform.create_app_with_bits("full").await;
    let before = package_of(&platform, &app).await;
    let answer = upload(&platform, &app, noise(6 * MEGABYTE).into()).await;
    let text = answer.expect_error(500, 10_001, "CF-ServerError");
    assert!(
        text.contains(disk.to_str().unwrap()) && text.contains("Nothing was changed"),
        "{text}"
    );
    assert_eq!(package_of(&platform, &app).await, before);
    assert!(assert_blobs_are_whole(&disk.join("cc-packages")) >= 1);
    assert_blobs_are_whole(&disk.join("cc-resources"));
    let shown = platform.get(&format!("/v2/apps/{app}")).await.expect(200);
    assert_eq!(
        shown["entity"]["package_state"], "PENDING",
        "not the app's fault"
    );
    upload(&platform, &app, noise(MEGABYTE / 4).into())
        .await
        .expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_room_for_an_upload_in_flight_names_its_file() {
    if !in_mounts_of_its_own("no_room_for_an_upload_in_flight_names_its_file") {
        return;
    }
    let mut disk = std::path::PathBuf::new();
    let platform = Platform::start_with(|config| {
        disk = config.blobstore.with_file_name("in-flight");
        small_disk(&disk, 2);
        config.temp_dir = Some(disk.clone());
    })
    .await;
    let app = platform.create_app_with_bits("full").await;
    let text = upload(&platform, &app, noise(3 * MEGABYTE).into())
        .await
        .expect_error(500, 10_001, "CF-ServerError");
    assert!(text.contains(disk.to_str().unwrap()), "{text}");
    let left: Vec<_> = std::fs::read_dir(&disk).unwrap().collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_room_says_where_it_lies_and_recovers() {
    if !in_mounts_of_its_own("a_database_without_room_says_where_it_lies_and_recovers") {
        return;
    }
    let mut database = std::path::PathBuf::new();
    let platform = Platform::start_with(|config| {
        let disk = config.blobstore.with_file_name("database");
        small_disk(&disk, 8);
        database = disk.join("cc.db");
        config.database = database.clone().into();
    })
    .await;
    let filler = database.with_file_name("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
    drop(file);
    // The write-ahead log may have room of its own left: it is used up sooner or later.
    let refused = eventually("no room is left", async || {
        let name = format!("org-{}", rand::random::<u64>());
        let answer = platform
            .post("/v2/organizations", json!({"name": name}))
            .await;
        (!answer.status.is_success()).then_some((name, answer))
    })
    .await;
    let text = refused.1.expect_error(500, 10_011, "CF-DatabaseError");
    assert!(text.contains(database.to_str().unwrap()), "{text}");
    let lookup = format!("/v2/organizations?q=name:{}", refused.0);
    assert_eq!(platform.get(&lookup).await.expect(200)["total_results"], 0);
    std::fs::remove_file(&filler).unwrap();
    let made = platform
        .post("/v2/organizations", json!({"name": refused.0}))
        .await;
    assert_ne!(guid(&made.expect(201)), Value::Null.to_string());
}
