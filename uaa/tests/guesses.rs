//! Guesses: however many come at once, from wherever, no more are tested than are counted, and nobody else waits for them.
#![allow(clippy::unwrap_used)]

mod support;

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use support::{Server, own_id, user};

/// A login, its status, the description of a refusal and whether it says when to try again.
async fn attempt(server: &Server, from: &str, name: &str, password: &str) -> (u16, String, bool) {
    let form = [
        ("grant_type", "password"),
        ("username", name),
        ("password", password),
    ];
    let request = server.client.post(format!("{}/oauth/token", server.base));
    let request = request
        .basic_auth("cf", Some(""))
        .header("x-forwarded-for", from);
    let answer = request.form(&form).send().await.unwrap();
    let status = answer.status().as_u16();
    let says_when = answer.headers().contains_key("retry-after");
    let body: Value = answer.json().await.unwrap();
    let text = body["error_description"].as_str().unwrap_or_default();
    (status, text.to_owned(), says_when)
}

/// As many addresses as wanted.
fn address(n: usize) -> String {
    format!("10.{}.{}.1", n / 250, n % 250)
}

fn is_locked(answer: &(u16, String, bool)) -> bool {
    answer.0 == 401 && answer.1.contains("locked")
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_guesses_at_once_no_more_are_tested_than_the_lock_allows() {
    let server = Server::start().await;
    let guesses = (0..121).map(|n| {
        let server = &server;
        async move {
            let password = if n == 100 { "pw" } else { "guess" };
            attempt(server, &address(n), "admin", password).await
        }
    });
    let answers = join_all(guesses).await;
    let tested = answers
        .iter()
        .filter(|answer| answer.1 == "Bad credentials");
    let found = answers.iter().filter(|answer| answer.0 == 200).count();
    // The right one is among those that are tested or it is not; both are counted.
    assert!(tested.count() + found <= 5 + 5 * found, "{answers:?}");
    assert!(answers.iter().filter(|answer| is_locked(answer)).count() >= 121 - 10 - 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn right_passwords_at_once_are_no_attempts_in_a_row() {
    let server = Server::start().await;
    for _ in 0..4 {
        assert_eq!(attempt(&server, "10.0.0.1", "admin", "guess").await.0, 401);
    }
    let logins = (0..12).map(|n| {
        let server = &server;
        async move { attempt(server, &address(n), "Admin", "pw").await }
    });
    for answer in join_all(logins).await {
        assert_eq!(answer.0, 200, "{answer:?}");
    }
    for _ in 0..4 {
        assert_eq!(attempt(&server, "10.0.0.1", "admin", "guess").await.0, 401);
    }
    assert_eq!(attempt(&server, "10.0.0.2", "admin", "pw").await.0, 200);
}

#[tokio::test]
async fn a_name_that_nobody_has_is_locked_as_any_other_and_with_the_same_words() {
    let server = Server::start().await;
    let long = "x".repeat(5_000);
    let mut said = Vec::new();
    for (n, name) in ["admin", "nobody", "nu\0l", &long].into_iter().enumerate() {
        for _ in 0..5 {
            let answer = attempt(&server, &address(n), name, "guess").await;
            assert_eq!((answer.0, answer.1.as_str()), (401, "Bad credentials"));
        }
        let (status, text, _) = attempt(&server, &address(n), name, "guess").await;
        let digits = |c: char| c.is_ascii_digit();
        said.push((status, text.replace(digits, "")));
    }
    assert!(said[0].1.contains("locked"), "{said:?}");
    assert!(said.iter().all(|one| *one == said[0]), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_password_of_a_change_is_counted_as_a_login_is() {
    let server = Server::start().await;
    let login = server.log_in().await;
    let path = format!("/Users/{}/password", own_id(&server, &login).await);
    let guesses = (0..40).map(|n| {
        let body = json!({"password": "new", "oldPassword": format!("guess {n}")});
        server.call(&login, Method::PUT, &path, Some(body))
    });
    let answers = join_all(guesses).await;
    let tested = answers
        .iter()
        .filter(|(_, body)| body["error_description"] == "The old password is not correct");
    assert_eq!(tested.count(), 5);
    let right = json!({"password": "new", "oldPassword": "pw"});
    let (status, body) = server.call(&login, Method::PUT, &path, Some(right)).await;
    assert_eq!(status, 401, "{body}");
    assert!(is_locked(
        &attempt(&server, "10.0.0.9", "admin", "pw").await
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_secret_and_codes_are_counted_by_address() {
    let server = Server::start_with(|config| config.failed_logins_per_minute = 5).await;
    let guess = async |form: &[(&str, &str)], secret: String| {
        server
            .token(Some(("portal", &secret)), form)
            .await
            .0
            .as_u16()
    };
    let code = [
        ("grant_type", "authorization_code"),
        ("code", "guess"),
        ("redirect_uri", support::BACK),
    ];
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", "guess")];
    let guesses = (0..30).map(|n| match n % 3 {
        0 => guess(&code, "portal-secret".into()),
        1 => guess(&refresh, "portal-secret".into()),
        _ => guess(&refresh, format!("guess {n}")),
    });
    let answers = join_all(guesses).await;
    let tested = answers.iter().filter(|status| **status != 429).count();
    assert_eq!(tested, 5, "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_logins_is_refused_in_part_and_a_known_user_elsewhere_is_served() {
    let server = Server::start_with(|config| config.failed_logins_per_minute = 0).await;
    let flood = join_all((0..400).map(|n| {
        let (server, name) = (&server, format!("nobody{n}"));
        async move { attempt(server, "10.0.0.1", &name, "x").await }
    }));
    let known = async {
        let mut ahead = Vec::new();
        for _ in 0..3 {
            ahead.push(attempt(&server, "10.0.0.2", "admin", "pw").await.0);
        }
        ahead
    };
    let (answers, known) = tokio::join!(flood, known);
    assert_eq!(known, [200, 200, 200]);
    let refused: Vec<_> = answers.iter().filter(|answer| answer.0 == 429).collect();
    assert!(refused.len() >= 400 - 150, "{}", refused.len());
    assert!(
        refused.iter().all(|answer| answer.2),
        "all say when to try again"
    );
}

#[tokio::test]
async fn behind_a_named_router_each_client_counts_for_itself_and_nobody_else_is_believed() {
    let limit = |config: &mut uaa::Config| config.failed_logins_per_minute = 2;
    let server = Server::start_with(|config| {
        limit(config);
        config.trusted_forwarders = serde_json::from_value(json!(["192.0.2.0/24"])).unwrap();
    })
    .await;
    for chain in ["203.0.113.5, 192.0.2.7", "9.9.9.9, 203.0.113.5, 192.0.2.8"] {
        assert_eq!(attempt(&server, chain, "nobody", "x").await.0, 401);
    }
    assert_eq!(attempt(&server, "203.0.113.5", "admin", "pw").await.0, 429);
    assert_eq!(
        attempt(&server, "203.0.113.6, 192.0.2.7", "admin", "pw")
            .await
            .0,
        200
    );

    let server = Server::start_with(limit).await;
    for chain in ["203.0.113.5, 192.0.2.7", "203.0.113.6, 192.0.2.7"] {
        assert_eq!(attempt(&server, chain, "nobody", "x").await.0, 401);
    }
    assert_eq!(
        attempt(&server, "203.0.113.7, 192.0.2.7", "admin", "pw")
            .await
            .0,
        429
    );
}

#[tokio::test]
async fn a_filter_tells_a_plain_user_nothing_of_others() {
    let server = Server::start().await;
    let admin = server.log_in().await;
    for name in ["dora", "eve"] {
        let made = server
            .call(&admin, Method::POST, "/Users", Some(user(name)))
            .await;
        assert_eq!(made.0, 201);
    }
    let form = [
        ("grant_type", "password"),
        ("username", "dora"),
        ("password", "pw"),
    ];
    let dora = server.token(Some(("cf", "")), &form).await.1;
    let id = own_id(&server, &admin).await;
    let found = async |login: &Value, filter: &str| {
        let mut url = url::Url::parse("http://x/Users").unwrap();
        url.query_pairs_mut().append_pair("filter", filter);
        let path = format!("/Users?{}", url.query().unwrap());
        let (status, body) = server.call(login, Method::GET, &path, None).await;
        assert_eq!(status, 200, "{body}");
        let all = body["resources"].as_array().unwrap();
        assert_eq!(body["totalResults"], all.len());
        let name = |user: &Value| user["userName"].as_str().unwrap().to_owned();
        all.iter().map(name).collect::<Vec<_>>()
    };
    for filter in [
        "userName eq \"admin\"".to_owned(),
        "userName Eq \"EVE\"".to_owned(),
        format!("id eq \"{id}\""),
        "userName eq \"nobody\"".to_owned(),
    ] {
        assert_eq!(
            found(&dora, &filter).await,
            Vec::<String>::new(),
            "{filter}"
        );
        let both = format!("{filter} or userName eq \"dora\"");
        assert_eq!(found(&dora, &both).await, ["dora"], "{both}");
    }
    assert_eq!(found(&admin, "userName eq \"eve\"").await, ["eve"]);
}
