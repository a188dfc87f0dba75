//! `cf env`, `cf set-env`.

use serde_json::{Value, json};

use crate::context::{Context, guid};
use crate::error::CfError;
use crate::line::{Arg, Group, Json, NONE, Spec, arg};

const APP: Arg = arg("APP_NAME", "App name");
const NAME: Arg = arg("ENV_VAR_NAME", "Variable");

pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "env",
        alias: "e",
        group: Group::Apps,
        about: "Show all env variables for an app",
        args: &[APP],
        json: Json::One(&[
            "application_env_json",
            "environment_json",
            "running_env_json",
            "staging_env_json",
            "system_env_json",
        ]),
        run: |cx, args| Box::pin(show(cx, args.need("APP_NAME"))),
        ..NONE
    },
    Spec {
        name: "set-env",
        alias: "se",
        group: Group::Apps,
        about: "Set an env variable for an app",
        args: &[APP, NAME, arg("VALUE", "Value")],
        run: |cx, args| {
            Box::pin(change(
                cx,
                args.need("APP_NAME"),
                args.need("ENV_VAR_NAME"),
                args.get("VALUE"),
            ))
        },
        ..NONE
    },
    Spec {
        name: "unset-env",
        alias: "ue",
        group: Group::Apps,
        about: "Remove an env variable",
        args: &[APP, NAME],
        run: |cx, args| {
            Box::pin(change(
                cx,
                args.need("APP_NAME"),
                args.need("ENV_VAR_NAME"),
                None,
            ))
        },
        ..NONE
    },
];

/// Shows every variable of an app.
async fn show(cx: &mut Context, name: &str) -> Result<(), CfError> {
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
        let fields = [
            "application_env_json",
            "environment_json",
            "running_env_json",
            "staging_env_json",
            "system_env_json",
        ];
        let own = fields.map(|key| (key.to_owned(), env[key].clone()));
        cx.ui.document(Value::Object(own.into_iter().collect()));
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

/// Sets one variable, or removes it when there is no value.
async fn change(
    cx: &mut Context,
    app_name: &str,
    name: &str,
    value: Option<&str>,
) -> Result<(), CfError> {
    let app = cx.app(app_name).await?;
    let doing = match value {
        Some(_) => format!("Setting env variable '{name}' for app"),
        None => format!("Removing env variable {name} from app"),
    };
    cx.announce_in_space(&format!("{doing} {}", cx.ui.name(app_name)));
    let mut env = app["entity"]["environment_json"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    match value {
        Some(value) => {
            env.insert(name.into(), value.into());
        }
        None if env.remove(name).is_none() => {
            cx.ui.ok();
            cx.ui.warn(&format!("Env variable {name} was not set."));
            return Ok(());
        }
        None => {}
    }
    let path = format!("/v2/apps/{}", guid(&app));
    let body = json!({"environment_json": env});
    cx.client.put(&path, &body).await?;
    cx.ui.ok();
    cx.ui.say(&format!(
        "TIP: Use 'cf restage {app_name}' to ensure your env variable changes take effect"
    ));
    Ok(())
}
