//! A real controller on a real message bus; the test plays stager and DEA by hand.
// Each test file compiles this module for itself and uses a part of it.
#![allow(clippy::unwrap_used, dead_code, unreachable_pub)]

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bus::{Bus, BusConfig};
use cloud_controller::config::{Auth, BuildpackConfig, QuotaConfig, SeedConfig};
use cloud_controller::{Config, Running};
use component::Daemon as _;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

pub mod dea;
pub mod files;
#[path = "../../../database/tests/support/postgres.rs"]
pub mod postgres;
pub mod python;
pub mod stagers;
pub mod suite;
pub mod table;
pub mod walk;
pub mod world;

/// How long a condition may take to come true; a guard against hanging, never a measurement.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A nats-server of our own on a free port.
pub struct NatsServer {
    child: Option<Child>,
    pub port: u16,
}

impl NatsServer {
    pub async fn start() -> NatsServer {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut server = NatsServer { child: None, port };
        server.up().await;
        server
    }

    pub async fn up(&mut self) {
        let program = std::env::var("NATS_SERVER").unwrap_or_else(|_| "nats-server".into());
        let child = Command::new(&program)
            .args(["-a", "127.0.0.1", "-p", &self.port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{program} is needed on PATH (or in NATS_SERVER): {error}")
            });
        self.child = Some(child);
        let port = self.port;
        eventually("the bus listens", async || {
            tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port))
                .await
                .ok()
        })
        .await;
    }

    pub fn down(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.down();
    }
}

/// Polls until the condition gives a value.
pub async fn eventually<T>(what: &str, condition: impl AsyncFn() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(begun.elapsed() < PATIENCE, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|error| {
            panic!(
                "{error}: {} {}",
                self.status,
                String::from_utf8_lossy(&self.bytes)
            )
        })
    }

    /// Asserts the status and gives the body.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(
            self.status.as_u16(),
            status,
            "{}",
            String::from_utf8_lossy(&self.bytes)
        );
        if self.bytes.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }

    /// Asserts the status of an answer that is no JSON.
    pub fn expect_status(&self, status: u16) {
        let text = String::from_utf8_lossy(&self.bytes);
        assert_eq!(self.status.as_u16(), status, "{text}");
    }

    /// Asserts an error by status, number and name.
    pub fn expect_error(&self, status: u16, code: u32, name: &str) -> String {
        let body = self.expect(status);
        assert_eq!(
            (body["code"].as_u64(), body["error_code"].as_str()),
            (Some(code.into()), Some(name)),
            "{body}"
        );
        body["description"].as_str().unwrap().to_owned()
    }
}

/// Controller, bus, and a logged-in administrator.
pub struct Platform {
    pub nats: NatsServer,
    pub bus: Bus,
    pub base: String,
    pub client: reqwest::Client,
    pub token: String,
    pub refresh_token: String,
    pub dir: tempfile::TempDir,
    pub config: Config,
    running: Option<Running>,
    /// With `BLOOMERY_TEST_POSTGRES` set, where the database of this test is.
    postgres: Option<suite::Lent>,
}

pub const PASSWORD: &str = "correct horse";

impl Platform {
    pub async fn start() -> Platform {
        Platform::start_with(|_| {}).await
    }

    /// Starts with some settings changed.
    pub async fn start_with(adjust: impl FnOnce(&mut Config)) -> Platform {
        let nats = NatsServer::start().await;
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path(), &nats);
        let postgres = suite::lent();
        if let Some(lent) = &postgres {
            config.database = lent.location();
        }
        adjust(&mut config);
        let running = cloud_controller::start(config.clone()).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let bus = Bus::connect(&BusConfig::url(nats.url()), "test")
            .await
            .unwrap();
        bus.wait_connected().await;
        let base = format!("http://{}", running.addr);
        let mut platform = Platform {
            nats,
            bus,
            base,
            client,
            token: String::new(),
            refresh_token: String::new(),
            dir,
            config,
            running: Some(running),
            postgres,
        };
        platform.log_in("admin", PASSWORD).await.expect(200);
        platform.bus_is_back().await;
        platform
    }

    /// Runs a statement beside the controller; gives the text it selects, if any.
    pub async fn sql(&self, statement: &'static str) -> Option<String> {
        match &self.postgres {
            Some(lent) => Some(lent.sql(statement)).filter(|text| !text.is_empty()),
            None => suite::sqlite(&self.dir.path().join("cc.db"), statement).await,
        }
    }

    /// Everything the database holds, as bytes to search.
    pub fn stored(&self) -> Vec<u8> {
        if let Some(lent) = &self.postgres {
            return lent.dump();
        }
        let file = |name| std::fs::read(self.dir.path().join(name)).unwrap_or_default();
        [file("cc.db"), file("cc.db-wal")].concat()
    }

    /// Waits until the controller's own connection is up.
    pub async fn bus_is_back(&self) {
        let status = self.running.as_ref().unwrap().status_addr;
        eventually("the controller is connected to the bus", async || {
            let answer = self
                .client
                .get(format!("http://{status}/healthz"))
                .send()
                .await
                .ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    /// One page of the status endpoint.
    pub async fn status(&self, path: &str) -> Answer {
        let status = self.running.as_ref().unwrap().status_addr;
        let request = self.client.get(format!("http://{status}{path}"));
        read(request.basic_auth("status", Some("status-secret"))).await
    }

    /// Waits until the controller knows so many stagers.
    pub async fn knows_stagers(&self, count: usize) {
        eventually("the stagers are known", async || {
            let varz = self.status("/varz").await.expect(200);
            (varz["known_stagers"] == count).then_some(())
        })
        .await;
    }

    pub async fn restart(&mut self) {
        self.running.take().unwrap().shutdown().await;
        let running = cloud_controller::start(self.config.clone()).await.unwrap();
        self.base = format!("http://{}", running.addr);
        self.running = Some(running);
        self.bus_is_back().await;
    }

    pub async fn log_in(&mut self, user: &str, password: &str) -> Answer {
        let answer = self
            .token_request(&[
                ("grant_type", "password"),
                ("username", user),
                ("password", password),
                ("scope", ""),
            ])
            .await;
        if answer.status.is_success() {
            let body = answer.json();
            self.token = body["access_token"].as_str().unwrap().to_owned();
            self.refresh_token = body["refresh_token"].as_str().unwrap().to_owned();
        }
        answer
    }

    /// `POST /oauth/token` as client `cf` with its empty secret.
    pub async fn token_request(&self, form: &[(&str, &str)]) -> Answer {
        read(
            self.client
                .post(format!("{}/oauth/token", self.base))
                .header("authorization", "Basic Y2Y6")
                .form(form),
        )
        .await
    }

    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.call_as(&self.token, method, path, body).await
    }

    /// As [`Platform::call`], with somebody's token.
    pub async fn call_as(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        request = request
            .header("authorization", format!("bearer {token}"))
            .header("accept", "application/json");
        if let Some(body) = body {
            request = request.json(&body);
        }
        read(request).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, Some(body)).await
    }

    /// PUT with an empty body, as clients map routes.
    pub async fn put_empty(&self, path: &str) -> Answer {
        self.call(Method::PUT, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None).await
    }

    /// Uploads bits as the legacy client does.
    pub async fn upload_bits(&self, app: &str, resources: Value, zip: Option<Vec<u8>>) -> Answer {
        let mut form = reqwest::multipart::Form::new().text("resources", resources.to_string());
        if let Some(zip) = zip {
            let part = reqwest::multipart::Part::bytes(zip)
                .file_name("application.zip")
                .mime_str("application/zip")
                .unwrap();
            form = form.part("application", part);
        }
        let request = self
            .client
            .put(format!("{}/v2/apps/{app}/bits?async=true", self.base));
        read(
            request
                .header("authorization", format!("bearer {}", self.token))
                .multipart(form),
        )
        .await
    }

    /// (organization guid, space guid) of the seed.
    pub async fn target(&self) -> (String, String) {
        let org = first_guid(
            &self
                .get("/v2/organizations?q=name:acme&inline-relations-depth=1")
                .await
                .expect(200),
        );
        let space = first_guid(
            &self
                .get(&format!(
                    "/v2/organizations/{org}/spaces?q=name:dev&inline-relations-depth=1"
                ))
                .await
                .expect(200),
        );
        (org, space)
    }

    /// A user with password `pw`, in the organization and with roles in spaces. Needs an administrator's token.
    pub async fn add_user(&self, name: &str, org: &str, roles: &[(&str, &str)]) -> String {
        let user = json!({"userName": name, "password": "pw", "origin": "",
                          "emails": [{"value": format!("{name}@example.com"), "primary": true}]});
        let id = self.post("/Users", user).await.expect(201)["id"]
            .as_str()
            .unwrap()
            .to_owned();
        self.post("/v2/users", json!({"guid": id}))
            .await
            .expect(201);
        let sent = json!({"username": name});
        self.put(&format!("/v2/organizations/{org}/users"), sent.clone())
            .await
            .expect(201);
        for (space, role) in roles {
            self.put(&format!("/v2/spaces/{space}/{role}"), sent.clone())
                .await
                .expect(201);
        }
        id
    }

    /// A new app without bits.
    pub async fn create_app(&self, name: &str) -> String {
        let (_, space) = self.target().await;
        let body = json!({"name": name, "space_guid": space, "memory": 64, "disk_quota": 128, "instances": 1});
        guid(&self.post("/v2/apps?async=true", body).await.expect(201))
    }

    /// A new app with one file uploaded.
    pub async fn create_app_with_bits(&self, name: &str) -> String {
        let app = self.create_app(name).await;
        self.upload_bits(
            &app,
            json!([]),
            Some(zip_of(&[("hello.txt", "hello", 0o100644)])),
        )
        .await
        .expect(201);
        app
    }
}

pub async fn read(request: reqwest::RequestBuilder) -> Answer {
    let answer = request.send().await.unwrap();
    Answer {
        status: answer.status(),
        headers: answer.headers().clone(),
        bytes: answer.bytes().await.unwrap().to_vec(),
    }
}

pub fn guid(resource: &Value) -> String {
    resource["metadata"]["guid"].as_str().unwrap().to_owned()
}

pub fn first_guid(list: &Value) -> String {
    guid(&list["resources"][0])
}

/// A zip written by hand-set modes; `mode` includes the file type.
pub fn zip_of(entries: &[(&str, &str, u32)]) -> Vec<u8> {
    use std::io::Write as _;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text, mode) in entries {
        let options = zip::write::SimpleFileOptions::default();
        if mode & 0o170_000 == 0o120_000 {
            zip.add_symlink(*name, *text, options).unwrap();
        } else {
            zip.start_file(*name, options.unix_permissions(*mode))
                .unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
    }
    zip.finish().unwrap().into_inner()
}

fn auth(user: &str) -> Auth {
    Auth {
        user: user.into(),
        password: format!("{user}-secret"),
    }
}

/// The settings tests begin with.
pub fn config(dir: &Path, nats: &NatsServer) -> Config {
    let password_file = dir.join("admin-password");
    std::fs::write(&password_file, format!("{PASSWORD}\n")).unwrap();
    let buildpack = dir.join("buildpack");
    std::fs::create_dir_all(buildpack.join("bin")).unwrap();
    std::fs::write(buildpack.join("bin/detect"), "#!/bin/sh\necho test\n").unwrap();
    Config {
        listen: "127.0.0.1:0".into(),
        database: dir.join("cc.db").into(),
        blobstore: dir.join("blobs"),
        temp_dir: Some(dir.to_owned()),
        secrets_file: dir.join("secrets.json"),
        bus: BusConfig::url(nats.url()),
        profile: bus::times::Profile::Test,
        status: component::StatusConfig {
            user: "status".into(),
            password: "status-secret".into(),
            ..component::StatusConfig::default()
        },
        staging_auth: auth("staging"),
        bulk_auth: auth("bulk_api"),
        internal_auth: auth("internal"),
        domains: vec!["apps.example.com".into()],
        default_quota: QuotaConfig {
            memory_limit_mb: 50_000,
            ..QuotaConfig::default()
        },
        install_buildpacks: vec![BuildpackConfig {
            name: "test".into(),
            path: buildpack,
        }],
        seed: Some(SeedConfig {
            admin_user: "admin".into(),
            admin_password_file: password_file,
            org: Some("acme".into()),
            space: Some("dev".into()),
        }),
        ..Config::default()
    }
}

/// Waits until an app's package is in this state; gives the app.
pub async fn wait_for_package_state(platform: &Platform, app: &str, state: &str) -> Value {
    eventually(&format!("package_state {state}"), async || {
        let body = platform.get(&format!("/v2/apps/{app}")).await.expect(200);
        (body["entity"]["package_state"] == state).then_some(body)
    })
    .await
}
