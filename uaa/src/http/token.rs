//! `/oauth/token` and `/check_token`.

use ::http::HeaderMap;
use axum::extract::State;
use axum::{Form, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::limit::Address;
use super::{Shared, caller};
use crate::error::Refusal;
use crate::grants::Tokens;

/// Form of the token endpoint; unknown fields are ignored.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct TokenForm {
    grant_type: String,
    username: Option<String>,
    password: Option<String>,
    refresh_token: Option<String>,
    code: Option<String>,
    redirect_uri: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
    scope: String,
}

pub(crate) async fn issue(
    State(shared): State<Shared>,
    address: Address,
    headers: HeaderMap,
    Form(form): Form<TokenForm>,
) -> Result<Json<Value>, Refusal> {
    let tokens = address.limited(&shared.uaa, grant(&shared, &address, &headers, &form));
    Ok(Json(answer(tokens.await?)))
}

/// Lets the client in and carries out the grant it asks for.
async fn grant(
    shared: &Shared,
    address: &Address,
    headers: &HeaderMap,
    form: &TokenForm,
) -> Result<Tokens, Refusal> {
    let id = caller::client(
        shared,
        headers,
        form.client_id.as_deref(),
        form.client_secret.as_deref(),
    )?;
    let issuer = format!("{}/oauth/token", shared.base(headers));
    let (uaa, client) = (&shared.uaa, &shared.uaa.0.clients[&id]);
    match form.grant_type.as_str() {
        "password" if client.takes_passwords => {
            let name = needed(&form.username, "username")?;
            let password = needed(&form.password, "password")?;
            let address = address.as_str();
            uaa.login(&id, (name, password), &form.scope, &issuer, address)
                .await
        }
        "authorization_code" if !client.redirect_uris.is_empty() => {
            let code = needed(&form.code, "code")?;
            let back = needed(&form.redirect_uri, "redirect_uri")?;
            uaa.exchange(&id, code, back, &issuer).await
        }
        "refresh_token" if !client.scopes.is_empty() => {
            let token = needed(&form.refresh_token, "refresh_token")?;
            uaa.refresh(&id, token, &form.scope, &issuer).await
        }
        "client_credentials" => uaa.client_token(&id, &form.scope, &issuer).await,
        other => Err(Refusal::new(
            ::http::StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            format!(
                "grant type {other:?} is not supported for client {id}: use password, authorization_code, refresh_token or client_credentials, as it is registered for"
            ),
        )),
    }
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
    address: Address,
    headers: HeaderMap,
    Form(form): Form<CheckForm>,
) -> Result<Json<Value>, Refusal> {
    let client = async { caller::client(&shared, &headers, None, None) };
    address.limited(&shared.uaa, client).await?;
    shared.uaa.refresh_rules(Some(&form.token)).await?;
    let claims = shared
        .uaa
        .verifier()
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
