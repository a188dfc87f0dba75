//! Events.

use axum::extract::{RawQuery, State};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::lists::{Present, View, envelope, page};
use super::times::rfc3339;
use crate::authorize::{Caller, SEEN_EVENTS};
use crate::controller::Ctl;
use crate::failure::Outcome;
use crate::store::{EVENTS, EventRow};

pub(super) fn routes() -> Router<Ctl> {
    Router::new().route("/v2/events", get(list))
}

impl Present for EventRow {
    fn flat(&self, _view: &View<'_>) -> Outcome<Value> {
        let metadata: Value = serde_json::from_str(&self.metadata).unwrap_or_else(|_| json!({}));
        let entity = json!({
            "type": self.kind, "actor": self.actor, "actor_type": self.actor_type, "actor_name": self.actor_name,
            "actee": self.actee, "actee_type": self.actee_type, "actee_name": self.actee_name, "timestamp": rfc3339(self.timestamp),
            "metadata": metadata, "space_guid": self.space_guid, "organization_guid": self.organization_guid,
        });
        Ok(envelope(
            "events",
            &self.guid,
            (self.timestamp, None),
            entity,
        ))
    }
}

async fn list(State(ctl): State<Ctl>, caller: Caller, raw: RawQuery) -> Outcome<Json<Value>> {
    let view = View {
        ctl: &ctl,
        caller: &caller,
    };
    page::<EventRow>(
        &view,
        &EVENTS,
        &caller.visible(SEEN_EVENTS),
        &raw,
        "/v2/events",
    )
    .await
}
