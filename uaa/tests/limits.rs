//! Bounds of the API at the bound and beyond.
#![allow(clippy::unwrap_used)]

mod support;

use reqwest::Method;
use serde_json::json;
use support::{Server, user};
use uaa::limits::{BODY_BYTES, GROUP_NAME_BYTES, NAME_BYTES};

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let server = Server::start().await;
    for (size, status) in [
        (BODY_BYTES, 400),
        (BODY_BYTES + 1, 413),
        (100 * BODY_BYTES, 413),
    ] {
        let request = server.client.post(format!("{}/oauth/token", server.base));
        let request = request
            .basic_auth("cf", Some(""))
            .header("content-type", "application/x-www-form-urlencoded");
        let mut body = b"grant_type=none&x=".to_vec();
        body.resize(size, b'x');
        // A server that has refused need not read the rest, which a client can see as a broken connection.
        let answer = request.body(body).send().await;
        let found = answer.map(|answer| answer.status().as_u16());
        assert!(
            found
                .as_ref()
                .map_or(size > BODY_BYTES, |found| *found == status),
            "{size}: {found:?}"
        );
    }
}

#[tokio::test]
async fn a_name_beyond_the_limit_is_refused() {
    let server = Server::start().await;
    let admin = server.log_in().await;
    for (name, status) in [
        ("x".repeat(NAME_BYTES), 201),
        ("x".repeat(NAME_BYTES + 1), 400),
        ("x".repeat(100 * NAME_BYTES), 400),
        ("a\0b".to_owned(), 400),
        ("a\u{1b}[31mb".to_owned(), 400),
        (" ".to_owned(), 400),
    ] {
        let made = server
            .call(&admin, Method::POST, "/Users", Some(user(&name)))
            .await;
        assert_eq!(made.0, status, "{name:.20?}");
    }
}

#[tokio::test]
async fn a_group_beyond_the_limit_is_refused() {
    let server = Server::start().await;
    let admin = server.log_in().await;
    for (length, status) in [
        (GROUP_NAME_BYTES, 201),
        (GROUP_NAME_BYTES + 1, 400),
        (100 * GROUP_NAME_BYTES, 400),
    ] {
        let group = json!({"displayName": "g".repeat(length)});
        let made = server
            .call(&admin, Method::POST, "/Groups", Some(group))
            .await;
        assert_eq!(made.0, status, "{length}");
    }
}
