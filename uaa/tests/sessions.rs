//! Sessions and what ends them: whatever happens at the same time, no token of before outlives it.
#![allow(clippy::unwrap_used)]

mod support;

use futures_util::future::{join, join_all};
use reqwest::Method;
use serde_json::{Value, json};
use support::{Server, own_id, user};

const NAMED: [(&str, &str); 2] = [("grant_type", "password"), ("username", "dora")];

async fn log_in(server: &Server, password: &str) -> Option<Value> {
    let form = [NAMED[0], NAMED[1], ("password", password)];
    let (status, body) = server.token(Some(("cf", "")), &form).await;
    (status == 200).then_some(body)
}

/// A server with the user `dora`, the administrator's login and dora's id.
async fn with_dora() -> (Server, Value, String) {
    let server = Server::start_with(|config| config.failed_logins_per_minute = 0).await;
    let admin = server.log_in().await;
    let made = server.call(&admin, Method::POST, "/Users", Some(user("dora")));
    let id = made.await.1["id"].as_str().unwrap().to_owned();
    (server, admin, id)
}

/// That none of these logins is good for anything.
async fn are_over(server: &Server, logins: &[Value], when: &str) {
    for login in logins {
        assert!(!server.is_good(login).await, "an access token {when}");
        assert_ne!(server.refresh(login).await.0, 200, "a refresh token {when}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_while_the_password_changes_or_the_user_is_deleted_end_with_it() {
    // Fewer at a time than lock the account: those that come too late are wrong guesses.
    let at_once = uaa::limits::ACCOUNT_ATTEMPTS - 1;
    for deletes in [false, true].repeat(4) {
        let (server, admin, id) = with_dora().await;
        let logins = join_all((0..at_once).map(|_| log_in(&server, "pw")));
        let change = async {
            let path = format!("/Users/{id}");
            if deletes {
                return server.call(&admin, Method::DELETE, &path, None).await;
            }
            let body = Some(json!({"password": "new"}));
            let path = format!("{path}/password");
            server.call(&admin, Method::PUT, &path, body).await
        };
        let (logins, (status, body)) = join(logins, change).await;
        assert_eq!(status, 200, "{body}");
        let got: Vec<Value> = logins.into_iter().flatten().collect();
        are_over(&server, &got, "of before the change").await;
        assert_eq!(log_in(&server, "new").await.is_some(), !deletes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refreshes_while_a_user_is_revoked_leave_nothing() {
    let (server, admin, id) = with_dora().await;
    let login = log_in(&server, "pw").await.unwrap();
    let refreshes = join_all((0..24).map(|_| server.refresh(&login)));
    let path = format!("/oauth/token/revoke/user/{id}");
    let revoke = server.call(&admin, Method::DELETE, &path, None);
    let (refreshed, revoked) = join(refreshes, revoke).await;
    assert_eq!(revoked.0, 200);
    let got = refreshed.into_iter().filter(|(status, _)| *status == 200);
    let got: Vec<Value> = got.map(|(_, body)| body).collect();
    are_over(&server, &got, "of a refresh").await;
    are_over(&server, &[login], "of the login").await;
    assert!(log_in(&server, "pw").await.is_some());
}

/// Claims of an access token, whether it is good or not.
fn scopes(login: &Value) -> Vec<String> {
    let text = login["scope"].as_str().unwrap();
    text.split(' ').map(str::to_owned).collect()
}

#[tokio::test]
async fn who_is_no_administrator_any_more_loses_the_scope_at_once_and_keeps_the_session() {
    let (server, admin, id) = with_dora().await;
    let members = "/Groups/cloud_controller.admin/members";
    let join = || server.call(&admin, Method::POST, members, Some(json!({"value": id})));
    let before = log_in(&server, "pw").await.unwrap();
    assert_eq!(join().await.0, 201);
    let (status, refreshed) = server.refresh(&before).await;
    assert_eq!(status, 200);
    assert!(
        !scopes(&refreshed).contains(&"cloud_controller.admin".into()),
        "a session gets no more than it began with"
    );
    let as_admin = log_in(&server, "pw").await.unwrap();
    assert!(scopes(&as_admin).contains(&"cloud_controller.admin".into()));
    let path = format!("{members}/{id}");
    assert_eq!(
        server.call(&admin, Method::DELETE, &path, None).await.0,
        200
    );
    assert!(!server.is_good(&as_admin).await);
    let (status, narrower) = server.refresh(&as_admin).await;
    assert_eq!(status, 200, "{narrower}");
    assert!(!scopes(&narrower).contains(&"cloud_controller.admin".into()));
    assert!(server.is_good(&narrower).await && server.is_good(&admin).await);
    // Taken out where one is not changes nothing.
    assert_eq!(
        server.call(&admin, Method::DELETE, &path, None).await.0,
        200
    );
    assert!(server.is_good(&narrower).await);
}

#[tokio::test]
async fn no_grant_gives_more_than_was_asked_for_or_granted() {
    let server = Server::start().await;
    let narrow = [
        ("grant_type", "password"),
        ("username", "admin"),
        ("password", "pw"),
        ("scope", "openid cloud_controller.read"),
    ];
    let (_, login) = server.token(Some(("cf", "")), &narrow).await;
    assert_eq!(login["scope"], "openid cloud_controller.read");
    let refresh = async |scope: &str| {
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", login["refresh_token"].as_str().unwrap()),
            ("scope", scope),
        ];
        let (status, body) = server.token(Some(("cf", "")), &form).await;
        (status.as_u16(), body)
    };
    for (asked, status, got) in [
        ("", 200, "openid cloud_controller.read"),
        ("openid", 200, "openid"),
        (
            "cloud_controller.read openid",
            200,
            "openid cloud_controller.read",
        ),
        ("cloud_controller.admin", 400, "invalid_scope"),
        ("openid cloud_controller.admin", 400, "invalid_scope"),
        ("OPENID", 400, "invalid_scope"),
        ("no.such", 400, "invalid_scope"),
    ] {
        let (found, body) = refresh(asked).await;
        assert_eq!(found, status, "{asked:?}: {body}");
        let said = if status == 200 {
            &body["scope"]
        } else {
            &body["error"]
        };
        assert_eq!(said, got, "{asked:?}");
    }
    assert_eq!(
        refresh("").await.1["scope"],
        "openid cloud_controller.read",
        "as at first"
    );
    let robot = |scope| [("grant_type", "client_credentials"), ("scope", scope)];
    let basic = Some(("robot", "robot-secret"));
    assert_eq!(
        server.token(basic, &robot("cloud_controller.read")).await.0,
        200
    );
    let (status, body) = server.token(basic, &robot("cloud_controller.admin")).await;
    assert_eq!(
        (status.as_u16(), &body["error"]),
        (400, &json!("invalid_scope"))
    );
}

#[tokio::test]
async fn a_code_of_before_a_revocation_is_dead() {
    let server = Server::start().await;
    let login = server.log_in().await;
    let id = own_id(&server, &login).await;
    let code = support::code(&server).await;
    let path = format!("/oauth/token/revoke/user/{id}");
    assert_eq!(
        server.call(&login, Method::DELETE, &path, None).await.0,
        200
    );
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", support::BACK),
    ];
    let (status, body) = server.token(Some(("portal", "portal-secret")), &form).await;
    assert_eq!(
        (status.as_u16(), &body["error"]),
        (400, &json!("invalid_grant"))
    );
}
