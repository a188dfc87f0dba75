//! `bloomery status`.

use std::path::Path;

use serde::Serialize;

use crate::components;
use crate::error::Error;
use crate::layout::Layout;
use crate::settings::Settings;
use crate::state::State;

/// What is shown; `--json` prints exactly this.
#[derive(Debug, Serialize)]
pub struct Report {
    /// API URL.
    pub api: String,
    /// Router address.
    pub router: String,
    /// Domain of the apps.
    pub domain: String,
    /// Data directory.
    pub data_dir: String,
    /// Whether a supervisor restarts what ends.
    pub supervised: bool,
    /// Sum over the components, kB.
    pub rss_kb: u64,
    /// The components.
    pub components: Vec<Line>,
}

/// One component.
#[derive(Debug, Serialize)]
pub struct Line {
    /// Name.
    pub name: String,
    /// Pid, null when it does not run.
    pub pid: Option<u32>,
    /// Resident memory, kB.
    pub rss_kb: u64,
    /// `running`, `starting` or `down`.
    pub state: &'static str,
    /// Where it listens.
    pub addr: String,
    /// How often it was started again.
    pub restarts: u32,
}

/// Collects the report.
pub async fn report(layout: &Layout) -> Result<Report, Error> {
    let settings = Settings::load(layout)?.ok_or_else(|| Error::NotUp(layout.root.clone()))?;
    let state = State::load(layout)?;
    let http = reqwest::Client::builder()
        .no_proxy()
        .timeout(std::time::Duration::from_secs(2))
        .build();
    let http = http.map_err(|e| Error::Usage(e.to_string()))?;
    let mut lines = Vec::new();
    for component in components::all(&settings) {
        let running = state.components.get(&component.name);
        let process = running
            .and_then(|r| r.process.as_ref())
            .filter(|p| p.is_alive());
        let healthy = process.is_some()
            && http
                .get(&component.health_url)
                .send()
                .await
                .is_ok_and(|r| r.status().is_success());
        lines.push(Line {
            name: component.name,
            pid: process.map(|p| p.pid),
            rss_kb: process.map_or(0, |p| p.rss_kb()),
            state: if healthy {
                "running"
            } else if process.is_some() {
                "starting"
            } else {
                "down"
            },
            addr: component.addr,
            restarts: running.map_or(0, |r| r.restarts),
        });
    }
    let supervisor = state.live_supervisor();
    Ok(Report {
        api: settings.api(),
        router: format!("http://127.0.0.1:{}", settings.router_port),
        domain: settings.domain,
        data_dir: layout.root.display().to_string(),
        supervised: supervisor.is_some(),
        rss_kb: lines.iter().map(|l| l.rss_kb).sum::<u64>() + supervisor.map_or(0, |s| s.rss_kb()),
        components: lines,
    })
}

/// Prints the report.
pub async fn run(data_dir: &Path, json: bool) -> Result<(), Error> {
    let report = report(&Layout::new(data_dir)?).await?;
    if json {
        say!(
            "{}",
            serde_json::to_string_pretty(&report).map_err(|e| Error::Usage(e.to_string()))?
        );
        return Ok(());
    }
    say!(
        "API     {}\nRouter  {}   (apps: http://NAME.{}:{})\nData    {}\n",
        report.api,
        report.router,
        report.domain,
        report.router.rsplit(':').next().unwrap_or_default(),
        report.data_dir
    );
    say!(
        "{:<18} {:<9} {:>8} {:>9} {:>9}  address",
        "component",
        "state",
        "pid",
        "memory",
        "restarts"
    );
    for line in &report.components {
        let pid = line.pid.map_or("-".into(), |p| p.to_string());
        let memory = format!("{:.1} MB", line.rss_kb as f64 / 1024.0);
        say!(
            "{:<18} {:<9} {pid:>8} {memory:>9} {:>9}  {}",
            line.name,
            line.state,
            line.restarts,
            line.addr
        );
    }
    say!(
        "\nTotal {:.1} MB, supervisor included.",
        report.rss_kb as f64 / 1024.0
    );
    if !report.supervised {
        say!("No supervisor: nothing that ends is started again. `bloomery up` adopts what runs.");
    }
    Ok(())
}
