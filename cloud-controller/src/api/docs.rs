//! The API's description of itself: `/openapi.json`, and `/docs` which shows it.

use std::sync::LazyLock;

use axum::Json;
use axum::extract::State;
use axum::response::{Html, IntoResponse};
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use v2_api::address::client_base;

use super::body::{Body, Raw};
use super::call::Call;
use super::internal::Admitted;
use super::matches::Incoming;
use super::routing::{Endpoint, Routes, get};
use super::upload::Form;
use crate::authorize::Caller;
use crate::controller::Ctl;
use crate::openapi::{Content, Operation, PAGE, Part, document, schema_of};

/// The page runs its own script and asks this server only.
const RULES: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'";

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/openapi.json", get(description))
        .route("/docs", get(page))
}

/// What every endpoint takes, found out once: it is the same for everybody, and whoever asks needs no token.
static OPERATIONS: LazyLock<Vec<(Endpoint, Operation)>> = LazyLock::new(|| {
    let mut operations = super::table().operations();
    operations.sort_by(|a, b| a.0.cmp(&b.0));
    operations
});

async fn description(State(ctl): State<Ctl>, headers: HeaderMap) -> Json<Value> {
    let base = client_base(&headers, &ctl.fallback_base);
    Json(document(&base, &ctl.config.api_version, &OPERATIONS))
}

async fn page() -> impl IntoResponse {
    ([(header::CONTENT_SECURITY_POLICY, RULES)], Html(PAGE))
}

impl Part for Caller {
    fn describe(operation: &mut Operation) {
        operation.secured = true;
    }
}

/// Components: by password, or with a signature in the query.
impl Part for Admitted {
    fn describe(operation: &mut Operation) {
        operation.query = true;
    }
}

impl Part for Call {
    fn describe(operation: &mut Operation) {
        operation.secured = true;
        operation.query = true;
    }
}

fn json_of<T: DeserializeOwned>() -> Option<Content> {
    Some(Content {
        kind: "application/json",
        schema: schema_of::<T>(),
    })
}

impl<T: DeserializeOwned> Part for Body<T> {
    fn describe(operation: &mut Operation) {
        operation.body = json_of::<T>();
    }
}

impl<T: DeserializeOwned> Part for Raw<T> {
    fn describe(operation: &mut Operation) {
        operation.body = json_of::<T>();
    }
}

impl Part for Incoming {
    fn describe(operation: &mut Operation) {
        operation.body = json_of::<Vec<Value>>();
    }
}

impl Part for Form {
    fn describe(operation: &mut Operation) {
        operation.body = Some(Content {
            kind: "multipart/form-data",
            schema: json!({"type": "object", "additionalProperties": {"type": "string", "format": "binary"}}),
        });
    }
}
