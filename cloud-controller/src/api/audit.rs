//! Events of what users do.

use serde_json::{Map, Value};

use crate::authorize::Caller;
use crate::controller::Ctl;
use crate::failure::Outcome;
use crate::store::{AppRow, NewEvent};

/// What replaces values that may hold secrets.
const HIDDEN: &str = "PRIVATE DATA HIDDEN";

/// An event of a user; `actee` is (guid, type, name), `place` is (space, organization).
pub(crate) fn event(
    caller: &Caller,
    kind: &'static str,
    actee: (&str, &'static str, &str),
    metadata: Value,
    place: (Option<&str>, Option<&str>),
) -> NewEvent {
    NewEvent {
        kind,
        actor: (caller.guid.clone(), "user", Some(caller.email.clone())),
        actee: (actee.0.to_owned(), actee.1, actee.2.to_owned()),
        metadata,
        space_guid: place.0.map(str::to_owned),
        organization_guid: place.1.map(str::to_owned),
    }
}

/// An event about an app.
pub(crate) async fn of_app(
    ctl: &Ctl,
    caller: &Caller,
    kind: &'static str,
    app: &AppRow,
    metadata: Value,
) -> Outcome<NewEvent> {
    let org = ctl.store.org_of_space(&app.space_guid).await?;
    let actee = (app.guid.as_str(), "app", app.name.as_str());
    let place = (Some(app.space_guid.as_str()), org.as_deref());
    Ok(event(caller, kind, actee, metadata, place))
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
