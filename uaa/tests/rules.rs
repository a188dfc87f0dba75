//! Keys, revocations, limits and groups.
#![allow(clippy::unwrap_used)]

mod support;

use reqwest::Method;
use serde_json::{Value, json};
use support::{Server, own_id, user};

async fn kids(server: &Server) -> Vec<String> {
    let url = format!("{}/token_keys", server.base);
    let keys: Value = server
        .client
        .get(url)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let keys = keys["keys"].as_array().unwrap();
    keys.iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_new_key_signs_and_tokens_of_the_old_one_stay_good() {
    let server = Server::start().await;
    let old = server.log_in().await;
    let before = kids(&server).await;
    let (status, made) = server.call(&old, Method::POST, "/token_keys", None).await;
    assert_eq!(status, 201);
    let after = kids(&server).await;
    assert_eq!(
        after,
        [vec![made["kid"].as_str().unwrap().to_owned()], before].concat()
    );
    let new = server.log_in().await;
    let kid = |login: &Value| {
        use base64::Engine as _;
        let head = login["access_token"]
            .as_str()
            .unwrap()
            .split('.')
            .next()
            .unwrap();
        let head = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(head)
            .unwrap();
        serde_json::from_slice::<Value>(&head).unwrap()["kid"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!((kid(&new), kid(&old)), (after[0].clone(), after[1].clone()));
    assert!(server.is_good(&old).await && server.is_good(&new).await);
    let robot = server
        .token(
            Some(("robot", "robot-secret")),
            &[("grant_type", "client_credentials")],
        )
        .await
        .1;
    assert_eq!(
        server
            .call(&robot, Method::POST, "/token_keys", None)
            .await
            .0,
        403
    );
}

#[tokio::test]
async fn a_key_that_another_server_made_is_known_as_soon_as_a_token_names_it() {
    let server = Server::start().await;
    let (config, _dir) = server.shut_down().await;
    let store = uaa::store::Store::open(&config).await.unwrap();
    let config = uaa::Config {
        rules_max_age_seconds: 0,
        ..config
    };
    let one = uaa::Uaa::open(store.clone(), &config).await.unwrap();
    let other = uaa::Uaa::open(store, &config).await.unwrap();
    let tokens = |uaa: &uaa::Uaa| {
        let router = uaa.router("http://uaa.example.com".into());
        async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap();
            let serving = tokio::spawn(async move { axum::serve(listener, router).await });
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let form = [
                ("grant_type", "password"),
                ("username", "admin"),
                ("password", "pw"),
            ];
            let request = client
                .post(format!("http://{addr}/oauth/token"))
                .basic_auth("cf", Some(""));
            let body: Value = request
                .form(&form)
                .send()
                .await
                .unwrap()
                .json()
                .await
                .unwrap();
            serving.abort();
            body["access_token"].as_str().unwrap().to_owned()
        }
    };
    one.rotate_key().await.unwrap();
    let token = tokens(&one).await;
    assert!(other.verifier().verify(&token).is_err(), "not known yet");
    other.refresh_rules(Some(&token)).await.unwrap();
    assert!(other.verifier().verify(&token).is_ok());
}

#[tokio::test]
async fn revoked_tokens_are_refused_at_once_and_a_new_login_is_good() {
    let server = Server::start().await;
    let (first, second) = (server.log_in().await, server.log_in().await);
    let id = own_id(&server, &first).await;
    let path = format!("/oauth/token/revoke/user/{id}");
    assert_eq!(
        server.call(&first, Method::DELETE, &path, None).await.0,
        200
    );
    for login in [&first, &second] {
        assert!(!server.is_good(login).await);
        assert_eq!(server.refresh(login).await.0, 401);
        let (status, body) = server.call(login, Method::GET, "/Users", None).await;
        assert_eq!(
            (status.as_u16(), body["error"].as_str()),
            (401, Some("invalid_token"))
        );
    }
    let login = server.log_in().await;
    assert!(server.is_good(&login).await);
    let gone = "/oauth/token/revoke/user/nobody";
    assert_eq!(server.call(&login, Method::DELETE, gone, None).await.0, 404);

    let robots = [("grant_type", "client_credentials")];
    let robot = server
        .token(Some(("robot", "robot-secret")), &robots)
        .await
        .1;
    assert_eq!(
        server.call(&robot, Method::DELETE, &path, None).await.0,
        403,
        "of others only with uaa.admin"
    );
    let path = "/oauth/token/revoke/client/robot";
    assert_eq!(server.call(&login, Method::DELETE, path, None).await.0, 200);
    assert!(!server.is_good(&robot).await && server.is_good(&login).await);
}

#[tokio::test]
async fn an_address_with_too_many_failures_has_to_wait_and_another_has_not() {
    let server = Server::start_with(|config| config.failed_logins_per_minute = 3).await;
    let attempt = async |from: &str, user: &str, password: &str| {
        let form = [
            ("grant_type", "password"),
            ("username", user),
            ("password", password),
        ];
        let request = server.client.post(format!("{}/oauth/token", server.base));
        let request = request
            .basic_auth("cf", Some(""))
            .header("x-forwarded-for", from);
        let answer = request.form(&form).send().await.unwrap();
        (
            answer.status().as_u16(),
            answer.headers().contains_key("retry-after"),
        )
    };
    for user in ["a", "b", "c"] {
        assert_eq!(attempt("10.0.0.1", user, "guess").await, (401, false));
    }
    assert_eq!(attempt("10.0.0.1", "admin", "pw").await, (429, true));
    assert_eq!(attempt("10.0.0.2", "admin", "pw").await, (200, false));
}

#[tokio::test]
async fn groups_are_made_filled_and_carried_by_tokens() {
    let server = Server::start().await;
    let admin = server.log_in().await;
    let (status, made) = server
        .call(&admin, Method::POST, "/Users", Some(user("dora")))
        .await;
    assert_eq!(status, 201, "{made}");
    let id = made["id"].as_str().unwrap();
    let group = json!({"displayName": "portal.read", "members": []});
    assert_eq!(
        server
            .call(&admin, Method::POST, "/Groups", Some(group.clone()))
            .await
            .0,
        201
    );
    assert_eq!(
        server
            .call(&admin, Method::POST, "/Groups", Some(group))
            .await
            .0,
        409
    );
    let bad = json!({"displayName": "two words"});
    assert_eq!(
        server
            .call(&admin, Method::POST, "/Groups", Some(bad))
            .await
            .0,
        400
    );
    let member = Some(json!({"value": id}));
    let path = "/Groups/portal.read/members";
    assert_eq!(server.call(&admin, Method::POST, path, member).await.0, 201);
    let filtered = "/Groups?filter=displayName%20eq%20%22Portal.Read%22";
    let (_, list) = server.call(&admin, Method::GET, filtered, None).await;
    assert_eq!(
        (
            &list["totalResults"],
            &list["resources"][0]["members"][0]["value"]
        ),
        (&json!(1), &json!(id))
    );
    let (_, shown) = server
        .call(&admin, Method::GET, &format!("/Users/{id}"), None)
        .await;
    assert!(
        shown["groups"].to_string().contains("portal.read"),
        "{shown}"
    );
    let group = "/Groups/portal.read".to_owned();
    for (method, path, status) in [
        (Method::DELETE, format!("{path}/{id}"), 200),
        (Method::DELETE, group.clone(), 200),
        (Method::GET, group, 404),
        (Method::DELETE, "/Groups/openid".to_owned(), 400),
    ] {
        let answer = server.call(&admin, method.clone(), &path, None).await;
        assert_eq!(answer.0, status, "{method} {path}");
    }

    let form = [
        ("grant_type", "password"),
        ("username", "dora"),
        ("password", "pw"),
    ];
    let dora = server.token(Some(("cf", "")), &form).await.1;
    for (method, path, body) in [
        (Method::GET, "/Groups", None),
        (Method::GET, "/Groups/openid", None),
        (Method::POST, "/Groups", Some(json!({"displayName": "x"}))),
        (Method::DELETE, "/Groups/x", None),
        (
            Method::POST,
            "/Groups/cloud_controller.admin/members",
            Some(json!({"value": id})),
        ),
        (Method::DELETE, "/Groups/openid/members/x", None),
    ] {
        assert_eq!(
            server.call(&dora, method.clone(), path, body).await.0,
            403,
            "{method} {path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_memberships_that_change_at_once_none_is_lost() {
    const GROUPS: usize = 24;
    let server = Server::start().await;
    let admin = server.log_in().await;
    let dora = user("dora");
    let (_, made) = server
        .call(&admin, Method::POST, "/Users", Some(dora))
        .await;
    let id = made["id"].as_str().unwrap().to_owned();
    for at in 0..GROUPS {
        let group = Some(json!({"displayName": format!("team{at}")}));
        let (status, _) = server.call(&admin, Method::POST, "/Groups", group).await;
        assert_eq!(status, 201);
    }
    let join = |at: usize| {
        let (server, admin, id) = (&server, &admin, &id);
        async move {
            let path = format!("/Groups/team{at}/members");
            let member = Some(json!({"value": id}));
            let (status, body) = server.call(admin, Method::POST, &path, member).await;
            assert_eq!(status, 201, "{body}");
        }
    };
    futures_util::future::join_all((0..GROUPS).map(join)).await;
    let groups = async || {
        let path = format!("/Users/{id}");
        let (_, shown) = server.call(&admin, Method::GET, &path, None).await;
        let all = shown["groups"].as_array().unwrap().clone();
        all.iter()
            .filter(|group| group["display"].as_str().unwrap().starts_with("team"))
            .count()
    };
    assert_eq!(groups().await, GROUPS);
    let leave = |at: usize| {
        let (server, admin, id) = (&server, &admin, &id);
        async move {
            let path = format!("/Groups/team{at}/members/{id}");
            assert_eq!(server.call(admin, Method::DELETE, &path, None).await.0, 200);
        }
    };
    futures_util::future::join_all((1..GROUPS).map(leave)).await;
    assert_eq!(groups().await, 1);
}

#[tokio::test]
async fn every_endpoint_that_is_listed_is_there() {
    let server = Server::start().await;
    for (method, path) in uaa::ENDPOINTS {
        let path = path.replace("{id}", "x").replace("{user}", "y");
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let url = format!("{}{path}", server.base);
        let answer = server
            .client
            .request(method.clone(), url)
            .send()
            .await
            .unwrap();
        assert!(
            !matches!(answer.status().as_u16(), 404 | 405),
            "{method} {path}: {}",
            answer.status()
        );
    }
}
