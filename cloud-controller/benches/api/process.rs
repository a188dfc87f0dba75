//! The controller as a process, what it costs, and how it is asked.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::support::postgres::Postgres;
use crate::support::{NatsServer, PASSWORD, config, eventually};

/// What `bloomery up` starts daemons with; without it glibc keeps the memory of password hashes and of busy threads.
const AS_SUPERVISED: [(&str, &str); 4] = [
    ("MALLOC_ARENA_MAX", "2"),
    ("TOKIO_WORKER_THREADS", "2"),
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
];

/// A controller; it ends with the bench.
pub(crate) struct Controller {
    child: Child,
    base: String,
    client: reqwest::Client,
    pub(crate) token: String,
}

impl Drop for Controller {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Controller {
    pub(crate) async fn start(
        dir: &Path,
        nats: &NatsServer,
        server: Option<&Postgres>,
    ) -> Controller {
        let mut config = config(dir, nats);
        if let Some(server) = server {
            config.database = server.main();
        }
        config.profile = bus::times::Profile::Default;
        config.default_quota.memory_limit_mb = 100_000_000;
        config.default_quota.total_routes = 1_000_000;
        let file = dir.join("controller.yml");
        // JSON is YAML.
        std::fs::write(&file, serde_json::to_string(&config).unwrap()).unwrap();
        let log = dir.join("log");
        // For figures of another version.
        let own = || env!("CARGO_BIN_EXE_cloud-controller").into();
        let program = std::env::var_os("BENCH_CONTROLLER").unwrap_or_else(own);
        let child = Command::new(program)
            .arg("--config")
            .arg(&file)
            .envs(AS_SUPERVISED)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let base = eventually("the controller says where it listens", async || {
            let said = std::fs::read_to_string(&log).unwrap();
            let address = said.split_once("API on ")?.1.split(',').next()?;
            Some(address.to_owned())
        })
        .await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut controller = Controller {
            child,
            base,
            client,
            token: String::new(),
        };
        controller.token = controller.log_in("admin", PASSWORD).await.unwrap();
        controller
    }

    /// A token.
    pub(crate) async fn log_in(&self, user: &str, password: &str) -> Option<String> {
        let form = [
            ("grant_type", "password"),
            ("username", user),
            ("password", password),
        ];
        let request = self.client.post(format!("{}/oauth/token", self.base));
        let answer = request.header("authorization", "Basic Y2Y6").form(&form);
        let body: Value = answer.send().await.ok()?.json().await.ok()?;
        Some(body["access_token"].as_str()?.to_owned())
    }

    /// The answer's body, when it is a good one.
    pub(crate) async fn call(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Option<Value> {
        let request = self.client.request(method, format!("{}{path}", self.base));
        let mut request = request.bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.ok()?;
        if !answer.status().is_success() {
            return None;
        }
        let bytes = answer.bytes().await.ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Whether the answer is a good one.
    pub(crate) async fn ask(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> bool {
        self.call(token, method, path, body).await.is_some()
    }

    /// CPU time so far, of all its threads; in steps of 10 ms.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // Behind the name, which may hold anything: state is field 3, user and system time are 14 and 15.
        let fields = stat.rsplit_once(") ").unwrap().1;
        let ticks = fields.split(' ').skip(11).take(2);
        let ticks: u64 = ticks.map(|field| field.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// MB of memory in use.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kilobytes: u64 = line
            .and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
            .unwrap_or(0);
        kilobytes / 1024
    }
}
