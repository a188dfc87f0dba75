//! `bloomery bench`: how long the platform takes, and what it weighs. Figures of
//! one run on one machine; compare them only with others of the same run.

mod starts;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::demo::cf::Cf;
use crate::demo::load::{Question, until_right};
use crate::error::Error;
use crate::layout::Layout;
use crate::settings::Settings;
use crate::status;

/// How long the platform idles before it is weighed.
const IDLE: Duration = Duration::from_secs(60);

/// Runs everything on a platform of its own and prints a table.
pub async fn run(apps: &Path) -> Result<(), Error> {
    let dir = tempfile::Builder::new().prefix("bloomery-bench-").tempdir();
    let dir = dir
        .map_err(Error::file(
            "make a temporary directory in",
            std::env::temp_dir(),
        ))?
        .keep();
    let measured = measure(&dir, apps).await;
    let down = crate::down::run(&dir, measured.is_ok()).await;
    measured.and(down)
}

async fn measure(dir: &Path, apps: &Path) -> Result<(), Error> {
    let layout = Layout::new(dir)?;
    let cf = Cf::new(layout.program("cf")?, &layout.root.join("cf-home"));
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .map_err(|e| Error::Usage(e.to_string()))?;
    let program = layout.program("bloomery")?;
    let push = |name: &str| {
        let path: PathBuf = apps.join("static");
        cf.run(&[
            "push",
            name,
            "-p",
            &path.display().to_string(),
            "-m",
            "64M",
            "--no-manifest",
        ])
        .map_err(Error::Usage)
    };

    let from_nothing = Instant::now();
    let mut up = std::process::Command::new(program);
    up.args([
        "up",
        "--detach",
        "--router-port",
        "18080",
        "--api-port",
        "18181",
        "--data-dir",
    ])
    .arg(&layout.root);
    let up = up
        .env("CF_HOME", layout.root.join("cf-home"))
        .output()
        .map_err(|e| Error::Usage(e.to_string()))?;
    if !up.status.success() {
        return Err(Error::Usage(
            String::from_utf8_lossy(&up.stderr).into_owned(),
        ));
    }
    print("every component ready", from_nothing.elapsed());
    let settings = Settings::load(&layout)?.ok_or_else(|| Error::NotUp(layout.root.clone()))?;
    let router = format!("http://127.0.0.1:{}", settings.router_port);
    let question = Question {
        host: format!("site.{}", settings.domain),
        path: "/",
        expect: "Hello",
    };

    let began = Instant::now();
    push("site")?;
    print("push of a static app", began.elapsed());
    until_right(&http, &router, &question)
        .await
        .map_err(Error::Usage)?;
    print("first 200 from nothing running", from_nothing.elapsed());
    let began = Instant::now();
    push("site")?;
    print("unchanged push", began.elapsed());
    let subject = starts::Subject {
        http,
        api: settings.api(),
        router,
        host: question.host,
    };
    starts::measure(&cf, "site", &subject).await?;

    tokio::time::sleep(IDLE).await;
    let report = status::report(&layout).await?;
    for line in &report.components {
        say!(
            "{:<44} {:>10.1} MB",
            format!("memory of {} after 60 s idle", line.name),
            line.rss_kb as f64 / 1024.0
        );
    }
    say!(
        "{:<44} {:>10.1} MB",
        "memory of the platform, supervisor included",
        report.rss_kb as f64 / 1024.0
    );
    sizes(&layout);
    Ok(())
}

fn print(what: &str, took: Duration) {
    say!("{what:<44} {:>10.2} s", took.as_secs_f64());
}

fn sizes(layout: &Layout) {
    for name in [
        "cloud-controller",
        "dea",
        "router",
        "health-manager",
        "nats-lite",
        "cf",
        "bloomery",
        "wshd",
    ] {
        let size = std::fs::metadata(layout.programs.join(name)).map_or(0, |m| m.len());
        say!(
            "{:<44} {:>10.1} MB",
            format!("size of {name}"),
            size as f64 / 1e6
        );
    }
}
