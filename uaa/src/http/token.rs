//! `/oauth/token` and `/check_token`.

use ::http::HeaderMap;
use axum::extract::State;
use axum::{Form, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Shared, caller};
use crate::error::Refusal;
use crate::service::Tokens;

/// Form of the token endpoint; unknown fields are ignored.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct TokenForm {
    grant_type: String,
    username: Option<String>,
    password: Option<String>,
    refresh_token: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    scope: String,
}

pub(crate) async fn issue(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Form(form): Form<TokenForm>,
) -> Result<Json<Value>, Refusal> {
    let client = caller::client(
        &shared,
        &headers,
        form.client_id.as_deref(),
        form.client_secret.as_deref(),
    )?;
    let issuer = format!("{}/oauth/token", shared.base(&headers));
    let for_users = shared.uaa.0.clients[&client].users;
    let tokens = match form.grant_type.as_str() {
        "password" if for_users => {
            let name = needed(&form.username, "username")?;
            let password = needed(&form.password, "password")?;
            shared
                .uaa
                .login(&client, name, password, &form.scope, &issuer)
                .await?
        }
        "refresh_token" if for_users => {
            let token = needed(&form.refresh_token, "refresh_token")?;
            shared
                .uaa
                .refresh(&client, token, &form.scope, &issuer)
                .await?
        }
        "client_credentials" => shared.uaa.client_token(&client, &issuer)?,
        other => {
            return Err(Refusal::new(
                ::http::StatusCode::BAD_REQUEST,
                "unsupported_grant_type",
                format!(
                    "grant type {other:?} is not supported for client {client}: use password, refresh_token or client_credentials"
                ),
            ));
        }
    };
    Ok(Json(answer(tokens)))
}

fn needed<'a>(field: &'a Option<String>, name: &str) -> Result<&'a str, Refusal> {
    field
        .as_deref()
        .filter(|value| !value.is_empty())
        .ok_or_else(|| Refusal::invalid_request(format!("form field {name} is missing")))
}

fn answer(tokens: Tokens) -> Value {
    let claims = &tokens.claims;
    let mut body = json!({
        "access_token": tokens.access,
        "token_type": "bearer",
        "expires_in": (claims.exp - claims.iat - 1).max(0),
        "scope": claims.scope.join(" "),
        "jti": claims.jti,
    });
    if let Some(refresh) = tokens.refresh {
        body["refresh_token"] = json!(refresh);
    }
    body
}

/// Form of `/check_token`.
#[derive(Deserialize)]
pub(crate) struct CheckForm {
    token: String,
}

pub(crate) async fn check(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Form(form): Form<CheckForm>,
) -> Result<Json<Value>, Refusal> {
    caller::client(&shared, &headers, None, None)?;
    let claims = shared
        .uaa
        .0
        .verifier
        .verify_any_audience(&form.token)
        .map_err(|error| {
            Refusal::new(
                ::http::StatusCode::BAD_REQUEST,
                "invalid_token",
                error.to_string(),
            )
        })?;
    Ok(Json(json!(claims)))
}
