//! create-user-provided-service, update-user-provided-service: credentials of one's
//! own, as JSON, from a file, or typed key by key.

use serde_json::{Map, Value, json};

use super::{secret, services};
use crate::context::{Context, guid};
use crate::error::CfError;
use crate::line::{Arg, Args, Flag, Group, NONE, Spec, arg, option};

const SERVICE: Arg = arg("SERVICE_INSTANCE", "Name of the service instance");
const CREDENTIALS: Flag = option(
    "-p",
    "CREDENTIALS",
    "JSON object, @FILE, or names of credentials to be asked for: \"user, password\"",
);
const DRAIN: Flag = option(
    "-l",
    "SYSLOG_DRAIN_URL",
    "Where the logs of bound apps are sent",
);
const NOTES: &str = "\nEXAMPLES:\n   cf cups my-db -p '{\"uri\":\"postgres://…\"}'\n   cf cups my-db -p @credentials.json\n   cf cups my-db -p \"user, password\"\n   cf cups my-drain -l syslog://example.com:514";

pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "create-user-provided-service",
        alias: "cups",
        group: Group::Services,
        about: "Make a user-provided service instance available to CF apps",
        args: &[SERVICE],
        flags: &[CREDENTIALS, DRAIN],
        notes: NOTES,
        run: |cx, args| Box::pin(create(cx, args)),
        ..NONE
    },
    Spec {
        name: "update-user-provided-service",
        alias: "uups",
        group: Group::Services,
        about: "Update user-provided service instance",
        args: &[SERVICE],
        flags: &[CREDENTIALS, DRAIN],
        notes: NOTES,
        run: |cx, args| Box::pin(update(cx, args)),
        ..NONE
    },
];

async fn create(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    let space = cx.space()?;
    let name = args.need("SERVICE_INSTANCE");
    let credentials = args.get("p").map(credentials).transpose()?;
    cx.announce_in_space(&format!(
        "Creating user provided service {}",
        cx.ui.name(name)
    ));
    let body = json!({
        "name": name, "credentials": credentials.unwrap_or_else(|| json!({})),
        "space_guid": space.guid, "syslog_drain_url": args.get("l").unwrap_or_default(),
        "route_service_url": "",
    });
    cx.client
        .post("/v2/user_provided_service_instances", &body)
        .await?;
    cx.ui.ok();
    Ok(())
}

async fn update(cx: &mut Context, args: &Args) -> Result<(), CfError> {
    cx.space()?;
    let name = args.need("SERVICE_INSTANCE");
    let mut body = Map::new();
    if let Some(given) = args.get("p") {
        body.insert("credentials".into(), credentials(given)?);
    }
    if let Some(drain) = args.get("l") {
        body.insert("syslog_drain_url".into(), drain.into());
    }
    if body.is_empty() {
        return Err(CfError::Usage(
            "nothing to change\nTIP: give -p CREDENTIALS or -l SYSLOG_DRAIN_URL.".into(),
        ));
    }
    let instance = cx.service_named(name).await?;
    if !services::is_user_provided(&instance) {
        return Err(CfError::Other(format!(
            "Service Instance {name} is not user provided"
        )));
    }
    cx.announce_in_space(&format!(
        "Updating user provided service {}",
        cx.ui.name(name)
    ));
    let path = format!("/v2/user_provided_service_instances/{}", guid(&instance));
    cx.client.put(&path, &body.into()).await?;
    cx.ui.ok();
    cx.ui.say(&format!(
        "TIP: Use 'cf restage' for any bound apps to ensure your env variable changes take effect ({name})"
    ));
    Ok(())
}

/// An object from JSON or `@FILE`.
pub(super) fn json_of(given: &str) -> Result<Value, CfError> {
    let text = match given.strip_prefix('@') {
        Some(path) => std::fs::read_to_string(path).map_err(CfError::file(path))?,
        None => given.to_owned(),
    };
    match serde_json::from_str(&text) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(CfError::Usage(
            "a JSON object is wanted: {\"key\": …}".into(),
        )),
        // The text itself may hold secrets, so only the place of the mistake is shown.
        Err(e) => Err(CfError::Usage(format!(
            "no valid JSON: line {} column {}",
            e.line(),
            e.column()
        ))),
    }
}

fn credentials(given: &str) -> Result<Value, CfError> {
    let given = given.trim();
    if given.starts_with(['{', '[', '@']) {
        return json_of(given);
    }
    let mut map = Map::new();
    for key in given.split(',').map(str::trim).filter(|k| !k.is_empty()) {
        map.insert(key.into(), secret(key, "-p with JSON")?.into());
    }
    Ok(map.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_in_the_json_is_placed_without_showing_it() {
        let error = json_of("{\"password\": hunter2}").expect_err("refused");
        let text = error.to_string();
        assert!(
            text.contains("column 14") && !text.contains("hunter2"),
            "{text}"
        );
    }

    #[test]
    fn credentials_are_an_object() {
        assert!(json_of("[1]").is_err());
        assert_eq!(credentials("{\"a\": 1}").expect("good"), json!({"a": 1}));
    }
}
