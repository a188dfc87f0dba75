//! Feature flags and environment variable groups: not enveloped.

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use v2_api::Code;

use super::app_change::reserved_name;
use super::audit;
use super::body::Body;
use super::routing::{Routes, get};
use crate::authorize::{Action, Caller};
use crate::controller::Ctl;
use crate::failure::{Outcome, fail, fail_with};

/// Flags and their defaults.
const FLAGS: &[(&str, bool)] = &[
    ("user_org_creation", false),
    ("private_domain_creation", true),
    ("app_bits_upload", true),
    ("app_scaling", true),
    ("route_creation", true),
    ("service_instance_creation", true),
    ("diego_docker", false),
    ("set_roles_by_username", true),
    ("unset_roles_by_username", true),
];

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/v2/config/feature_flags", get(flags))
        .route("/v2/config/feature_flags/{name}", get(flag).put(set_flag))
        .route(
            "/v2/config/environment_variable_groups/{name}",
            get(group).put(set_group),
        )
}

/// Whether a flag is on.
async fn is_enabled(ctl: &Ctl, name: &str) -> Outcome<bool> {
    let default = FLAGS
        .iter()
        .find(|(flag, _)| *flag == name)
        .is_some_and(|(_, default)| *default);
    Ok(ctl
        .store
        .flag(name)
        .await?
        .map_or(default, |(enabled, _)| enabled))
}

/// Refuses what a flag that is off forbids: 403/330002 with the flag's own message, or its name. Administrators are exempt.
pub(super) async fn need(ctl: &Ctl, caller: &Caller, name: &'static str) -> Outcome<()> {
    if caller.admin || is_enabled(ctl, name).await? {
        return Ok(());
    }
    let message = ctl.store.flag(name).await?.and_then(|(_, message)| message);
    let detail = message.unwrap_or_else(|| name.to_owned());
    Err(fail_with(Code::FeatureDisabled, detail))
}

async fn describe(ctl: &Ctl, name: &str, default: bool) -> Outcome<Value> {
    let (enabled, message) = ctl.store.flag(name).await?.unwrap_or((default, None));
    Ok(
        json!({"name": name, "enabled": enabled, "error_message": message, "url": format!("/v2/config/feature_flags/{name}")}),
    )
}

async fn flags(State(ctl): State<Ctl>, _caller: Caller) -> Outcome<Json<Value>> {
    let mut list = Vec::new();
    for (name, default) in FLAGS {
        list.push(describe(&ctl, name, *default).await?);
    }
    Ok(Json(Value::Array(list)))
}

fn known(name: &str) -> Outcome<bool> {
    let found = FLAGS.iter().find(|(flag, _)| *flag == name);
    found
        .map(|(_, default)| *default)
        .ok_or_else(|| fail_with(Code::FeatureFlagNotFound, name))
}

async fn flag(
    State(ctl): State<Ctl>,
    _caller: Caller,
    Path(name): Path<String>,
) -> Outcome<Json<Value>> {
    let default = known(&name)?;
    Ok(Json(describe(&ctl, &name, default).await?))
}

#[derive(Deserialize)]
struct FlagBody {
    enabled: bool,
    error_message: Option<String>,
}

async fn set_flag(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(name): Path<String>,
    Body(sent): Body<FlagBody>,
) -> Outcome<Json<Value>> {
    caller.need(Action::Administer)?;
    let default = known(&name)?;
    let mut tx = ctl.store.begin().await?;
    tx.set_flag(&name, sent.enabled, sent.error_message.as_deref())
        .await?;
    let metadata =
        json!({"request": {"enabled": sent.enabled, "error_message": sent.error_message}});
    let actee = (name.as_str(), "feature_flag", name.as_str());
    let event = audit::event(
        &caller,
        "audit.feature_flag.update",
        actee,
        metadata,
        (None, None),
    );
    tx.record_event(&event).await?;
    tx.commit().await?;
    Ok(Json(describe(&ctl, &name, default).await?))
}

fn known_group(name: &str) -> Outcome<()> {
    if matches!(name, "running" | "staging") {
        Ok(())
    } else {
        Err(fail(Code::NotFound))
    }
}

/// Values are texts or numbers, names not the platform's: a group must not hide what it tells every app.
fn check_group(vars: &Map<String, Value>) -> Outcome<()> {
    let invalid = |text| fail_with(Code::EnvironmentVariableGroupInvalid, text);
    let is_plain = |value: &Value| value.is_string() || value.is_number();
    if let Some((key, _)) = vars.iter().find(|(_, value)| !is_plain(value)) {
        return Err(invalid(format!("{key} must be a text or a number")));
    }
    match reserved_name(vars) {
        Some(key) => Err(invalid(format!("reserved_key:{key}"))),
        None => Ok(()),
    }
}

async fn group(
    State(ctl): State<Ctl>,
    _caller: Caller,
    Path(name): Path<String>,
) -> Outcome<Json<Value>> {
    known_group(&name)?;
    Ok(Json(Value::Object(ctl.store.env_group(&name).await?)))
}

async fn set_group(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(name): Path<String>,
    Body(vars): Body<Map<String, Value>>,
) -> Outcome<Json<Value>> {
    caller.need(Action::Administer)?;
    known_group(&name)?;
    check_group(&vars)?;
    let sealed = ctl.store.seal(&vars)?;
    let mut tx = ctl.store.begin().await?;
    tx.set_env_group(&name, &sealed).await?;
    // The names only: values may hold secrets.
    let metadata = json!({"request": {"names": vars.keys().collect::<Vec<_>>()}});
    let actee = (name.as_str(), "environment_variable_group", name.as_str());
    let kind = "audit.environment_variable_group.update";
    let event = audit::event(&caller, kind, actee, metadata, (None, None));
    tx.record_event(&event).await?;
    tx.commit().await?;
    Ok(Json(Value::Object(vars)))
}
