//! The endpoints.

mod admin;
mod authorize;
mod body;
mod caller;
mod groups;
mod limit;
mod login;
mod page;
mod token;
mod users;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post, put};

use crate::limits::BODY_BYTES;
use crate::service::Uaa;

/// What handlers share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) uaa: Uaa,
    pub(crate) fallback_base: String,
}

impl Shared {
    /// The address this client used.
    pub(crate) fn base(&self, headers: &::http::HeaderMap) -> String {
        v2_api::address::client_base(headers, &self.fallback_base)
    }
}

/// Every endpoint: method and path.
pub const ENDPOINTS: &[(&str, &str)] = &[
    ("GET", "/login"),
    ("GET", "/oauth/authorize"),
    ("POST", "/oauth/authorize"),
    ("POST", "/oauth/token"),
    ("DELETE", "/oauth/token/revoke/user/{id}"),
    ("DELETE", "/oauth/token/revoke/client/{id}"),
    ("GET", "/token_key"),
    ("GET", "/token_keys"),
    ("POST", "/token_keys"),
    ("POST", "/check_token"),
    ("GET", "/Users"),
    ("POST", "/Users"),
    ("GET", "/Users/{id}"),
    ("DELETE", "/Users/{id}"),
    ("PUT", "/Users/{id}/password"),
    ("GET", "/Groups"),
    ("POST", "/Groups"),
    ("GET", "/Groups/{id}"),
    ("DELETE", "/Groups/{id}"),
    ("POST", "/Groups/{id}/members"),
    ("DELETE", "/Groups/{id}/members/{user}"),
];

pub(crate) fn router(uaa: Uaa, fallback_base: String) -> Router {
    Router::new()
        .route("/login", get(login::login_info))
        .route("/oauth/token", post(token::issue))
        .route("/token_key", get(login::token_key))
        .route(
            "/oauth/authorize",
            get(authorize::show).post(authorize::log_in),
        )
        .route("/oauth/token/revoke/user/{id}", delete(admin::revoke_user))
        .route(
            "/oauth/token/revoke/client/{id}",
            delete(admin::revoke_client),
        )
        .route(
            "/token_keys",
            get(login::token_keys).post(admin::rotate_key),
        )
        .route("/check_token", post(token::check))
        .route("/Users", get(users::list).post(users::create))
        .route("/Users/{id}", get(users::show).delete(users::delete))
        .route("/Users/{id}/password", put(users::change_password))
        .route("/Groups", get(groups::list).post(groups::create))
        .route("/Groups/{id}", get(groups::show).delete(groups::delete))
        .route("/Groups/{id}/members", post(groups::add_member))
        .route("/Groups/{id}/members/{user}", delete(groups::remove_member))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(Shared { uaa, fallback_base })
}
