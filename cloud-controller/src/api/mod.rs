//! The HTTP endpoints.
//!
//! | module | endpoints |
//! |---|---|
//! | `info` | `/`, `/v3`, `/v2/info` |
//! | `orgs`, `spaces`, `roles`, `users` | organizations, spaces, who is what in them |
//! | `apps`, `app_change`, `app_update`, `app_delete`, `instances`, `files`, `env`, `summary` | apps |
//! | `bits`, `resources`, `matches`, `upload`, `copy_bits` | resource matching, uploads |
//! | `routes`, `route_rules`, `mappings`, `domains` | addresses |
//! | `services`, `bindings` | user-provided services, and which apps use them |
//! | `quotas`, `space_quotas`, `room` | limits, and whether there is room |
//! | `security_groups`, `egress` | where containers may connect to |
//! | `usage` | what apps used, for billing |
//! | `catalog`, `buildpacks`, `settings`, `events`, `jobs` | the rest of what `cf` reads |
//! | `internal`, `bulk` | for DEAs, stagers and the health manager |
//! | `docs` | the API's description of itself |
//! | `routing`, `call`, `lists`, `relations`, `body`, `text`, `audit`, `times` | what they share |

mod app_change;
mod app_delete;
mod app_update;
mod apps;
mod audit;
mod bindings;
mod bits;
mod body;
mod buildpacks;
mod bulk;
mod call;
mod catalog;
mod copy_bits;
mod docs;
mod domains;
mod egress;
mod env;
mod events;
mod files;
mod info;
mod instances;
mod internal;
mod jobs;
mod lists;
mod mappings;
mod matches;
mod orgs;
mod quotas;
mod relations;
mod resources;
mod roles;
mod room;
mod route_rules;
mod routes;
mod routing;
mod security_groups;
mod services;
mod settings;
mod space_quotas;
mod spaces;
mod summary;
mod text;
pub(crate) mod times;
mod upload;
mod upload_md5;
mod usage;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{self, Next};
use axum::response::Response;
use http::{HeaderValue, header};
use serde_json::{Map, Value, json};
use v2_api::{ApiError, Code};

use crate::controller::Ctl;
use crate::failure::{self, Failure, fail};
use crate::limits::JSON_BODY_BYTES;

/// Header that follows one request through the platform.
const REQUEST_ID: &str = "x-vcap-request-id";

pub use routing::Endpoint;

/// The API's own routes.
fn table() -> routing::Routes {
    routing::Routes::new()
        .merge(info::routes())
        .merge(docs::routes())
        .merge(orgs::routes())
        .merge(spaces::routes())
        .merge(roles::routes())
        .merge(users::routes())
        .merge(apps::routes())
        .merge(instances::routes())
        .merge(files::routes())
        .merge(bits::routes())
        .merge(copy_bits::routes())
        .merge(routes::routes())
        .merge(mappings::routes())
        .merge(domains::routes())
        .merge(catalog::routes())
        .merge(quotas::routes())
        .merge(space_quotas::routes())
        .merge(services::routes())
        .merge(bindings::routes())
        .merge(buildpacks::routes())
        .merge(settings::routes())
        .merge(security_groups::routes())
        .merge(usage::routes())
        .merge(events::routes())
        .merge(jobs::routes())
        .merge(internal::routes())
        .merge(bulk::routes())
}

/// Every endpoint of the controller itself, by path and method; those of the token and log servers mounted beside it are not among them.
pub fn endpoints() -> Vec<Endpoint> {
    let all = table().operations().into_iter();
    let mut all: Vec<Endpoint> = all.map(|(endpoint, _)| endpoint).collect();
    all.sort();
    all
}

/// All routes: the API, and the token and log servers mounted beside it.
pub(crate) fn router(ctl: &Ctl) -> Router {
    table()
        .into_router()
        .layer(DefaultBodyLimit::max(JSON_BODY_BYTES))
        .with_state(ctl.clone())
        .merge(ctl.uaa.router(ctl.fallback_base.clone()))
        .merge(loggregator::router(
            ctl.logs.clone(),
            log_access(ctl),
            ctl.config.internal_auth.basic(),
        ))
        .fallback(|| async { fail(Code::NotFound) })
        .method_not_allowed_fallback(|| async { fail(Code::NotFound) })
        .layer(middleware::from_fn_with_state(
            ctl.clone(),
            failure::name_database,
        ))
        .layer(middleware::from_fn(location))
        .layer(middleware::from_fn(request_id))
}

/// Whether a token may read an app's logs: whoever may read the app.
fn log_access(ctl: &Ctl) -> loggregator::Access {
    let ctl = ctl.clone();
    Arc::new(move |token, app, moment| {
        let ctl = ctl.clone();
        Box::pin(async move { internal::may_read_logs(&ctl, &token, &app, moment).await })
    })
}

/// Gives `Location` to what a POST made.
async fn location(request: Request, next: Next) -> Response {
    let made = request.method() == http::Method::POST;
    let mut response = next.run(request).await;
    let place = response.extensions_mut().remove::<call::Place>();
    if let Some(call::Place(url)) = place.filter(|_| made) {
        response.headers_mut().insert(header::LOCATION, url);
    }
    response
}

/// Gives every answer a request id: the incoming one extended, or a new one.
async fn request_id(request: Request, next: Next) -> Response {
    let own = bus::ids::guid();
    let id = match request
        .headers()
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
    {
        Some(incoming) => format!("{incoming}::{own}"),
        None => own,
    };
    let mut response = next.run(request).await;
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let headers = response.headers_mut();
    if headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind == "application/json")
    {
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json;charset=utf-8"),
        );
    }
    response
}

/// The controller's own `/varz` keys.
pub(crate) fn varz(ctl: &Ctl) -> Map<String, Value> {
    let logs = ctl.logs.counters();
    crate::controller::object(json!({
        "healthy": ctl.trouble().is_none(),
        "bus_connected": ctl.bus.is_connected(),
        "database_connected": ctl.database.trouble().is_none(),
        "database_reads": ctl.store.reads(),
        "known_deas": ctl.dea_offers().len(),
        "uploaded_bytes": ctl.uploaded_bytes.load(std::sync::atomic::Ordering::Relaxed),
        "known_stagers": ctl.stagers().live(std::time::Instant::now()).len(),
        "logs": {"accepted": logs.accepted, "duplicates": logs.duplicates, "missing": logs.missing,
                 "displaced": logs.displaced, "lagged": logs.lagged},
    }))
}

/// A uniqueness violation as the API error it means, with what to do next.
fn taken(error: crate::store::StoreError, code: Code, detail: &str) -> Failure {
    if !error.is_duplicate() {
        return error.into();
    }
    let advice = match code {
        Code::RouteHostTaken | Code::RoutePathTaken => {
            "Choose another one; cf routes lists those of your space."
        }
        Code::ServiceBindingAppServiceTaken => {
            "It is bound already; cf restage makes the app see it."
        }
        _ => "Choose another name.",
    };
    ApiError::with(code, detail)
        .explain(format!("({advice})"))
        .into()
}
