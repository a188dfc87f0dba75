//! The steps of the tour.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::cf::Cf;
use super::faults::{self, Outcome};
use super::leftovers::Snapshot;
use super::load::{Load, Question, ask, until_right};
use super::step;
use crate::error::Error;
use crate::layout::Layout;
use crate::settings::Settings;

struct Tour<'a> {
    layout: Layout,
    apps: &'a Path,
    http: reqwest::Client,
    cf: Cf,
}

/// Runs every step; the platform is taken down also when one fails.
pub(super) async fn run(data_dir: &Path, apps: &Path) -> Result<(), Error> {
    let layout = Layout::new(data_dir)?;
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .map_err(|e| Error::Usage(e.to_string()))?;
    let cf = Cf::new(layout.program("cf")?, &layout.root.join("cf-home"));
    let before = Snapshot::take(&layout.root);
    let tour = Tour {
        layout,
        apps,
        http,
        cf,
    };
    let toured = tour.steps().await;
    let logs = tour.layout.root.join("logs");
    if let Err(error) = toured {
        // The logs are what the reader needs next; only processes are ended.
        let _ = tour.bloomery(&["down"]);
        return Err(error);
    }
    step(
        "bring everything down",
        async { tour.bloomery(&["down", "--purge"]).map(|_| ()) },
        &logs,
    )
    .await?;
    step(
        "nothing is left behind",
        nothing_left(&tour.layout, &before),
        &logs,
    )
    .await
}

async fn nothing_left(layout: &Layout, before: &Snapshot) -> Result<(), String> {
    // Links and rules are removed in the background; a moment is allowed.
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let left = Snapshot::take(&layout.root).beyond(before);
        if left.is_empty() && !layout.root.exists() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("left behind:\n  {}", left.join("\n  ")));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

impl Tour<'_> {
    async fn steps(&self) -> Result<(), Error> {
        let logs = self.layout.root.join("logs");
        step(
            "bring the platform up, two DEAs",
            async { self.up() },
            &logs,
        )
        .await?;
        let settings =
            Settings::load(&self.layout)?.ok_or_else(|| Error::NotUp(self.layout.root.clone()))?;
        let router = format!("http://127.0.0.1:{}", settings.router_port);
        let site = Question {
            host: format!("site.{}", settings.domain),
            path: "/",
            expect: "Hello from Bloomery",
        };
        let get = Question {
            host: format!("httpbin.{}", settings.domain),
            path: "/get",
            expect: "\"args\"",
        };
        step(
            "push a static site",
            async { self.push("site", "static", "64M") },
            &logs,
        )
        .await?;
        step("it answers", until_right(&self.http, &router, &site), &logs).await?;
        step(
            "push httpbin (pip, from PyPI)",
            async { self.push("httpbin", "httpbin", "256M") },
            &logs,
        )
        .await?;
        step(
            "it answers /get /status/418 /stream/20 /gzip /cookies",
            self.httpbin(&router, &get),
            &logs,
        )
        .await?;
        step("scale httpbin to 2", self.scale(&router, &get), &logs).await?;
        let load = Load::start(&self.http, &router, &[site.clone(), get.clone()]);
        let mut outcomes = Vec::new();
        outcomes.push(
            step(
                "kill -9 one instance under load",
                faults::kill_instance(&load, "httpbin", 1),
                &logs,
            )
            .await?,
        );
        for daemon in faults::daemons(&self.layout) {
            let work = faults::kill_daemon(&self.layout, &daemon, &load, &self.http, &router, &get);
            outcomes.push(step(&format!("kill -9 {daemon} under load"), work, &logs).await?);
        }
        let counters = load.stop().await;
        report(&outcomes, &counters)?;
        step("cf logs --recent", async { self.logs() }, &logs).await?;
        step("stop both apps", async { self.stop() }, &logs).await
    }

    fn bloomery(&self, args: &[&str]) -> Result<String, String> {
        let program = self.layout.program("bloomery").map_err(|e| e.to_string())?;
        let mut command = std::process::Command::new(program);
        command
            .args(args)
            .arg("--data-dir")
            .arg(&self.layout.root)
            .env("CF_HOME", self.layout.root.join("cf-home"));
        let output = command.output().map_err(|e| format!("bloomery: {e}"))?;
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        if output.status.success() {
            Ok(text)
        } else {
            Err(text)
        }
    }

    /// Ports of its own, so that a platform that is up already is not in the way.
    fn up(&self) -> Result<(), String> {
        let ports = ["--router-port", "18080", "--api-port", "18181"];
        self.bloomery(&[&["up", "--detach", "--deas", "2"], &ports[..]].concat())
            .map(|_| ())
    }

    fn push(&self, name: &str, app: &str, memory: &str) -> Result<(), String> {
        let path = self.apps.join(app).display().to_string();
        self.cf
            .run(&["push", name, "-p", &path, "-m", memory, "--no-manifest"])
            .map(|_| ())
    }

    async fn httpbin(&self, router: &str, get: &Question) -> Result<(), String> {
        until_right(&self.http, router, get).await?;
        let with = |path, expect| Question {
            path,
            expect,
            ..get.clone()
        };
        let expectations = [
            (200, with("/stream/20", "\"id\": 19")),
            (418, with("/status/418", "teapot")),
            (200, with("/cookies", "\"cookies\"")),
        ];
        for (status, question) in expectations {
            let (got, body) = ask(&self.http, router, &question).await?;
            if got != status || !body.contains(question.expect) {
                return Err(format!("{} gave status {got}: {body}", question.path));
            }
        }
        self.raw(router, get, "/gzip", "content-encoding: gzip")
            .await?;
        self.raw(router, get, "/cookies/set?a=b", "a=b").await
    }

    /// A header of an answer, unfollowed and undecoded.
    async fn raw(
        &self,
        router: &str,
        get: &Question,
        path: &str,
        header: &str,
    ) -> Result<(), String> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build();
        let request = http
            .map_err(|e| e.to_string())?
            .get(format!("{router}{path}"))
            .header("host", &get.host);
        let answer = request.send().await.map_err(|e| e.to_string())?;
        let headers: Vec<String> = answer
            .headers()
            .iter()
            .map(|(n, v)| format!("{n}: {}", v.to_str().unwrap_or("")))
            .collect();
        match headers.iter().any(|h| h.contains(header)) {
            true => Ok(()),
            false => Err(format!("{path}: no header with {header:?} in {headers:?}")),
        }
    }

    async fn scale(&self, router: &str, get: &Question) -> Result<(), String> {
        self.cf.run(&["scale", "httpbin", "-i", "2"])?;
        let deadline = Instant::now() + Duration::from_secs(60);
        // The summary counts instances on their way too, so the states are looked at.
        while self.running("httpbin")? < 2 {
            if Instant::now() > deadline {
                return Err(format!(
                    "httpbin has not two running instances:\n{}",
                    self.cf.run(&["app", "httpbin"])?
                ));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        until_right(&self.http, router, get).await
    }

    fn running(&self, app: &str) -> Result<usize, String> {
        let shown: serde_json::Value = serde_json::from_str(&self.cf.run(&["app", app, "--json"])?)
            .map_err(|e| e.to_string())?;
        let instances = shown["instances"].as_object().into_iter().flatten();
        Ok(instances.filter(|(_, i)| i["state"] == "RUNNING").count())
    }

    fn logs(&self) -> Result<(), String> {
        let text = self.cf.run(&["logs", "httpbin", "--recent"])?;
        match text.contains("[App/") {
            true => Ok(()),
            false => Err(format!("no line of the app in:\n{text}")),
        }
    }

    fn stop(&self) -> Result<(), String> {
        self.cf.run(&["stop", "httpbin"])?;
        self.cf.run(&["stop", "site"]).map(|_| ())
    }
}

fn report(outcomes: &[Outcome], counters: &super::load::Counters) -> Result<(), Error> {
    say!(
        "\n  {:<22} {:>18} {:>12} {:>16}",
        "killed with -9",
        "requests in flight",
        "back after",
        "failed requests"
    );
    for o in outcomes {
        say!(
            "  {:<22} {:>18} {:>10.2} s {:>16}",
            o.what,
            o.in_flight,
            o.back_after,
            o.failed
        );
    }
    let (right, wrong, failed) = (
        counters.right.load(Ordering::Relaxed),
        counters.wrong.load(Ordering::Relaxed),
        counters.failed.load(Ordering::Relaxed),
    );
    say!("  {right} right answers, {wrong} wrong bodies, {failed} failed requests\n");
    match wrong {
        0 => Ok(()),
        n => Err(Error::Usage(format!("demo: {n} answers had a wrong body"))),
    }
}
