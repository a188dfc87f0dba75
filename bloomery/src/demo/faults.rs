//! The faults: one instance killed, then every daemon.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::load::{Load, Question, until_right};
use crate::identity::Identity;
use crate::layout::Layout;
use crate::state::State;
use crate::{components, settings::Settings, status};

/// How long a killed part may take to be there again.
const BACK_LIMIT: Duration = Duration::from_secs(60);

/// What one fault did.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Who was killed.
    pub(super) what: String,
    /// Requests without an answer at that moment.
    pub(super) in_flight: u64,
    /// Seconds until it was back.
    pub(super) back_after: f64,
    /// Requests that failed from the kill until then.
    pub(super) failed: u64,
}

/// Kills every process of one instance of an app, by the environment that the
/// platform gave it, and waits until the index runs again in another instance.
pub(super) async fn kill_instance(load: &Load, app: &str, index: u32) -> Result<Outcome, String> {
    load.flowing().await?;
    let (old, pids) =
        instance_processes(app, index).ok_or(format!("no process of {app} index {index} found"))?;
    let failed = load.counters.failed.load(Ordering::Relaxed);
    let in_flight = load.counters.in_flight.load(Ordering::Relaxed);
    let began = Instant::now();
    for pid in pids {
        kill_9(pid);
    }
    wait(BACK_LIMIT, || {
        instance_processes(app, index).is_some_and(|(new, _)| new != old)
    })
    .await
    .map_err(|()| format!("index {index} of {app} was not started again within {BACK_LIMIT:?}"))?;
    Ok(Outcome {
        what: format!("{app} index {index}"),
        in_flight,
        back_after: began.elapsed().as_secs_f64(),
        failed: load.counters.failed.load(Ordering::Relaxed) - failed,
    })
}

/// Kills one daemon and waits until another process of it is healthy and the app answers.
pub(super) async fn kill_daemon(
    layout: &Layout,
    name: &str,
    load: &Load,
    http: &reqwest::Client,
    router: &str,
    question: &Question,
) -> Result<Outcome, String> {
    load.flowing().await?;
    let process = process_of(layout, name).ok_or(format!("{name} does not run"))?;
    let failed = load.counters.failed.load(Ordering::Relaxed);
    let in_flight = load.counters.in_flight.load(Ordering::Relaxed);
    let began = Instant::now();
    process.signal("KILL");
    let deadline = Instant::now() + BACK_LIMIT;
    loop {
        let another = process_of(layout, name).is_some_and(|p| p != process);
        if another && is_running(layout, name).await {
            break;
        }
        if Instant::now() > deadline {
            return Err(format!("{name} did not come back within {BACK_LIMIT:?}"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let back_after = began.elapsed().as_secs_f64();
    until_right(http, router, question).await?;
    let failed = load.counters.failed.load(Ordering::Relaxed) - failed;
    Ok(Outcome {
        what: name.into(),
        in_flight,
        back_after,
        failed,
    })
}

/// Names of all components.
pub(super) fn daemons(layout: &Layout) -> Vec<String> {
    let settings = Settings::load(layout).ok().flatten();
    settings
        .map(|s| components::all(&s).into_iter().map(|c| c.name).collect())
        .unwrap_or_default()
}

fn process_of(layout: &Layout, name: &str) -> Option<Identity> {
    let state = State::load(layout).ok()?;
    state
        .components
        .get(name)?
        .process
        .clone()
        .filter(Identity::is_alive)
}

async fn is_running(layout: &Layout, name: &str) -> bool {
    let report = status::report(layout).await;
    report.is_ok_and(|r| {
        r.components
            .iter()
            .any(|c| c.name == name && c.state == "running")
    })
}

/// The instance id and the processes of one index of an app.
fn instance_processes(app: &str, index: u32) -> Option<(String, Vec<u32>)> {
    let mut found: Option<(String, Vec<u32>)> = None;
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|n| n.parse::<u32>().ok())
        else {
            continue;
        };
        let Some(id) = instance_of(pid, app, index) else {
            continue;
        };
        let (known, pids) = found.get_or_insert_with(|| (id.clone(), Vec::new()));
        if *known == id {
            pids.push(pid);
        }
    }
    found
}

fn instance_of(pid: u32, app: &str, index: u32) -> Option<String> {
    let environ = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let variable = |name: &str| {
        let prefix = format!("{name}=");
        let found = environ
            .split(|b| *b == 0)
            .find(|v| v.starts_with(prefix.as_bytes()))?;
        Some(String::from_utf8_lossy(&found[prefix.len()..]).into_owned())
    };
    let application: serde_json::Value =
        serde_json::from_str(&variable("VCAP_APPLICATION")?).ok()?;
    let right = application["application_name"] == app && application["instance_index"] == index;
    right.then(|| application["instance_id"].as_str().map(str::to_owned))?
}

fn kill_9(pid: u32) {
    let _ = std::process::Command::new("kill")
        .arg("-9")
        .arg(pid.to_string())
        .stderr(std::process::Stdio::null())
        .status();
}

async fn wait(limit: Duration, mut done: impl FnMut() -> bool) -> Result<(), ()> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if done() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    Err(())
}
