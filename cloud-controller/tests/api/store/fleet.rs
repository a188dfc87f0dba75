//! Several controllers, real processes, on one PostgreSQL database; and a stager and DEA played by hand.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bus::{Bus, BusConfig, Subscription};
use cloud_controller::Config;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::dea::{DEA, advertise};
use crate::support::postgres::Postgres;
use crate::support::{Answer, NatsServer, PASSWORD, config, eventually, guid, zip_of};

/// One controller. Its ports are the kernel's choice in every life, so that nobody else can have them.
struct Process {
    child: Option<Child>,
    /// Address of the API, and of the status pages; as this life's log says.
    base: String,
    status: String,
    config: PathBuf,
    log: PathBuf,
}

impl Process {
    fn start(&mut self) {
        let log = std::fs::File::create(&self.log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_cloud-controller"))
            .arg("--config")
            .arg(&self.config)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// Waits until it says where it listens.
    async fn find(&mut self) {
        let log = &self.log;
        let child = std::cell::RefCell::new(self.child.as_mut().unwrap());
        let found = eventually("a controller says where it listens", async || {
            let ended = child.borrow_mut().try_wait().unwrap();
            let said = std::fs::read_to_string(log).unwrap();
            assert!(ended.is_none(), "a controller ended, {ended:?}: {said}");
            addresses(&said)
        });
        (self.base, self.status) = found.await;
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // SIGKILL: nothing is tidied up.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// API and status address in a log, if its process came that far.
fn addresses(log: &str) -> Option<(String, String)> {
    let ready = log.lines().find(|line| line.contains(" is ready: "))?;
    let address = |text: &str| {
        let end = text.find([',', '"']).unwrap_or(text.len());
        text[..end].to_owned()
    };
    let (api, status) = ready.split_once("API on ")?.1.split_once("status on ")?;
    Some((address(api), address(status)))
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Controllers, database, bus, and an administrator's token.
pub(crate) struct Fleet {
    processes: Vec<Process>,
    pub(crate) postgres: Postgres,
    pub(crate) bus: Bus,
    client: reqwest::Client,
    token: String,
    _nats: NatsServer,
    _dir: tempfile::TempDir,
}

impl Fleet {
    /// Starts so many at once; absent without PostgreSQL.
    pub(crate) async fn start(count: usize, adjust: impl Fn(&mut Config)) -> Option<Fleet> {
        let postgres = Postgres::start()?;
        let nats = NatsServer::start().await;
        let dir = tempfile::tempdir().unwrap();
        let mut processes = Vec::new();
        for at in 0..count {
            let mut config = config(dir.path(), &nats);
            config.database = postgres.main();
            config.temp_dir = Some(dir.path().join(format!("uploads-{at}")));
            // On a busy machine the stager's next advertisement may be long in coming.
            config.staging.locate_wait_ms = 30_000;
            adjust(&mut config);
            processes.push(process(dir.path(), at, config));
        }
        for process in &mut processes {
            process.start();
        }
        let bus = Bus::connect(&BusConfig::url(nats.url()), "test")
            .await
            .unwrap();
        bus.wait_connected().await;
        let mut fleet = Fleet {
            processes,
            postgres,
            bus,
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            token: String::new(),
            _nats: nats,
            _dir: dir,
        };
        for at in 0..count {
            fleet.token = fleet.up(at).await;
        }
        Some(fleet)
    }

    /// Waits until that controller answers and hears the bus; gives a token.
    async fn up(&mut self, at: usize) -> String {
        self.processes[at].find().await;
        let health = format!("{}/healthz", self.processes[at].status);
        eventually("a controller is connected to the bus", async || {
            let answer = self.client.get(&health).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        self.log_in(at).await
    }

    async fn log_in(&self, at: usize) -> String {
        let form = [
            ("grant_type", "password"),
            ("username", "admin"),
            ("password", PASSWORD),
            ("scope", ""),
        ];
        eventually("a controller answers", async || {
            let request = self
                .client
                .post(format!("{}/oauth/token", self.processes[at].base));
            let answer = request
                .header("authorization", "Basic Y2Y6")
                .form(&form)
                .send()
                .await
                .ok()?;
            let body: Value = answer.json().await.ok()?;
            body["access_token"].as_str().map(str::to_owned)
        })
        .await
    }

    /// Kills one and starts it anew; it answers when this returns.
    pub(crate) async fn crash(&mut self, at: usize) {
        self.processes[at].kill();
        self.processes[at].start();
        self.up(at).await;
    }

    /// One request of a health manager to one controller; absent when it is dead.
    pub(crate) async fn try_internal(
        &self,
        at: usize,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Option<Answer> {
        let url = format!("{}{path}", self.processes[at].base);
        let request = self
            .client
            .request(method, url)
            .basic_auth("bulk_api", Some("bulk_api-secret"));
        let answer = request.json(body).send().await.ok()?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let bytes = answer.bytes().await.ok()?.to_vec();
        Some(Answer {
            status,
            headers,
            bytes,
        })
    }

    /// One request to one controller; absent when it is dead.
    pub(crate) async fn try_call(
        &self,
        at: usize,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Option<Answer> {
        let url = format!("{}{path}", self.processes[at].base);
        let mut request = self.client.request(method, url);
        request = request.header("authorization", format!("bearer {}", self.token));
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.ok()?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let bytes = answer.bytes().await.ok()?.to_vec();
        Some(Answer {
            status,
            headers,
            bytes,
        })
    }

    pub(crate) async fn call(
        &self,
        at: usize,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        self.try_call(at, method, path, body.as_ref())
            .await
            .expect("that controller lives")
    }

    pub(crate) async fn get(&self, at: usize, path: &str) -> Answer {
        self.call(at, Method::GET, path, None).await
    }

    /// An app with one file.
    pub(crate) async fn app_with_bits(&self, name: &str, memory: i64) -> String {
        let spaces = self.get(0, "/v2/spaces?q=name:dev").await.expect(200);
        let space = guid(&spaces["resources"][0]);
        let body = json!({"name": name, "space_guid": space, "memory": memory, "disk_quota": 128, "instances": 1});
        let app = guid(
            &self
                .call(0, Method::POST, "/v2/apps", Some(body))
                .await
                .expect(201),
        );
        let zip = zip_of(&[("hello.txt", name, 0o100_644)]);
        let part = reqwest::multipart::Part::bytes(zip).file_name("application.zip");
        let form = reqwest::multipart::Form::new()
            .text("resources", "[]")
            .part("application", part);
        let url = format!("{}/v2/apps/{app}/bits", self.processes[0].base);
        let request = self
            .client
            .put(url)
            .header("authorization", format!("bearer {}", self.token));
        crate::support::read(request.multipart(form))
            .await
            .expect(201);
        app
    }

    /// A stager and DEA with room that stages whatever it is told to, and tells what it heard.
    pub(crate) async fn stager(&self) -> Stager {
        let heard: Subscription<Value> = self
            .bus
            .subscribe_to(&format!("staging.{DEA}.start"))
            .await
            .unwrap();
        let starts = self
            .bus
            .subscribe_to(&format!("dea.{DEA}.start"))
            .await
            .unwrap();
        self.bus.flush().await.unwrap();
        let bus = self.bus.clone();
        tokio::spawn(async move {
            loop {
                advertise(&bus, 100_000).await;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        Stager {
            heard,
            starts,
            again: Vec::new(),
        }
    }

    /// Uploads to whichever controller lives, as through a balancer; gives the answer's status.
    pub(crate) async fn upload_droplet(&self, request: &Value, droplet: &[u8]) -> u16 {
        let uri = url::Url::parse(request["upload_uri"].as_str().unwrap()).unwrap();
        let (user, password) = (uri.username(), uri.password());
        let path = format!("{}?{}", uri.path(), uri.query().unwrap_or_default());
        eventually("a controller takes the droplet", async || {
            for process in &self.processes {
                let part =
                    reqwest::multipart::Part::bytes(droplet.to_vec()).file_name("droplet.tgz");
                let form = reqwest::multipart::Form::new().part("upload[droplet]", part);
                let sent = self
                    .client
                    .post(format!("{}{path}", process.base))
                    .basic_auth(user, password)
                    .multipart(form);
                if let Ok(answer) = sent.send().await {
                    return Some(answer.status().as_u16());
                }
            }
            None
        })
        .await
    }
}

/// What the played stager hears.
pub(crate) struct Stager {
    heard: Subscription<Value>,
    starts: Subscription<Value>,
    /// Apps of requests that came after their staging was over, or a second time.
    pub(crate) again: Vec<String>,
}

impl Stager {
    /// The index of the next start.
    pub(crate) async fn next_start(&mut self) -> u64 {
        let delivery = tokio::time::timeout(crate::support::PATIENCE, self.starts.next()).await;
        let start = delivery.expect("a start comes").body;
        start["index"].as_u64().unwrap()
    }

    /// The next request for this app, and its inbox.
    pub(crate) async fn next(&mut self, app: &str) -> (Value, String) {
        loop {
            let delivery = tokio::time::timeout(crate::support::PATIENCE, self.heard.next()).await;
            let delivery = delivery.expect("a staging request comes");
            if delivery.body["app_id"] == app {
                return (delivery.body, delivery.reply.unwrap());
            }
            self.again
                .push(delivery.body["app_id"].as_str().unwrap().to_owned());
        }
    }
}

fn process(dir: &Path, at: usize, mut config: Config) -> Process {
    config.index = u32::try_from(at).unwrap();
    let file = dir.join(format!("controller-{at}.yml"));
    // JSON is YAML.
    std::fs::write(&file, serde_json::to_string(&config).unwrap()).unwrap();
    Process {
        child: None,
        base: String::new(),
        status: String::new(),
        config: file,
        log: dir.join(format!("controller-{at}.log")),
    }
}
