//! Who may read an app's logs, in both protocols, and what everybody else is told.

use crate::support::{Platform, eventually, guid, read};
use serde_json::json;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

/// The addresses of an app's logs: two to follow, two to read what was.
fn addresses(app: &str) -> ([String; 2], [String; 2]) {
    (
        [format!("/apps/{app}/stream"), format!("/tail/?app={app}")],
        [
            format!("/apps/{app}/recentlogs"),
            format!("/recent?app={app}"),
        ],
    )
}

/// The status with which following is answered: 101, or that of the refusal with its text.
async fn follow(platform: &Platform, path: &str, token: Option<&str>) -> (u16, String) {
    let url = format!("{}{path}", platform.base.replace("http", "ws"));
    let mut request = url.into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("origin", "http://localhost".parse().unwrap());
    if let Some(token) = token {
        headers.insert("authorization", token.parse().unwrap());
    }
    match connect_async(request).await {
        Ok((_, answer)) => (answer.status().as_u16(), String::new()),
        Err(Error::Http(answer)) => {
            let text = answer.body().clone().unwrap_or_default();
            (
                answer.status().as_u16(),
                String::from_utf8_lossy(&text).into_owned(),
            )
        }
        Err(other) => panic!("{path}: {other}"),
    }
}

async fn recent(platform: &Platform, path: &str, token: Option<&str>) -> (u16, String) {
    let mut request = platform.client.get(format!("{}{path}", platform.base));
    if let Some(token) = token {
        request = request.header("authorization", token);
    }
    let answer = read(request).await;
    (
        answer.status.as_u16(),
        String::from_utf8_lossy(&answer.bytes).into_owned(),
    )
}

/// Asserts what all four addresses answer: 101 and 200, or 401 with a text for people.
async fn all(platform: &Platform, app: &str, token: Option<&str>, may: bool, who: &str) {
    let (follows, recents) = addresses(app);
    for path in follows {
        let (status, text) = follow(platform, &path, token).await;
        assert_eq!(status, if may { 101 } else { 401 }, "{who}: {path}");
        assert!(may || text.contains("not authorized"), "{who}: {text}");
    }
    for path in recents {
        let (status, text) = recent(platform, &path, token).await;
        assert_eq!(status, if may { 200 } else { 401 }, "{who}: {path}");
        assert!(may || text.contains("not authorized"), "{who}: {text}");
    }
}

async fn token_of(platform: &Platform, user: &str) -> String {
    let form = [
        ("grant_type", "password"),
        ("username", user),
        ("password", "pw"),
        ("scope", ""),
    ];
    let body = platform.token_request(&form).await.expect(200);
    format!("bearer {}", body["access_token"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_read_the_app_may_read_its_logs_and_nobody_else() {
    let platform = Platform::start().await;
    let (org, space) = platform.target().await;
    let app = platform.create_app("talkative").await;
    for (name, role) in [
        ("dee", "developers"),
        ("mia", "managers"),
        ("aud", "auditors"),
    ] {
        platform.add_user(name, &org, &[(&space, role)]).await;
        let token = token_of(&platform, name).await;
        all(&platform, &app, Some(&token), true, name).await;
    }
    platform.add_user("member", &org, &[]).await;
    let member = token_of(&platform, "member").await;
    all(
        &platform,
        &app,
        Some(&member),
        false,
        "of the organization only",
    )
    .await;
    let abroad = platform
        .post("/v2/organizations", json!({"name": "abroad"}))
        .await;
    platform
        .add_user("foreigner", &guid(&abroad.expect(201)), &[])
        .await;
    let foreigner = token_of(&platform, "foreigner").await;
    all(
        &platform,
        &app,
        Some(&foreigner),
        false,
        "of another organization",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_a_bad_token_and_an_unknown_app_are_401_with_a_text() {
    let platform = Platform::start().await;
    let app = platform.create_app("talkative").await;
    let good = format!("bearer {}", platform.token);
    all(&platform, &app, Some(&good), true, "administrator").await;
    all(
        &platform,
        &app,
        Some(&good.replace("bearer", "BEARER")),
        true,
        "capitals",
    )
    .await;
    all(&platform, &app, None, false, "nobody").await;
    let (body, _) = good.rsplit_once('.').unwrap();
    all(
        &platform,
        &app,
        Some(&format!("{body}.AAAA")),
        false,
        "forged",
    )
    .await;
    all(&platform, &app, Some(&platform.token), false, "no scheme").await;
    all(&platform, "no-such-app", Some(&good), false, "unknown app").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_addresses_need_an_app_and_a_deleted_app_has_no_logs() {
    let platform = Platform::start().await;
    let token = format!("bearer {}", platform.token);
    let (status, _) = recent(&platform, "/recent", Some(&token)).await;
    assert_eq!(status, 400, "no app was named");
    let app = platform.create_app("short-lived").await;
    platform
        .delete(&format!("/v2/apps/{app}"))
        .await
        .expect(204);
    all(&platform, &app, Some(&token), false, "deleted").await;
}

/// What a log server of its own is told: about somebody who comes, or about a stream that is open.
async fn access(platform: &Platform, app: &str, token: &str, server: Option<&str>) -> u16 {
    let url = format!("{}/internal/log_access/{app}", platform.base);
    let mut request = platform.client.get(url).header("authorization", token);
    if let Some(password) = server {
        let auth = component::BasicAuth {
            user: platform.config.internal_auth.user.clone(),
            password: password.to_owned(),
        };
        request = request.header("proxy-authorization", auth.header());
    }
    read(request).await.status.as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_outlives_its_token_and_not_its_revocation() {
    let mut platform = Platform::start().await;
    let secret = platform.config.internal_auth.password.clone();
    let (org, space) = platform.target().await;
    let app = platform.create_app("talkative").await;
    let roles = [(space.as_str(), "developers")];
    let user = platform.add_user("dee", &org, &roles).await;
    // The administrator's token is of before.
    platform.config.uaa.access_token_seconds = 1;
    platform.restart().await;
    let token = token_of(&platform, "dee").await;
    eventually("the token expires", async || {
        (access(&platform, &app, &token, None).await == 401).then_some(())
    })
    .await;
    let open = async |token: &str| access(&platform, &app, token, Some(&secret)).await;
    assert_eq!(open(&token).await, 200, "only expired");
    assert_eq!(access(&platform, &app, &token, Some("guess")).await, 401);

    // Only uploads take such a token, and not whatever has a name like theirs.
    let put = reqwest::Method::PUT;
    let bare = token.strip_prefix("bearer ").unwrap();
    let upload = format!("/v2/apps/{app}/bits");
    let answer = platform.call_as(bare, put, &upload, None).await;
    assert_ne!(
        answer.status.as_u16(),
        401,
        "an upload that outlives its token"
    );
    for path in [
        "/v2/apps/bits",
        "/v2/spaces/bits",
        "/v2/config/feature_flags/bits",
        &upload,
    ] {
        let answer = platform
            .call_as(bare, reqwest::Method::GET, path, None)
            .await;
        let status = answer.status.as_u16();
        assert!(
            status == 401 || path == upload && status == 404,
            "{path}: {status}"
        );
    }

    let path = format!("/v2/spaces/{space}/developers/{user}");
    platform.delete(&path).await.expect(201);
    assert_eq!(open(&token).await, 404, "the role is gone");
    platform.put(&path, json!({})).await.expect(201);
    assert_eq!(open(&token).await, 200);
    let path = format!("/oauth/token/revoke/user/{user}");
    assert!(platform.delete(&path).await.status.is_success());
    assert_eq!(open(&token).await, 401, "it was revoked");
}
