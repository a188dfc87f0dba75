//! `cf env`, `cf set-env`.

use serde_json::{Value, json};

use crate::context::{Context, guid};
use crate::error::CfError;

/// Shows every variable of an app.
pub(super) async fn show(cx: &mut Context, name: &str) -> Result<(), CfError> {
    let app = cx.app(name).await?;
    cx.ui.say(&format!(
        "Getting env variables for app {} {}",
        cx.ui.name(name),
        cx.place()
    ));
    let env = cx
        .client
        .get(&format!("/v2/apps/{}/env", guid(&app)))
        .await?;
    if cx.ui.json {
        cx.ui.json(&env);
        return Ok(());
    }
    cx.ui.ok();
    block(cx, "System-Provided:", &env["system_env_json"], true);
    block(cx, "", &env["application_env_json"], true);
    block(cx, "User-Provided:", &env["environment_json"], false);
    block(
        cx,
        "Running Environment Variable Groups:",
        &env["running_env_json"],
        false,
    );
    block(
        cx,
        "Staging Environment Variable Groups:",
        &env["staging_env_json"],
        false,
    );
    Ok(())
}

fn block(cx: &Context, title: &str, values: &Value, as_json: bool) {
    let Some(map) = values.as_object().filter(|m| !m.is_empty()) else {
        return;
    };
    if !title.is_empty() {
        cx.ui.say(title);
    }
    for (name, value) in map {
        match (as_json, value) {
            (true, v) => cx
                .ui
                .say(&serde_json::to_string_pretty(&json!({ name: v })).unwrap_or_default()),
            (false, Value::String(s)) => cx.ui.say(&format!("{name}: {s}")),
            (false, v) => cx.ui.say(&format!("{name}: {v}")),
        }
    }
    cx.ui.say("");
}

/// Sets one variable.
pub(super) async fn set(
    cx: &mut Context,
    app_name: &str,
    name: &str,
    value: &str,
) -> Result<(), CfError> {
    let app = cx.app(app_name).await?;
    cx.ui.say(&format!(
        "Setting env variable '{name}' for app {} {}",
        cx.ui.name(app_name),
        cx.place()
    ));
    let mut env = app["entity"]["environment_json"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    env.insert(name.into(), value.into());
    cx.client
        .put(
            &format!("/v2/apps/{}", guid(&app)),
            &json!({"environment_json": env}),
        )
        .await?;
    cx.ui.ok();
    cx.ui.say(&format!(
        "TIP: Use 'cf restart {app_name}' to ensure your env variable changes take effect"
    ));
    Ok(())
}
