//! Events.

use axum::Json;
use axum::extract::Path;
use serde_json::{Value, json};
use v2_api::Code;

use super::call::Call;
use super::lists::{Present, View, envelope};
use super::routing::{Routes, get};
use super::times::rfc3339;
use crate::authorize::SEEN_EVENTS;
use crate::failure::Outcome;
use crate::store::{EVENTS, EventRow, Table};

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/v2/events", get(list))
        .route("/v2/events/{guid}", get(show))
}

impl Present for EventRow {
    const COLLECTION: &'static str = "events";
    const SEEN: &'static [&'static str] = SEEN_EVENTS;

    fn table() -> &'static Table {
        &EVENTS
    }

    fn flat(&self, _view: &View<'_>) -> Outcome<Value> {
        let metadata: Value = serde_json::from_str(&self.metadata).unwrap_or_else(|_| json!({}));
        let entity = json!({
            "type": self.kind, "actor": self.actor, "actor_type": self.actor_type, "actor_name": self.actor_name,
            "actee": self.actee, "actee_type": self.actee_type, "actee_name": self.actee_name, "timestamp": rfc3339(self.timestamp),
            "metadata": metadata, "space_guid": self.space_guid, "organization_guid": self.organization_guid,
        });
        Ok(envelope(
            Self::COLLECTION,
            &self.guid,
            (self.timestamp, None),
            entity,
        ))
    }
}

async fn list(call: Call) -> Outcome<Json<Value>> {
    call.list::<EventRow>(call.seen::<EventRow>()).await
}

async fn show(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    let scope = call.seen::<EventRow>();
    let event: EventRow = call
        .find_visible(&guid, &scope, Code::EventNotFound)
        .await?;
    call.show(&event).await
}
