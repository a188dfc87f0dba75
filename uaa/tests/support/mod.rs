//! The token server alone, over HTTP.
// Each test file compiles this module for itself and uses a part of it.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use component::Daemon as _;
use reqwest::{Method, StatusCode, redirect};
use serde_json::{Value, json};
use uaa::{ClientConfig, Config};

/// Where the client `portal` wants its users sent back to.
pub const BACK: &str = "http://portal.example.com/back?from=uaa";

pub struct Server {
    pub base: String,
    pub client: reqwest::Client,
    pub running: uaa::daemon::Running,
    pub config: Config,
    _dir: tempfile::TempDir,
}

impl Server {
    pub async fn start() -> Server {
        Server::start_with(|_| {}).await
    }

    /// Starts with some settings changed.
    pub async fn start_with(adjust: impl FnOnce(&mut Config)) -> Server {
        let dir = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("admin", "pw\n"),
            ("robot", "robot-secret\n"),
            ("portal", "portal-secret\n"),
        ] {
            std::fs::write(dir.path().join(file), text).unwrap();
        }
        let mut config = Config {
            listen: "127.0.0.1:0".into(),
            database: dir.path().join("uaa.db").into(),
            clients: vec![
                ClientConfig {
                    id: "robot".into(),
                    secret_file: dir.path().join("robot"),
                    authorities: vec!["cloud_controller.read".into()],
                    ..ClientConfig::default()
                },
                ClientConfig {
                    id: "portal".into(),
                    secret_file: dir.path().join("portal"),
                    redirect_uris: vec![BACK.into()],
                    scopes: vec!["openid".into(), "cloud_controller.read".into()],
                    ..ClientConfig::default()
                },
            ],
            admin_user: Some("admin".into()),
            admin_password_file: Some(dir.path().join("admin")),
            ..Config::default()
        };
        adjust(&mut config);
        let running = uaa::daemon::start(config.clone()).await.unwrap();
        let builder = reqwest::Client::builder().no_proxy();
        Server {
            base: format!("http://{}", running.addr),
            client: builder.redirect(redirect::Policy::none()).build().unwrap(),
            running,
            config,
            _dir: dir,
        }
    }

    pub async fn shut_down(self) -> (Config, tempfile::TempDir) {
        self.running.shutdown().await;
        (self.config, self._dir)
    }

    pub async fn token(
        &self,
        basic: Option<(&str, &str)>,
        form: &[(&str, &str)],
    ) -> (StatusCode, Value) {
        let mut request = self
            .client
            .post(format!("{}/oauth/token", self.base))
            .form(form);
        if let Some((id, secret)) = basic {
            request = request.basic_auth(id, Some(secret));
        }
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    pub async fn log_in(&self) -> Value {
        let form = [
            ("grant_type", "password"),
            ("username", "Admin"),
            ("password", "pw"),
            ("scope", ""),
        ];
        let (status, body) = self.token(Some(("cf", "")), &form).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    pub async fn refresh(&self, token: &Value) -> (StatusCode, Value) {
        // As one client generation does: credentials in the form, no Basic header.
        let token = token["refresh_token"].as_str().unwrap();
        self.token(
            None,
            &[
                ("grant_type", "refresh_token"),
                ("refresh_token", token),
                ("client_id", "cf"),
                ("client_secret", ""),
            ],
        )
        .await
    }

    /// A call with the token of a login.
    pub async fn call(
        &self,
        login: &Value,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let token = format!("bearer {}", login["access_token"].as_str().unwrap());
        let request = self.client.request(method, format!("{}{path}", self.base));
        let mut request = request.header("authorization", token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    /// Whether a token is good by `/check_token`.
    pub async fn is_good(&self, login: &Value) -> bool {
        let form = [("token", login["access_token"].as_str().unwrap())];
        let request = self.client.post(format!("{}/check_token", self.base));
        let answer = request.basic_auth("cf", Some("")).form(&form).send().await;
        answer.unwrap().status().is_success()
    }
}

/// The user's id of a login.
pub async fn own_id(server: &Server, login: &Value) -> String {
    let path = "/Users?filter=userName%20eq%20%22admin%22";
    let (_, list) = server.call(login, Method::GET, path, None).await;
    list["resources"][0]["id"].as_str().unwrap().to_owned()
}

/// A user's name and password as the API takes them.
pub fn user(name: &str) -> Value {
    json!({"userName": name, "password": "pw", "emails": [{"value": format!("{name}@example.com")}]})
}

/// The page's address for what a client asks.
pub fn page(server: &Server, fields: &[(&str, &str)]) -> String {
    let base = format!("{}/oauth/authorize", server.base);
    url::Url::parse_with_params(&base, fields)
        .unwrap()
        .to_string()
}

pub const ASKED: [(&str, &str); 5] = [
    ("response_type", "code"),
    ("client_id", "portal"),
    ("redirect_uri", BACK),
    ("scope", ""),
    ("state", "a&b\"<"),
];

/// The secret of the form and the cookie that repeats it.
pub async fn open_page(server: &Server) -> (String, String) {
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
    (mark(&text), cookie.split(';').next().unwrap().to_owned())
}

/// The mark of the form in a page.
pub fn mark(text: &str) -> String {
    let mark = text.split("name=\"csrf\" value=\"").nth(1).unwrap();
    mark.split('"').next().unwrap().to_owned()
}

/// Sends the form; gives the status and where it leads.
pub async fn send(
    server: &Server,
    secret: &str,
    cookie: &str,
    password: &str,
) -> (StatusCode, String) {
    send_from(server, &[], &ASKED, secret, cookie, password).await
}

/// As [`send`], with what a browser adds, and for what is asked.
pub async fn send_from(
    server: &Server,
    headers: &[(&str, &str)],
    asked: &[(&str, &str)],
    secret: &str,
    cookie: &str,
    password: &str,
) -> (StatusCode, String) {
    let mut form = asked.to_vec();
    form.extend([
        ("csrf", secret),
        ("username", "admin"),
        ("password", password),
    ]);
    let request = server
        .client
        .post(format!("{}/oauth/authorize", server.base));
    let mut request = request.header("cookie", cookie);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.form(&form).send().await.unwrap();
    let place = answer.headers().get("location");
    let place = place.map(|place| place.to_str().unwrap().to_owned());
    (answer.status(), place.unwrap_or_default())
}

/// A code got on the page.
pub async fn code(server: &Server) -> String {
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
