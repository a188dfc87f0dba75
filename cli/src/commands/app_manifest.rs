//! create-app-manifest: an app as it is, as a manifest that pushes it again.

use std::fmt::Write;
use std::path::PathBuf;

use serde_json::Value;

use super::route::Wanted;
use crate::context::{Context, guid, text};
use crate::error::CfError;
use crate::line::{Args, Group, NONE, Spec, arg, option};
use crate::size::show_mb;

pub(super) const COMMANDS: &[Spec] = &[Spec {
    name: "create-app-manifest",
    group: Group::Apps,
    about: "Create an app manifest for an app that has been pushed successfully",
    args: &[arg("APP_NAME", "App name")],
    flags: &[option(
        "-p",
        "FILE",
        "Where to write; ./APP_NAME_manifest.yml when left out",
    )],
    run: |cx, args| Box::pin(create(cx, args)),
    ..NONE
}];

async fn create(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    let name = args.need("APP_NAME");
    let file = args.get("p").map_or_else(
        || PathBuf::from(format!("{}_manifest.yml", name.replace('/', "_"))),
        PathBuf::from,
    );
    cx.announce_in_space(&format!(
        "Creating an app manifest from current settings of app {}",
        cx.ui.name(name)
    ));
    let app = cx.app(name).await?;
    let path = format!("/v2/apps/{}/summary", guid(&app));
    let summary = cx.client.get(&path).await?;
    let path = format!("/v2/stacks/{}", text(&app, "stack_guid"));
    let stack = cx.client.get(&path).await?;
    let manifest = manifest(&summary, text(&stack, "name"));
    std::fs::write(&file, manifest).map_err(CfError::file(&file))?;
    cx.ui.ok();
    let shown = file.display().to_string();
    cx.ui.say(&format!(
        "Manifest file created successfully at {}",
        cx.ui.name(&shown)
    ));
    Ok(())
}

/// The manifest of an app's summary.
fn manifest(summary: &Value, stack: &str) -> String {
    let mut page = String::from("---\napplications:\n");
    let said = |key: &str| summary[key].as_str().filter(|s| !s.is_empty());
    let size = |key: &str| summary[key].as_u64().map(show_mb);
    let _ = writeln!(page, "- name: {}", scalar(said("name").unwrap_or_default()));
    let check = said("health_check_type").filter(|c| *c != "port");
    let lines = [
        ("memory", size("memory")),
        ("disk_quota", size("disk_quota")),
        (
            "instances",
            summary["instances"].as_u64().map(|n| n.to_string()),
        ),
        ("buildpack", said("buildpack").map(scalar)),
        ("command", said("command").map(scalar)),
        ("stack", Some(scalar(stack))),
        (
            "timeout",
            summary["health_check_timeout"]
                .as_u64()
                .map(|n| n.to_string()),
        ),
        ("health-check-type", check.map(scalar)),
    ];
    for (key, value) in lines {
        if let Some(value) = value {
            let _ = writeln!(page, "  {key}: {value}");
        }
    }
    for (key, items) in [("services", services(summary)), ("routes", routes(summary))] {
        if !items.is_empty() {
            let _ = writeln!(page, "  {key}:");
        }
        for item in items {
            let _ = writeln!(page, "  - {item}");
        }
    }
    if routes(summary).is_empty() {
        page.push_str("  no-route: true\n");
    }
    env(&mut page, &summary["environment_json"]);
    page
}

fn services(summary: &Value) -> Vec<String> {
    let items = summary["services"].as_array().into_iter().flatten();
    items
        .filter_map(|s| s["name"].as_str().map(scalar))
        .collect()
}

fn routes(summary: &Value) -> Vec<String> {
    let lines = Wanted::of_summary(summary).into_iter();
    lines
        .map(|route| format!("route: {}", scalar(&route.to_string())))
        .collect()
}

fn env(page: &mut String, env: &Value) {
    let Some(env) = env.as_object().filter(|e| !e.is_empty()) else {
        return;
    };
    page.push_str("  env:\n");
    for (name, value) in env {
        let value = match value {
            Value::String(text) => scalar(text),
            other => other.to_string(),
        };
        let _ = writeln!(page, "    {}: {value}", scalar(name));
    }
}

/// Text that YAML reads as the same text: plain where nothing can be mistaken for
/// something else, in JSON's quotes otherwise.
fn scalar(text: &str) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let word = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    let mistaken = word.contains(&text.to_lowercase().as_str());
    match starts_well && !mistaken && text.chars().all(harmless) {
        true => text.to_owned(),
        false => Value::from(text).to_string(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::manifest;

    #[test]
    fn what_is_written_is_read_back_the_same() {
        let summary = serde_json::json!({
            "name": "off", "memory": 128, "disk_quota": 1024, "instances": 2,
            "command": "echo \"a: b\" # c", "health_check_type": "none",
            "routes": [{"host": "w", "domain": {"name": "d.com"}, "path": "/p"}],
            "services": [{"name": "my db"}],
            "environment_json": {"NO": "007", "N": "x\ny"},
        });
        let page = super::manifest(&summary, "host");
        let apps = manifest::parse(std::path::Path::new("m.yml"), &page).unwrap();
        let app = &apps[0];
        assert_eq!(app.name.as_deref(), Some("off"));
        assert_eq!(app.command.as_deref(), Some("echo \"a: b\" # c"));
        assert_eq!(app.routes, ["w.d.com/p"]);
        assert_eq!(app.services, ["my db"]);
        let mut env = app.env.clone();
        env.sort();
        assert_eq!(
            env,
            [("N".into(), "x\ny".into()), ("NO".into(), "007".into())]
        );
    }
}
