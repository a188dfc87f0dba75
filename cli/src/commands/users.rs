//! create-user, delete-user, passwd, oauth-token, config: accounts and the session.

use serde_json::{Value, json};

use super::{agreed, secret};
use crate::context::Context;
use crate::error::CfError;
use crate::line::{Arg, Args, Group, Json, NONE, Spec, arg, maybe, option, switch};

pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "create-user",
        group: Group::UserAdmin,
        about: "Create a new user",
        args: &[
            arg("USERNAME", "User name"),
            Arg {
                env: "CF_USER_PASSWORD",
                ..maybe(
                    "PASSWORD",
                    "Password; asked for or read from standard input when left out",
                )
            },
        ],
        run: |cx, args| Box::pin(create(cx, args)),
        ..NONE
    },
    Spec {
        name: "delete-user",
        group: Group::UserAdmin,
        about: "Delete a user",
        args: &[arg("USERNAME", "User name")],
        flags: &[switch("-f", "Do not ask")],
        run: |cx, args| Box::pin(delete(cx, args)),
        ..NONE
    },
    Spec {
        name: "passwd",
        alias: "pw",
        group: Group::GettingStarted,
        about: "Change user password",
        notes: "Without a terminal the passwords are read from CF_PASSWORD and CF_NEW_PASSWORD,\nor as two lines of standard input.",
        run: |cx, _| Box::pin(change_password(cx)),
        ..NONE
    },
    Spec {
        name: "oauth-token",
        group: Group::Advanced,
        about: "Retrieve and display the OAuth token for the current session",
        json: Json::One(&["token"]),
        run: |cx, _| Box::pin(token(cx)),
        ..NONE
    },
    Spec {
        name: "config",
        group: Group::GettingStarted,
        about: "Write default values to the config",
        flags: &[
            option(
                "--async-timeout",
                "MINUTES",
                "Limit for jobs of the controller; 0 is without limit",
            ),
            option(
                "--trace",
                "true|false",
                "Show requests on standard error, without secrets",
            ),
            option("--color", "true|false", "Colours on a terminal"),
            option(
                "--locale",
                "LOCALE",
                "Kept for the original; CLEAR removes it",
            ),
        ],
        run: |cx, args| Box::pin(async { configure(cx, args) }),
        ..NONE
    },
];

async fn create(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.logged_in()?;
    let name = args.need("USERNAME");
    let given = args.get("PASSWORD").map(str::to_owned);
    let password = given.map_or_else(|| secret("Password", "CF_USER_PASSWORD"), Ok)?;
    cx.ui.say(&format!("Creating user {}...", cx.ui.name(name)));
    let body = json!({
        "userName": name, "password": password, "origin": "",
        "name": {"givenName": name, "familyName": name},
        "emails": [{"value": name, "primary": true}],
    });
    let url = format!("{}/Users", cx.client.config.users_url());
    let made = match cx.client.post(&url, &body).await {
        Err(CfError::Api { status: 409, .. }) => return exists(cx, name),
        made => made?,
    };
    let known = json!({"guid": made["id"]});
    match cx.client.post("/v2/users", &known).await {
        Err(e) if e.code() == Some(20002) => return exists(cx, name),
        other => other?,
    };
    cx.ui.ok();
    cx.ui
        .say("TIP: Assign roles with 'cf set-org-role' and 'cf set-space-role'");
    Ok(())
}

fn exists(cx: &Context, name: &str) -> Result<(), CfError> {
    cx.ui.ok();
    cx.ui.warn(&format!("user {name} already exists"));
    Ok(())
}

async fn delete(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.logged_in()?;
    let name = args.need("USERNAME");
    if !agreed(args, &format!("user {name}"))? {
        return Ok(());
    }
    cx.announce(&format!("Deleting user {}", cx.ui.name(name)));
    let id = match cx.user_named(name).await {
        Err(CfError::NotFound { .. }) => {
            cx.ui.ok();
            cx.ui.warn(&format!("User {name} does not exist."));
            return Ok(());
        }
        found => found?,
    };
    let path = format!("/v2/users/{id}?async=true");
    match cx.client.delete_and_wait(&path).await {
        // Never seen by the controller: only the token server knows them.
        Err(e) if e.code() == Some(20003) => {}
        other => other?,
    }
    let url = format!("{}/Users/{id}", cx.client.config.users_url());
    cx.client.delete(&url).await?;
    cx.ui.ok();
    Ok(())
}

async fn change_password(cx: &mut Context) -> Result<(), CfError> {
    cx.logged_in()?;
    let from = |variable: &str, prompt: &str| match std::env::var(variable) {
        Ok(value) if !value.is_empty() => Ok(value),
        _ => secret(prompt, variable),
    };
    let old = from("CF_PASSWORD", "Current Password")?;
    let new = from("CF_NEW_PASSWORD", "New Password")?;
    use std::io::IsTerminal;
    if std::io::stdin().is_terminal() && secret("Verify Password", "CF_NEW_PASSWORD")? != new {
        return Err(CfError::Other(
            "Password verification does not match".into(),
        ));
    }
    cx.ui.say("Changing password...");
    let id = cx.client.config.user_guid().unwrap_or_default();
    let url = format!("{}/Users/{id}/password", cx.client.config.users_url());
    let body = json!({"password": new, "oldPassword": old});
    match cx.client.put(&url, &body).await {
        Err(CfError::NotLoggedIn) => {
            return Err(CfError::Other("Current password did not match".into()));
        }
        other => other?,
    };
    cx.ui.ok();
    cx.ui.say("Please log in again");
    let config = &mut cx.client.config;
    config.access_token.clear();
    config.refresh_token.clear();
    config.save()
}

async fn token(cx: &mut Context) -> Result<(), CfError> {
    cx.logged_in()?;
    cx.client.refresh().await?;
    let token = cx.client.config.access_token.clone();
    match cx.ui.json {
        true => cx.ui.document(json!({"token": token})),
        false => cx.ui.raw(&token),
    }
    Ok(())
}

fn configure(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    let flags = ["async-timeout", "trace", "color", "locale"];
    if flags.iter().all(|key| args.get(key).is_none()) {
        return Err(CfError::Usage(
            "nothing to set\nTIP: `cf help config` lists what there is.".into(),
        ));
    }
    let config = &mut cx.client.config;
    if let Some(minutes) = args.number("async-timeout")? {
        config.async_timeout = minutes;
    }
    if let Some(trace) = args.get("trace") {
        config.trace = boolean("trace", trace)?;
    }
    if let Some(colour) = args.get("color") {
        config.color_enabled = boolean("color", colour)?;
    }
    if let Some(locale) = args.get("locale") {
        config.locale = if locale == "CLEAR" { "" } else { locale }.to_owned();
    }
    config.save()?;
    cx.ui.ok();
    Ok(())
}

fn boolean(flag: &str, text: &str) -> Result<String, CfError> {
    match text.parse::<bool>() {
        Ok(value) => Ok(Value::Bool(value).to_string()),
        Err(_) => Err(CfError::Usage(format!(
            "--{flag} takes true or false, not {text:?}"
        ))),
    }
}
