//! The token server alone, over HTTP.
#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::Server;

#[tokio::test]
async fn a_login_gives_the_claims_clients_read() {
    let server = Server::start().await;
    let body = server.log_in().await;
    assert_eq!(
        (body["token_type"].as_str(), body["expires_in"].as_i64()),
        (Some("bearer"), Some(599))
    );
    let form = [("token", body["access_token"].as_str().unwrap())];
    let checked = server
        .client
        .post(format!("{}/check_token", server.base))
        .basic_auth("cf", Some(""))
        .form(&form)
        .send()
        .await
        .unwrap();
    let claims: Value = checked.json().await.unwrap();
    assert_eq!(
        (claims["user_name"].as_str(), claims["grant_type"].as_str()),
        (Some("admin"), Some("password"))
    );
    assert_eq!(claims["sub"], claims["user_id"]);
    assert_eq!(claims["iss"], json!(format!("{}/oauth/token", server.base)));
    assert!(
        claims["aud"]
            .as_array()
            .unwrap()
            .contains(&json!("cloud_controller"))
    );
    assert!(
        claims["scope"]
            .as_array()
            .unwrap()
            .contains(&json!("cloud_controller.admin"))
    );
}

#[tokio::test]
async fn a_refresh_token_stays_good_for_whoever_lost_the_answer_or_shares_it() {
    let server = Server::start().await;
    let first = server.log_in().await;
    for _ in 0..3 {
        let (status, next) = server.refresh(&first).await;
        assert_eq!(status, 200);
        assert_eq!(first["refresh_token"], next["refresh_token"]);
        assert_ne!(first["access_token"], next["access_token"]);
        assert!(server.is_good(&next).await && server.is_good(&first).await);
    }
    let (status, body) = server.refresh(&json!({"refresh_token": "made-up"})).await;
    assert_eq!(
        (status.as_u16(), body["error"].as_str()),
        (401, Some("invalid_token"))
    );
}

#[tokio::test]
async fn a_changed_password_ends_every_login() {
    let server = Server::start().await;
    let login = server.log_in().await;
    let bearer = format!("bearer {}", login["access_token"].as_str().unwrap());
    let listed = server.client.get(format!(
        "{}/Users?attributes=id,userName&filter=userName%20Eq%20%22ADMIN%22",
        server.base
    ));
    let listed: Value = listed
        .header("authorization", &bearer)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let id = listed["resources"][0]["id"].as_str().unwrap();
    let change = |old: &str| {
        let body = json!({"password": "new", "oldPassword": old});
        server
            .client
            .put(format!("{}/Users/{id}/password", server.base))
            .header("authorization", &bearer)
            .json(&body)
            .send()
    };
    assert_eq!(change("wrong").await.unwrap().status(), 401);
    assert_eq!(change("pw").await.unwrap().status(), 200);
    assert_eq!(server.refresh(&login).await.0, 401);
}

#[tokio::test]
async fn a_client_gets_a_token_of_its_own_and_no_refresh_token() {
    let server = Server::start().await;
    let form = [("grant_type", "client_credentials")];
    let (status, body) = server.token(Some(("robot", "robot-secret")), &form).await;
    assert_eq!(
        (status.as_u16(), body["scope"].as_str()),
        (200, Some("cloud_controller.read"))
    );
    assert!(body.get("refresh_token").is_none());
    assert_eq!(server.token(Some(("robot", "wrong")), &form).await.0, 401);
    assert_eq!(
        server.token(Some(("cf", "")), &form).await.0,
        401,
        "cf has no authorities of its own"
    );
    assert_eq!(
        server
            .token(Some(("cf", "")), &[("grant_type", "implicit")])
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn tokens_outlive_the_process_that_signed_them() {
    let server = Server::start().await;
    let token = server.log_in().await["access_token"]
        .as_str()
        .unwrap()
        .to_owned();
    let (config, _dir) = server.shut_down().await;
    let store = uaa::store::Store::open(&config).await.unwrap();
    let again = uaa::Uaa::open(store, &config).await.unwrap();
    assert_eq!(
        again
            .verifier()
            .verify(&token)
            .unwrap()
            .user_name
            .as_deref(),
        Some("admin")
    );
}
