//! The endpoints.

mod body;
mod caller;
mod login;
mod token;
mod users;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post, put};

use crate::service::Uaa;

/// The largest body any endpoint here reads.
const BODY_LIMIT: usize = 64 * 1024;

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

pub(crate) fn router(uaa: Uaa, fallback_base: String) -> Router {
    Router::new()
        .route("/login", get(login::login_info))
        .route("/oauth/token", post(token::issue))
        .route("/token_key", get(login::token_key))
        .route("/token_keys", get(login::token_keys))
        .route("/check_token", post(token::check))
        .route("/Users", get(users::list).post(users::create))
        .route("/Users/{id}", get(users::show).delete(users::delete))
        .route("/Users/{id}/password", put(users::change_password))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .with_state(Shared { uaa, fallback_base })
}
