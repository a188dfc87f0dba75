//! Files of an instance: asked of the DEA's file server, answered by the controller, refusals in the shape that clients read.

use crate::running::running_app;
use crate::support::dea::{DEA, Dea};
use crate::support::{Answer, Platform};
use axum::http::StatusCode;
use bus::Subscription;
use serde_json::{Value, json};

/// What a hand-played DEA answers for a path: status and body.
type Played = (StatusCode, &'static str);

/// Plays the DEA's file server with one answer for everything; gives the address it signs.
async fn file_server(played: Played) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!(
        "http://{}/instance_paths/i?hmac=x&path=%2Flogs",
        listener.local_addr().unwrap()
    );
    let handler = axum::routing::get(move || async move { played });
    let served = axum::Router::new().route("/instance_paths/{id}", handler);
    tokio::spawn(async move { axum::serve(listener, served).await });
    uri
}

/// Asks for `path` while a DEA that knows the instance is played; gives the answer and what the DEA was asked.
async fn ask(
    platform: &Platform,
    (app, version): &(String, String),
    path: &str,
    played: Played,
) -> (Answer, Value) {
    let uri = file_server(played).await;
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
