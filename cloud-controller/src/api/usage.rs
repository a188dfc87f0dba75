//! Usage events, for billing: administrators only.

use axum::Json;
use axum::extract::Path;
use http::StatusCode;
use serde_json::{Value, json};
use v2_api::Code;

use super::call::Call;
use super::lists::{Present, View, empty, envelope};
use super::routing::{Routes, get, post};
use crate::authorize::Action;
use crate::failure::{Outcome, fail_with};
use crate::store::{Scope, Table, USAGE, UsageRow};

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/v2/app_usage_events", get(list))
        .route("/v2/app_usage_events/{guid}", get(show))
        .route(
            "/v2/app_usage_events/destructively_purge_all_and_reseed_started_apps",
            post(reseed),
        )
        .route("/v2/service_usage_events", get(of_services))
}

impl Present for UsageRow {
    const COLLECTION: &'static str = "app_usage_events";

    fn table() -> &'static Table {
        &USAGE
    }

    fn flat(&self, _view: &View<'_>) -> Outcome<Value> {
        let entity = json!({
            "state": self.state, "memory_in_mb_per_instance": self.memory, "instance_count": self.instances,
            "app_guid": self.app_guid, "app_name": self.app_name, "space_guid": self.space_guid, "space_name": self.space_name,
            "org_guid": self.org_guid, "buildpack_guid": self.buildpack_guid, "buildpack_name": self.buildpack_name,
            "package_state": self.package_state, "parent_app_guid": self.app_guid, "parent_app_name": self.app_name,
            "process_type": "web",
        });
        let times = (self.created_at, None);
        Ok(envelope(Self::COLLECTION, &self.guid, times, entity))
    }
}

/// Oldest first; `after_guid` begins behind a row the reader has.
async fn list(call: Call) -> Outcome<Json<Value>> {
    call.need(Action::Administer)?;
    let Some(after) = call.parameter("after_guid") else {
        return call.list::<UsageRow>(Scope::all()).await;
    };
    let missing = || {
        let text =
            format!("after_guid {after}: there is no such event (any more); begin without it");
        fail_with(Code::BadQueryParameter, text)
    };
    let found: Option<UsageRow> = call.ctl.store.find(&USAGE, &Scope::all(), &after).await?;
    found.ok_or_else(missing)?;
    let behind = &["t.id > (SELECT id FROM app_usage_events WHERE guid = ", ")"];
    call.list::<UsageRow>(Scope::all().and(behind, &after))
        .await
}

async fn show(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    call.need(Action::Administer)?;
    let row: UsageRow = call.find(&guid, Code::ResourceNotFound).await?;
    call.show(&row).await
}

async fn reseed(call: Call) -> Outcome<StatusCode> {
    call.need(Action::Administer)?;
    let actee = ("", "app_usage_events", "");
    let event = call.event(
        "audit.app_usage_events.purge",
        actee,
        json!({}),
        (None, None),
    );
    let mut tx = call.ctl.store.begin().await?;
    tx.reseed_usage().await?;
    tx.record_event(&event).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// There are no managed services whose use could be billed.
async fn of_services(call: Call) -> Outcome<Json<Value>> {
    call.need(Action::Administer)?;
    Ok(empty())
}
