//! Files of an instance: asked of the DEA's file server, answered by the controller, refusals in the shape that clients read.

use crate::running::running_app;
use crate::support::dea::{DEA, Dea};
use crate::support::{Answer, Platform};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use bus::Subscription;
use cloud_controller::limits::FILE_BYTES;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What a hand-played DEA answers for a path: status and body.
type Played = (StatusCode, &'static str);

/// Plays the DEA's file server with one answer for everything; gives the address it signs, and how often it was asked.
async fn serving(played: axum::response::Response) -> (String, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!(
        "http://{}/instance_paths/i?hmac=x&path=%2Flogs",
        listener.local_addr().unwrap()
    );
    let (asked, played) = (Arc::new(AtomicUsize::new(0)), Mutex::new(Some(played)));
    let (counter, played) = (asked.clone(), Arc::new(played));
    let handler = axum::routing::any(move || async move {
        counter.fetch_add(1, Ordering::SeqCst);
        played.lock().unwrap().take().unwrap()
    });
    let served = axum::Router::new().fallback(handler);
    tokio::spawn(async move { axum::serve(listener, served).await });
    (uri, asked)
}

/// Answers every `dea.status` as these DEAs at these addresses.
async fn announce(platform: &Platform, deas: &[(&str, &str)]) {
    let mut asked: Subscription<Value> = platform.bus.subscribe_to("dea.status").await.unwrap();
    platform.bus.flush().await.unwrap();
    let bus = platform.bus.clone();
    let answers: Vec<Value> = deas
        .iter()
        .map(|(id, ip)| {
            json!({"id": id, "ip": ip, "version": "1", "max_memory": 1, "reserved_memory": 0, "used_memory": 0})
        })
        .collect();
    tokio::spawn(async move {
        loop {
            let delivery = asked.next().await;
            let inbox = delivery.reply.unwrap();
            for answer in &answers {
                bus.publish_to(&inbox, answer).await.unwrap();
            }
        }
    });
}

/// Asks for `path` while a DEA that knows the instance is played; gives the answer and what the DEA was asked.
async fn ask(
    platform: &Platform,
    (app, version): &(String, String),
    path: &str,
    played: Played,
) -> (Answer, Value) {
    let (uri, _) = serving(played.into_response()).await;
    answering(platform, &(app.clone(), version.clone()), path, uri).await
}

/// Asks for `path` while a DEA that knows the instance answers with this address.
async fn answering(
    platform: &Platform,
    (app, version): &(String, String),
    path: &str,
    uri: String,
) -> (Answer, Value) {
    let mut asked: Subscription<Value> =
        platform.bus.subscribe_to("dea.find.droplet").await.unwrap();
    platform.bus.flush().await.unwrap();
    let bus = platform.bus.clone();
    let answer = json!({"dea": DEA, "droplet": app, "version": version, "instance": "i", "index": 0, "state": "RUNNING",
                        "state_timestamp": 1.5, "file_uri_v2": uri});
    let question = tokio::spawn(async move {
        let delivery = asked.next().await;
        bus.publish_to(&delivery.reply.unwrap(), &answer)
            .await
            .unwrap();
        delivery.body
    });
    let path = format!("/v2/apps/{app}/instances/0/files/{path}");
    let answer = platform.get(&path).await;
    (answer, question.await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_fetched_from_the_dea_and_answered_here() {
    let platform = Platform::start().await;
    let mut dea = Dea::with_room(&platform).await;
    let app = running_app(&platform, &mut dea, "filed").await;
    announce(&platform, &[(DEA, "127.0.0.1")]).await;
    let (listing, question) =
        ask(&platform, &app, "logs", (StatusCode::OK, "stdout.log  5B")).await;
    assert_eq!(
        (listing.status.as_u16(), listing.bytes.as_slice()),
        (200, &b"stdout.log  5B"[..])
    );
    assert_eq!(listing.headers["content-type"], "text/plain");
    assert_eq!(
        (&question["path"], &question["indices"]),
        (&json!("/logs"), &json!([0]))
    );
    let beyond = platform
        .get(&format!("/v2/apps/{}/instances/7/files/logs", app.0))
        .await;
    beyond.expect_error(400, 190001, "CF-FileError");
}

// Every client shows `code` and `description` of a refusal; a body of another shape is shown as "error code: 0, message: ".
#[tokio::test(flavor = "multi_thread")]
async fn what_the_file_server_refuses_is_said_in_the_shape_that_clients_read() {
    let platform = Platform::start().await;
    let mut dea = Dea::with_room(&platform).await;
    let app = running_app(&platform, &mut dea, "filed").await;
    announce(&platform, &[(DEA, "127.0.0.1")]).await;
    let missing = (StatusCode::NOT_FOUND, "{\"error\":\"Entity not found\"}");
    let (answer, _) = ask(&platform, &app, "app/nope", missing).await;
    assert_eq!(
        answer.expect_error(404, 10010, "CF-ResourceNotFound"),
        "/app/nope of instance 0 of app filed: Entity not found"
    );
    let gone = (
        StatusCode::SERVICE_UNAVAILABLE,
        "<html>not our words</html>",
    );
    let (answer, _) = ask(&platform, &app, "app", gone).await;
    let text = answer.expect_error(400, 190001, "CF-FileError");
    assert!(
        text.contains("file server answers 503") && !text.contains("<html>"),
        "{text}"
    );
}

// A DEA that was taken over must not send the controller anywhere.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_not_the_deas_own_is_not_fetched() {
    let platform = Platform::start().await;
    let mut dea = Dea::with_room(&platform).await;
    let app = running_app(&platform, &mut dea, "filed").await;
    announce(&platform, &[(DEA, "127.0.0.2"), ("1-other", "127.0.0.1")]).await;
    let (uri, asked) = serving("content".into_response()).await;
    let named = uri.replace("127.0.0.1", "localhost");
    let (api, inside) = (
        format!("{}/v2/info", platform.base),
        uri.replace("instance_paths", "v2"),
    );
    for uri in [
        &uri,
        &named,
        &api,
        &inside,
        &"http://169.254.169.254/instance_paths/i".to_owned(),
    ] {
        let (answer, _) = answering(&platform, &app, "logs", uri.clone()).await;
        let text = answer.expect_error(502, 190_001, "CF-FileError");
        assert!(
            text.contains("not its own") && !text.contains("hmac"),
            "{text}"
        );
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dea_that_announced_no_address_is_not_asked_for_files() {
    let platform = Platform::start().await;
    let mut dea = Dea::with_room(&platform).await;
    let app = running_app(&platform, &mut dea, "filed").await;
    let (uri, asked) = serving("content".into_response()).await;
    let (answer, _) = answering(&platform, &app, "logs", uri.clone()).await;
    answer.expect_error(502, 190_001, "CF-FileError");
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    // It is asked again each time: one that comes late is believed.
    announce(&platform, &[(DEA, "127.0.0.1")]).await;
    let (answer, _) = answering(&platform, &app, "logs", uri).await;
    assert_eq!(
        (answer.status.as_u16(), answer.bytes.as_slice()),
        (200, &b"content"[..])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_file_server_answers_leads_nowhere_else_and_is_bounded() {
    let platform = Platform::start().await;
    let mut dea = Dea::with_room(&platform).await;
    let app = running_app(&platform, &mut dea, "filed").await;
    announce(&platform, &[(DEA, "127.0.0.1")]).await;
    let (elsewhere, asked) = serving("secret".into_response()).await;
    let location = [(header::LOCATION, elsewhere)];
    let (uri, _) = serving((StatusCode::FOUND, location).into_response()).await;
    let (answer, _) = answering(&platform, &app, "logs", uri).await;
    let text = answer.expect_error(400, 190_001, "CF-FileError");
    assert!(text.contains("302"), "{text}");
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    let length = [(header::CONTENT_LENGTH, (FILE_BYTES + 1).to_string())];
    let endless = axum::body::Body::from_stream(futures_util::stream::pending::<
        Result<bytes::Bytes, std::io::Error>,
    >());
    let (uri, _) = serving((length, endless).into_response()).await;
    let (answer, _) = answering(&platform, &app, "logs", uri).await;
    let text = answer.expect_error(400, 190_001, "CF-FileError");
    assert!(text.contains("larger than"), "{text}");
}
