//! Starting an app: staging output as it comes, then the instances.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{app, staging_log};
use crate::context::{Context, guid, text};
use crate::error::CfError;
use crate::line::{Group, NONE, Spec, arg};

/// Staging may take this long, unless CF_STAGING_TIMEOUT (minutes) says otherwise.
const STAGING_MINUTES: u64 = 15;
/// The first instance may take this long, unless CF_STARTUP_TIMEOUT (minutes) says otherwise.
const STARTUP_MINUTES: u64 = 5;

pub(super) const COMMANDS: &[Spec] = &[Spec {
    name: "start",
    alias: "st",
    group: Group::Apps,
    about: "Start an app",
    args: &[arg("APP_NAME", "App name")],
    json: app::FIELDS,
    run: |cx, args| Box::pin(run(cx, args.need("APP_NAME"))),
    ..NONE
}];

/// What sets the start going.
pub(super) enum Trigger {
    /// PUT state=STARTED on the app.
    Start,
    /// POST on a path (restage).
    Post(String),
}

/// `cf start`.
async fn run(cx: &mut Context, name: &str) -> Result<(), CfError> {
    let app = cx.app(name).await?;
    if text(&app, "state") == "STARTED" {
        cx.ui
            .say(&format!("App {} is already started", cx.ui.name(name)));
        return Ok(());
    }
    start_app(cx, guid(&app), name).await
}

/// Starts an app and waits until it answers.
pub(super) async fn start_app(cx: &mut Context, app_guid: &str, name: &str) -> Result<(), CfError> {
    cx.ui
        .say(&format!("Starting app {} {}", cx.ui.name(name), cx.place()));
    with_staging_log(cx, app_guid, name, Trigger::Start).await
}

/// Streams the staging output beside the start and shows the app at its end.
pub(super) async fn with_staging_log(
    cx: &mut Context,
    app_guid: &str,
    name: &str,
    trigger: Trigger,
) -> Result<(), CfError> {
    let log = staging_log::follow(cx, app_guid).await;
    let set_going = match trigger {
        Trigger::Start => {
            cx.client
                .put(
                    &format!("/v2/apps/{app_guid}"),
                    &json!({"state": "STARTED"}),
                )
                .await
        }
        Trigger::Post(path) => cx.client.post(&path, &Value::Null).await,
    };
    let staged = match set_going {
        Ok(_) => wait_staged(cx, app_guid, name).await,
        Err(error) => Err(error),
    };
    // The last lines are on their way when the state has changed already.
    let verdicts = staging_log::finish(log).await;
    for verdict in staging_log::unsaid(verdicts, &staged) {
        cx.ui.say(&format!("{}: {verdict}", staging_log::VERDICT));
    }
    staged?;
    wait_running(cx, app_guid, name).await?;
    cx.ui.say("\nApp started\n");
    app::show(cx, app_guid).await
}

/// Looks again soon at first and more slowly later.
struct Patience {
    until: Instant,
    step: Duration,
}

impl Patience {
    fn minutes(variable: &str, default: u64) -> Self {
        let given = std::env::var(variable).ok().and_then(|v| v.parse().ok());
        Self {
            until: Instant::now() + Duration::from_secs(60 * given.unwrap_or(default)),
            step: Duration::from_millis(30),
        }
    }

    /// Waits; false when the patience is over.
    async fn again(&mut self) -> bool {
        tokio::time::sleep(self.step).await;
        self.step = (self.step * 5 / 4).min(Duration::from_millis(500));
        Instant::now() < self.until
    }
}

async fn wait_staged(cx: &mut Context, app_guid: &str, name: &str) -> Result<(), CfError> {
    let mut patience = Patience::minutes("CF_STAGING_TIMEOUT", STAGING_MINUTES);
    loop {
        let app = cx.client.get(&format!("/v2/apps/{app_guid}")).await?;
        match text(&app, "package_state") {
            "STAGED" => return Ok(()),
            "FAILED" => return Err(staging_failed(&app, name)),
            _ => {}
        }
        if !patience.again().await {
            let reason =
                format!("{name} failed to stage within the time limit (CF_STAGING_TIMEOUT)");
            return Err(CfError::Staging {
                app: name.into(),
                reason,
            });
        }
    }
}

fn staging_failed(app: &Value, name: &str) -> CfError {
    let (kind, why) = (
        text(app, "staging_failed_reason"),
        text(app, "staging_failed_description"),
    );
    let reason = match (kind, why) {
        (kind, "") => kind.to_owned(),
        (kind, why) => format!("{kind}: {why}"),
    };
    CfError::Staging {
        app: name.into(),
        reason,
    }
}

async fn wait_running(cx: &mut Context, app_guid: &str, name: &str) -> Result<(), CfError> {
    let mut patience = Patience::minutes("CF_STARTUP_TIMEOUT", STARTUP_MINUTES);
    let mut said = String::new();
    loop {
        let instances = match cx
            .client
            .get(&format!("/v2/apps/{app_guid}/instances"))
            .await
        {
            Ok(instances) => instances,
            // Between two states there may be nothing to report yet.
            Err(CfError::Api {
                status: 400 | 503, ..
            }) => Value::Null,
            Err(error) => return Err(error),
        };
        let states = Counted::of(&instances);
        let line = states.line();
        if states.total > 0 && line != said {
            cx.ui.say(&line);
            said = line;
        }
        if states.running > 0 || (states.total == 0 && instances.is_object()) {
            return Ok(());
        }
        if states.crashed > 0 || states.flapping > 0 {
            return Err(CfError::Start {
                app: name.into(),
                reason: states.why(name),
            });
        }
        if !patience.again().await {
            return Err(CfError::Start {
                app: name.into(),
                reason: "no instance ran within the time limit (CF_STARTUP_TIMEOUT)".into(),
            });
        }
    }
}

/// Instances by state.
#[derive(Default)]
struct Counted {
    total: usize,
    running: usize,
    starting: usize,
    down: usize,
    crashed: usize,
    flapping: usize,
    details: Vec<String>,
}

impl Counted {
    fn of(instances: &Value) -> Self {
        let mut counted = Self::default();
        for (index, instance) in instances.as_object().into_iter().flatten() {
            counted.total += 1;
            match instance["state"].as_str() {
                Some("RUNNING") => counted.running += 1,
                Some("STARTING") => counted.starting += 1,
                Some("CRASHED") => counted.crashed += 1,
                Some("FLAPPING") => counted.flapping += 1,
                _ => counted.down += 1,
            }
            if let Some(details) = instance["details"].as_str().filter(|d| !d.is_empty()) {
                counted.details.push(format!("instance {index}: {details}"));
            }
        }
        counted
    }

    fn line(&self) -> String {
        let parts = [
            (self.starting, "starting"),
            (self.down, "down"),
            (self.crashed, "crashed"),
            (self.flapping, "failing"),
        ];
        let rest: Vec<String> = parts
            .iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, what)| format!(", {n} {what}"))
            .collect();
        format!(
            "{} of {} instances running{}",
            self.running,
            self.total,
            rest.concat()
        )
    }

    fn why(&self, app: &str) -> String {
        match self.details.is_empty() {
            true => {
                format!("the app crashed while starting; `cf events {app}` has the exit status")
            }
            false => self.details.join("; "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_are_counted_by_state_with_their_details() {
        let counted = Counted::of(&json!({
            "0": {"state": "RUNNING"}, "1": {"state": "CRASHED", "details": "out of memory"}, "2": {"state": "DOWN"},
        }));
        assert_eq!(
            counted.line(),
            "1 of 3 instances running, 1 down, 1 crashed"
        );
        assert_eq!(counted.why("a"), "instance 1: out of memory");
    }
}
