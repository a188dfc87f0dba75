//! Bounded by bytes before work: bodies, lists of files, uploads; and what a digest proves.

use crate::names::{Tenant, token_of};
use crate::support::dea::sha1_hex;
use crate::support::{Answer, Platform, guid, read, zip_of};
use bytes::Bytes;
use cloud_controller::limits::{
    JSON_BODY_BYTES, RESOURCE_LIST_BYTES, UPLOAD_PART_HEAD_BYTES, UPLOADS_OF_USER,
};
use futures_util::{StreamExt as _, stream};
use reqwest::{Body, Method};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Sends pieces without saying how many there are.
async fn send_pieces(
    platform: &Platform,
    token: &str,
    path: &str,
    pieces: impl Iterator<Item = Bytes> + Send + 'static,
) -> Answer {
    let body = Body::wrap_stream(stream::iter(pieces.map(Ok::<_, std::io::Error>)));
    let request = platform.client.put(format!("{}{path}", platform.base));
    read(request.bearer_auth(token).body(body)).await
}

/// What is answered to a head that announces so many bytes, of which none are sent.
async fn announce(platform: &Platform, path: &str, length: usize) -> String {
    let address = platform.base.trim_start_matches("http://");
    let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = format!(
        "PUT {path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: bearer {}\r\nContent-Length: {length}\r\n\r\n",
        platform.token
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_body_is_read_up_to_its_limit() {
    let platform = Platform::start().await;
    let path = format!("/v2/apps/{}", platform.create_app("web").await);
    let body = |length: usize| {
        let frame = r#"{"unknown":""}"#.len();
        Bytes::from(format!(r#"{{"unknown":"{}"}}"#, "x".repeat(length - frame)))
    };
    for (length, status) in [(JSON_BODY_BYTES, 201), (JSON_BODY_BYTES + 1, 413)] {
        let whole = body(length);
        let pieces: Vec<Bytes> = whole
            .chunks(64 * 1024)
            .map(Bytes::copy_from_slice)
            .collect();
        let answer = send_pieces(&platform, &platform.token, &path, pieces.into_iter()).await;
        let answer = answer.expect(status);
        assert!(status == 201 || answer["code"] == 1001, "{answer}");
    }
    let answer = announce(&platform, &path, JSON_BODY_BYTES * 100).await;
    assert!(
        answer.starts_with("HTTP/1.1 413 ") && answer.contains("1048576 bytes"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_files_is_refused_where_its_bytes_end() {
    let platform = Platform::start().await;
    let blanks = Bytes::from(vec![b' '; 1024 * 1024]);
    for (more, status) in [(0, 200), (1, 413)] {
        let begin = vec![b' '; more];
        let rest = blanks.slice(..blanks.len() - 2);
        let pieces = [Bytes::from_static(b"["), Bytes::from(begin), rest];
        let many = std::iter::repeat_n(blanks.clone(), RESOURCE_LIST_BYTES / blanks.len() - 1);
        let pieces = pieces
            .into_iter()
            .chain(many)
            .chain([Bytes::from_static(b"]")]);
        let answer = send_pieces(&platform, &platform.token, "/v2/resource_match", pieces).await;
        assert_eq!(
            answer.status.as_u16(),
            status,
            "{:?}",
            String::from_utf8_lossy(&answer.bytes)
        );
    }
    let answer = announce(&platform, "/v2/resource_match", RESOURCE_LIST_BYTES * 100).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

/// A line of `/proc/self/status` in KiB.
fn memory(line: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|found| found.starts_with(line))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

// The daemon runs in this process, and nothing else that takes memory: the lists are made while they are sent.
#[tokio::test(flavor = "multi_thread")]
async fn large_lists_take_little_memory_and_give_it_back() {
    const MIB: usize = 1024;
    let platform = Platform::start().await;
    let entry = format!(
        r#"{{"sha1":"{}","size":0,"fn":"{}","mode":"0644"}},"#,
        "a".repeat(40),
        "some/directory/".repeat(8)
    );
    let piece = Bytes::from(entry.repeat(1000));
    let list = move || {
        let many = std::iter::repeat_n(piece.clone(), 34 * 1024 * 1024 / piece.len());
        std::iter::once(Bytes::from_static(b"["))
            .chain(many)
            .chain([Bytes::from_static(b"{}]")])
    };
    let ask = || async {
        let answer = send_pieces(&platform, &platform.token, "/v2/resource_match", list()).await;
        assert_eq!(answer.expect(200), json!([]));
    };
    // What the first request sets up stays.
    ask().await;
    let before = memory("VmRSS:");
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    futures_util::future::join_all((0..8).map(|_| ask())).await;
    let (peak, after) = (memory("VmHWM:"), memory("VmRSS:"));
    assert!(
        peak < before + 64 * MIB,
        "{before} KiB before, {peak} at most"
    );
    assert!(
        after < before + 32 * MIB,
        "{before} KiB before, {after} after"
    );
}

async fn app_of(platform: &Platform, tenant: &Tenant, name: &str) -> String {
    let app = json!({"name": name, "space_guid": tenant.space, "memory": 64});
    let app = tenant.send(platform, Method::POST, "/v2/apps", app).await;
    guid(&app.expect(201))
}

/// Uploads as somebody.
async fn upload(
    platform: &Platform,
    token: &str,
    app: &str,
    resources: Value,
    zip: Option<Vec<u8>>,
) -> Answer {
    let mut form = reqwest::multipart::Form::new().text("resources", resources.to_string());
    if let Some(zip) = zip {
        let part = reqwest::multipart::Part::bytes(zip).file_name("application.zip");
        form = form.part("application", part);
    }
    let url = format!("{}/v2/apps/{app}/bits", platform.base);
    read(platform.client.put(url).bearer_auth(token).multipart(form)).await
}

fn entry(content: &str, path: &str) -> Value {
    json!({"sha1": sha1_hex(content.as_bytes()), "size": content.len(), "fn": path, "mode": "0644"})
}

async fn matched(platform: &Platform, token: &str, entries: Value) -> usize {
    let answer = platform
        .call_as(token, Method::PUT, "/v2/resource_match", Some(entries))
        .await;
    answer.expect(200).as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_proves_nothing() {
    let platform = Platform::start().await;
    let (alice, bob) = (
        Tenant::new(&platform, "alice").await,
        Tenant::new(&platform, "bob").await,
    );
    let secret = "the secret of bob";
    let of_bob = app_of(&platform, &bob, "app").await;
    let of_alice = app_of(&platform, &alice, "app").await;
    let zip = |content: &str| Some(zip_of(&[("a.txt", content, 0o100_644)]));
    upload(&platform, &bob.token, &of_bob, json!([]), zip(secret))
        .await
        .expect(201);
    let known = json!([entry(secret, "b.txt")]);
    let mut shorter = known.clone();
    shorter[0]["size"] = json!(3);
    assert_eq!(matched(&platform, &bob.token, known.clone()).await, 1);
    assert_eq!(matched(&platform, &bob.token, shorter.clone()).await, 0);
    assert_eq!(matched(&platform, &alice.token, known.clone()).await, 0);
    // Who may not use a file is answered as if it were not there.
    let refused = |answer: Answer| answer.expect_error(400, 160_001, "CF-AppBitsUploadInvalid");
    let foreign =
        refused(upload(&platform, &alice.token, &of_alice, known.clone(), zip("x")).await);
    let nothing = json!([entry("nobody sent this", "b.txt")]);
    let unknown = refused(upload(&platform, &alice.token, &of_alice, nothing, zip("x")).await);
    let without = |text: &str| {
        let words = text.split_whitespace().filter(|word| word.len() < 40);
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(without(&foreign), without(&unknown));
    refused(upload(&platform, &bob.token, &of_bob, shorter, zip("x")).await);
    // Whoever audits the space may not read the bits either; who develops in both may use them in both.
    platform
        .add_user("auditor", &bob.org, &[(&bob.space, "auditors")])
        .await;
    let auditor = token_of(&platform, "auditor").await;
    assert_eq!(matched(&platform, &auditor, known.clone()).await, 0);
    let both = [(bob.space.as_str(), "developers")];
    platform.add_user("both", &bob.org, &both).await;
    let username = json!({"username": "both"});
    platform
        .put(
            &format!("/v2/organizations/{}/users", alice.org),
            username.clone(),
        )
        .await
        .expect(201);
    platform
        .put(&format!("/v2/spaces/{}/developers", alice.space), username)
        .await
        .expect(201);
    let both = token_of(&platform, "both").await;
    assert_eq!(matched(&platform, &both, known.clone()).await, 1);
    upload(&platform, &both, &of_alice, known.clone(), None)
        .await
        .expect(201);
    // Now the space has it.
    assert_eq!(matched(&platform, &alice.token, known).await, 1);
    // Who has a file can send it, and then need not again.
    let own = json!([entry("sent by alice", "c.txt")]);
    assert_eq!(matched(&platform, &alice.token, own.clone()).await, 0);
    upload(
        &platform,
        &alice.token,
        &of_alice,
        json!([]),
        zip("sent by alice"),
    )
    .await
    .expect(201);
    assert_eq!(matched(&platform, &alice.token, own).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_list_names_is_counted_before_any_of_it_is_copied() {
    let limit = 1024 * 1024;
    let platform = Platform::start_with(|config| config.limits.max_package_bytes = limit).await;
    let app = platform.create_app("web").await;
    let content = "0123456789abcdef".repeat(16 * 1024);
    let zip = zip_of(&[("a", &content, 0o100_644)]);
    platform
        .upload_bits(&app, json!([]), Some(zip))
        .await
        .expect(201);
    let list = |count: usize| -> Value {
        (0..count)
            .map(|at| entry(&content, &format!("copy{at}")))
            .collect()
    };
    platform.upload_bits(&app, list(4), None).await.expect(201);
    // The content is not looked for when there is too much: nobody notices that it is gone.
    for file in crate::support::files::files_below(&platform.config.blobstore.join("cc-resources"))
    {
        std::fs::remove_file(file).unwrap();
    }
    for count in [5, 500] {
        let answer = platform.upload_bits(&app, list(count), None).await;
        let text = answer.expect_error(400, 150_001, "CF-AppPackageInvalid");
        assert!(text.contains("larger than 1048576 bytes"), "{text}");
    }
    let answer = platform.upload_bits(&app, list(4), None).await;
    answer.expect_error(400, 160_001, "CF-AppBitsUploadInvalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_digest_is_said_so_wherever_one_is_taken() {
    let platform = Platform::start().await;
    let app = platform.create_app_with_bits("web").await;
    let buildpack = platform.get("/v2/buildpacks").await.expect(200);
    let buildpack = crate::support::first_guid(&buildpack);
    let long = "x".repeat(5000);
    for digits in [
        long.as_str(),
        "a",
        "..%2f..%2fetc",
        &"g".repeat(40),
        &"a".repeat(41),
    ] {
        let list = json!([{"sha1": digits, "size": 5, "fn": "x", "mode": "0644"}]);
        let answer = platform.put("/v2/resource_match", list.clone()).await;
        answer.expect_error(400, 1001, "CF-MessageParseError");
        let answer = platform.upload_bits(&app, list, None).await;
        answer.expect_error(400, 160_001, "CF-AppBitsUploadInvalid");
        for path in [
            format!("/internal/v2/droplets/{app}/{digits}/download"),
            format!("/v2/buildpacks/{buildpack}/download?sha1={digits}"),
        ] {
            let request = platform.client.get(format!("{}{path}", platform.base));
            let answer = read(request.basic_auth("staging", Some("staging-secret"))).await;
            let text = answer.expect_error(400, 10_005, "CF-BadQueryParameter");
            assert!(text.contains("sha1") && text.len() < 400, "{text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_head_of_a_part_is_bounded() {
    let platform = Platform::start().await;
    let app = platform.create_app("web").await;
    let piece = Bytes::from(vec![b'x'; 64 * 1024]);
    let begin =
        Bytes::from_static(b"--b\r\nContent-Disposition: form-data; name=\"application\"; x=\"");
    let count = 100 * UPLOAD_PART_HEAD_BYTES as usize / piece.len();
    let pieces = std::iter::once(begin).chain(std::iter::repeat_n(piece, count));
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = sent.clone();
    let pieces = stream::iter(pieces).map(move |piece| {
        counter.fetch_add(piece.len(), std::sync::atomic::Ordering::SeqCst);
        Ok::<_, std::io::Error>(piece)
    });
    let url = format!("{}/v2/apps/{app}/bits", platform.base);
    let request = platform.client.put(url).bearer_auth(&platform.token);
    let request = request.header("content-type", "multipart/form-data; boundary=b");
    // The answer comes while the client is still sending; the connection may close before it is read.
    if let Ok(answer) = request.body(Body::wrap_stream(pieces)).send().await {
        assert_eq!(answer.status().as_u16(), 400);
    }
    let sent = sent.load(std::sync::atomic::Ordering::SeqCst);
    assert!(
        sent < 60 * UPLOAD_PART_HEAD_BYTES as usize,
        "{sent} bytes were taken"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_of_one_user_are_counted() {
    let platform = Platform::start().await;
    let tenant = Tenant::new(&platform, "alice").await;
    let app = app_of(&platform, &tenant, "web").await;
    let address = platform.base.trim_start_matches("http://").to_owned();
    let head = |token: &str, app: &str| {
        format!(
            "PUT /v2/apps/{app}/bits HTTP/1.1\r\nHost: x\r\nAuthorization: bearer {token}\r\nExpect: 100-continue\r\n\
             Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\n\r\n"
        )
    };
    let mut held = Vec::new();
    for _ in 0..UPLOADS_OF_USER {
        let mut socket = tokio::net::TcpStream::connect(&address).await.unwrap();
        socket
            .write_all(head(&tenant.token, &app).as_bytes())
            .await
            .unwrap();
        // It is asked for its body, so it counts.
        let mut answer = [0; 12];
        socket.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 100");
        held.push(socket);
    }
    let zip = || Some(zip_of(&[("a", "b", 0o100_644)]));
    let answer = upload(&platform, &tenant.token, &app, json!([]), zip()).await;
    assert!(answer.headers.contains_key("retry-after"));
    answer.expect_error(503, 10_015, "CF-ServiceUnavailable");
    // Others do not notice, and neither does the user once the others are over.
    let mine = platform.create_app("mine").await;
    platform
        .upload_bits(&mine, json!([]), zip())
        .await
        .expect(201);
    drop(held);
    crate::support::eventually("there is room again", async || {
        let answer = upload(&platform, &tenant.token, &app, json!([]), zip()).await;
        (answer.status == 201).then_some(())
    })
    .await;
}
