//! The page where users log in to a client, and what the client gets for it.
#![allow(clippy::unwrap_used)]

mod support;

use reqwest::StatusCode;
use support::{ASKED, BACK, Server, code, open_page, page, send, send_from};

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
    let (other, other_cookie) = open_page(&server).await;
    assert_eq!(
        send(&server, &secret, "", "pw").await,
        (StatusCode::FORBIDDEN, String::new())
    );
    assert_eq!(send(&server, &other, &cookie, "pw").await.0, 403);
    assert_eq!(send(&server, "", "uaa_login=", "pw").await.0, 403);
    // The cookie's own value, as the form repeated it once.
    let value = cookie.split_once('=').unwrap().1;
    assert_eq!(send(&server, value, &cookie, "pw").await.0, 403);
    // Two cookies: one of them may have been planted by a site beside ours.
    let both = format!("{cookie}; {other_cookie}");
    assert_eq!(send(&server, &secret, &both, "pw").await.0, 403);
    assert_eq!(
        send(&server, &secret, &cookie, "wrong").await,
        (StatusCode::UNAUTHORIZED, String::new())
    );
}

#[tokio::test]
async fn a_form_counts_when_browsers_say_that_it_comes_from_the_page() {
    let server = Server::start().await;
    let host = server.base.strip_prefix("http://").unwrap();
    let origin = format!("http://{host}");
    for (headers, status) in [
        (&[("sec-fetch-site", "same-origin")][..], 302),
        (&[("sec-fetch-site", "none")], 302),
        (&[("origin", origin.as_str())], 302),
        (&[], 302),
        (&[("sec-fetch-site", "same-site")], 403),
        (&[("sec-fetch-site", "cross-site")], 403),
        (&[("sec-fetch-site", "")], 403),
        (
            &[("sec-fetch-site", "same-site"), ("origin", origin.as_str())],
            403,
        ),
        (&[("origin", "null")], 403),
        (&[("origin", "http://evil.127.0.0.1.example.com")], 403),
        (&[("origin", "http://127.0.0.1:1")], 403),
    ] {
        let (secret, cookie) = open_page(&server).await;
        let sent = send_from(&server, headers, &ASKED, &secret, &cookie, "pw").await;
        assert_eq!(sent.0, status, "{headers:?}");
    }
}

#[tokio::test]
async fn a_mark_is_good_for_what_was_asked_for_only() {
    let server = Server::start().await;
    for (name, value) in [("state", "another"), ("scope", "openid")] {
        let (secret, cookie) = open_page(&server).await;
        let mut asked = ASKED;
        for pair in asked.iter_mut().filter(|(known, _)| *known == name) {
            pair.1 = value;
        }
        let sent = send_from(&server, &[], &asked, &secret, &cookie, "pw").await;
        assert_eq!(sent.0, 403, "{name}");
    }
}

#[tokio::test]
async fn over_https_the_cookie_is_one_that_only_this_host_can_set() {
    let server = Server::start().await;
    let https = [("x-forwarded-proto", "https")];
    let answer = server.client.get(page(&server, &ASKED));
    let answer = answer.header(https[0].0, https[0].1).send().await.unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("__Host-uaa_login="), "{cookie}");
    let attributes: Vec<&str> = cookie.split("; ").skip(1).collect();
    for needed in ["Secure", "Path=/", "HttpOnly", "SameSite=Strict"] {
        assert!(attributes.contains(&needed), "{cookie}");
    }
    let text = answer.text().await.unwrap();
    let secret = support::mark(&text);
    let cookie = cookie.split(';').next().unwrap();
    let sent = async |headers: &[(&str, &str)], cookie: &str| {
        send_from(&server, headers, &ASKED, &secret, cookie, "pw")
            .await
            .0
    };
    assert_eq!(sent(&https, cookie).await, 302);
    let planted = cookie.replace("__Host-", "");
    assert_eq!(
        sent(&https, &planted).await,
        403,
        "a sibling can set this one"
    );
}
