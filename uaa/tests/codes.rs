//! The page where users log in to a client, and what the client gets for it.
#![allow(clippy::unwrap_used)]

mod support;

use reqwest::StatusCode;
use support::{BACK, Server};

/// The page's address for what a client asks.
fn page(server: &Server, fields: &[(&str, &str)]) -> String {
    let base = format!("{}/oauth/authorize", server.base);
    url::Url::parse_with_params(&base, fields)
        .unwrap()
        .to_string()
}

const ASKED: [(&str, &str); 5] = [
    ("response_type", "code"),
    ("client_id", "portal"),
    ("redirect_uri", BACK),
    ("scope", ""),
    ("state", "a&b\"<"),
];

/// The secret of the form and the cookie that repeats it.
async fn open_page(server: &Server) -> (String, String) {
    let answer = server
        .client
        .get(page(server, &ASKED))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let headers = answer.headers().clone();
    for (name, word) in [
        ("content-security-policy", "default-src 'none'"),
        ("x-frame-options", "DENY"),
        ("cache-control", "no-store"),
    ] {
        assert!(headers[name].to_str().unwrap().contains(word), "{name}");
    }
    let cookie = headers["set-cookie"].to_str().unwrap().to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    let text = answer.text().await.unwrap();
    assert!(
        !text.contains("<script") && !text.contains("src=") && !text.contains("a&b\"<"),
        "{text}"
    );
    let secret = text.split("name=\"csrf\" value=\"").nth(1).unwrap();
    let secret = secret.split('"').next().unwrap().to_owned();
    (secret, cookie.split(';').next().unwrap().to_owned())
}

/// Sends the form; gives the status and where it leads.
async fn send(server: &Server, secret: &str, cookie: &str, password: &str) -> (StatusCode, String) {
    let mut form = ASKED.to_vec();
    form.extend([
        ("csrf", secret),
        ("username", "admin"),
        ("password", password),
    ]);
    let request = server
        .client
        .post(format!("{}/oauth/authorize", server.base));
    let answer = request
        .header("cookie", cookie)
        .form(&form)
        .send()
        .await
        .unwrap();
    let place = answer.headers().get("location");
    let place = place.map(|place| place.to_str().unwrap().to_owned());
    (answer.status(), place.unwrap_or_default())
}

async fn exchange(
    server: &Server,
    client: (&str, &str),
    code: &str,
    back: &str,
) -> (StatusCode, serde_json::Value) {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", back),
    ];
    server.token(Some(client), &form).await
}

async fn code(server: &Server) -> String {
    let (secret, cookie) = open_page(server).await;
    let (status, place) = send(server, &secret, &cookie, "pw").await;
    assert_eq!(status, 302);
    let place = url::Url::parse(&place).unwrap();
    let answers: std::collections::HashMap<_, _> = place.query_pairs().into_owned().collect();
    assert_eq!(
        (answers["from"].as_str(), answers["state"].as_str()),
        ("uaa", "a&b\"<")
    );
    answers["code"].clone()
}

const PORTAL: (&str, &str) = ("portal", "portal-secret");

#[tokio::test]
async fn a_user_logs_in_on_the_page_and_the_client_gets_tokens_for_the_code_once() {
    let server = Server::start().await;
    let code = code(&server).await;
    let (status, tokens) = exchange(&server, PORTAL, &code, BACK).await;
    assert_eq!(status, 200, "{tokens}");
    assert_eq!(
        tokens["scope"], "openid cloud_controller.read",
        "no more than the client may"
    );
    assert!(tokens["refresh_token"].is_string());
    let (status, again) = exchange(&server, PORTAL, &code, BACK).await;
    assert_eq!(
        (status.as_u16(), again["error"].as_str()),
        (400, Some("invalid_grant"))
    );
}

#[tokio::test]
async fn a_code_is_of_no_use_to_another_client_or_for_another_address() {
    let server = Server::start().await;
    for (client, back, status) in [
        (PORTAL, "http://portal.example.com/back", 400),
        (("robot", "robot-secret"), BACK, 400),
        (("portal", "guessed"), BACK, 401),
    ] {
        let code = code(&server).await;
        assert_eq!(
            exchange(&server, client, &code, back).await.0.as_u16(),
            status,
            "{client:?} {back}"
        );
    }
    assert_eq!(exchange(&server, PORTAL, "made-up", BACK).await.0, 400);
}

#[tokio::test]
async fn nobody_is_sent_to_an_address_that_is_not_registered_letter_by_letter() {
    let server = Server::start().await;
    let with = |name: &'static str, value: &'static str| {
        let mut asked = ASKED.to_vec();
        asked
            .iter_mut()
            .filter(|(known, _)| *known == name)
            .for_each(|pair| pair.1 = value);
        page(&server, &asked)
    };
    for address in [
        with("redirect_uri", "http://evil.example.com/back?from=uaa"),
        with(
            "redirect_uri",
            "http://portal.example.com/back?from=uaa&more=1",
        ),
        with("redirect_uri", "http://portal.example.com/back"),
        with(
            "redirect_uri",
            "http://portal.example.com@evil.example.com/back?from=uaa",
        ),
        with("redirect_uri", ""),
        with("client_id", "nobody"),
        with("client_id", "cf"),
    ] {
        let answer = server.client.get(&address).send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.headers().get("location")),
            (400, None),
            "{address}"
        );
    }
    let answer = server
        .client
        .get(with("response_type", "token"))
        .send()
        .await
        .unwrap();
    let place = answer.headers()["location"].to_str().unwrap().to_owned();
    assert!(
        place.starts_with(BACK) && place.contains("unsupported_response_type"),
        "{place}"
    );
}

#[tokio::test]
async fn a_form_from_another_page_or_with_a_wrong_password_gives_no_code() {
    let server = Server::start().await;
    let (secret, cookie) = open_page(&server).await;
    let (other, _) = open_page(&server).await;
    assert_eq!(
        send(&server, &secret, "", "pw").await,
        (StatusCode::FORBIDDEN, String::new())
    );
    assert_eq!(send(&server, &other, &cookie, "pw").await.0, 403);
    assert_eq!(send(&server, "", "uaa_login=", "pw").await.0, 403);
    assert_eq!(
        send(&server, &secret, &cookie, "wrong").await,
        (StatusCode::UNAUTHORIZED, String::new())
    );
}
