//! Events of what users do.

use serde_json::{Map, Value};

use crate::authorize::Caller;
use crate::controller::Ctl;
use crate::failure::Outcome;
use crate::store::{AppRow, NewEvent};

/// What replaces values that may hold secrets.
const HIDDEN: &str = "PRIVATE DATA HIDDEN";

/// An event about an app.
pub(crate) async fn of_app(
    ctl: &Ctl,
    caller: &Caller,
    kind: &'static str,
    app: &AppRow,
    metadata: Value,
) -> Outcome<NewEvent> {
    Ok(NewEvent {
        kind,
        actor: (caller.guid.clone(), "user", Some(caller.email.clone())),
        actee: (app.guid.clone(), "app", app.name.clone()),
        metadata,
        organization_guid: ctl.store.org_of_space(&app.space_guid).await?,
        space_guid: Some(app.space_guid.clone()),
    })
}

/// What was sent, without values that may hold secrets.
pub(crate) fn redacted(mut sent: Map<String, Value>) -> Value {
    for key in ["command", "environment_json", "docker_credentials_json"] {
        if let Some(value) = sent.get_mut(key) {
            *value = HIDDEN.into();
        }
    }
    Value::Object(sent)
}
