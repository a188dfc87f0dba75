//! Stacks; and the service marketplace, which is empty here.

use axum::Json;
use axum::extract::Path;
use serde_json::{Value, json};
use v2_api::Code;

use super::call::Call;
use super::lists::{Present, View, empty, envelope};
use super::routing::{Routes, get};
use crate::authorize::Caller;
use crate::failure::Outcome;
use crate::store::{STACKS, StackRow, Table};

pub(super) fn routes() -> Routes {
    let nothing = || get(|_: Caller| async { empty() });
    Routes::new()
        .route("/v2/stacks", get(stacks))
        .route("/v2/stacks/{guid}", get(stack))
        .route("/v2/services", nothing())
        .route("/v2/service_plans", nothing())
        .route("/v2/service_keys", nothing())
        .route("/v2/service_brokers", nothing())
        .route("/v2/service_plan_visibilities", nothing())
        .route("/v2/service_auth_tokens", nothing())
}

impl Present for StackRow {
    const COLLECTION: &'static str = "stacks";

    fn table() -> &'static Table {
        &STACKS
    }

    fn flat(&self, _view: &View<'_>) -> Outcome<Value> {
        let entity = json!({"name": self.name, "description": self.description});
        Ok(envelope(
            Self::COLLECTION,
            &self.guid,
            (self.created_at, self.updated_at),
            entity,
        ))
    }
}

async fn stacks(call: Call) -> Outcome<Json<Value>> {
    call.list::<StackRow>(call.seen::<StackRow>()).await
}

async fn stack(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    let stack: StackRow = call.find(&guid, Code::StackNotFound).await?;
    call.show(&stack).await
}
