//! `GET /v2/apps/:guid/env`.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::apps;
use crate::authorize::{Action, Caller};
use crate::controller::Ctl;
use crate::failure::Outcome;
use crate::messages::{vcap_application, vcap_services};

pub(super) async fn show(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
) -> Outcome<Json<Value>> {
    let (app, space) = apps::load(&ctl, &caller, &guid).await?;
    caller.need(Action::ReadSecrets(&space.guid))?;
    let around = ctl.surroundings(&app).await?;
    let vcap = vcap_application(&app, &around);
    Ok(Json(json!({
        "staging_env_json": around.staging_env,
        "running_env_json": around.running_env,
        "environment_json": around.environment,
        "system_env_json": {"VCAP_SERVICES": vcap_services(&around.services)},
        "application_env_json": {"VCAP_APPLICATION": vcap},
    })))
}
