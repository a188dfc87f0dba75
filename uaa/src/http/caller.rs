//! Who calls: client credentials of the token endpoint, bearer tokens of the rest.

use ::http::{HeaderMap, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq as _;

use super::Shared;
use crate::error::Refusal;
use crate::token::Claims;

/// The client that asks for a token: Basic or form fields, both accepted; both present must agree.
pub(crate) fn client(
    shared: &Shared,
    headers: &HeaderMap,
    form_id: Option<&str>,
    form_secret: Option<&str>,
) -> Result<String, Refusal> {
    let basic = headers
        .get(header::AUTHORIZATION)
        .map(|value| decode_basic(value.as_bytes()));
    let (id, secret) = match (basic, form_id) {
        (Some(Some(basic)), _) => basic,
        (Some(None), _) => return Err(refused()),
        (None, Some(id)) => (id.to_owned(), form_secret.unwrap_or_default().to_owned()),
        (None, None) => return Err(refused()),
    };
    match shared.uaa.0.clients.get(&id) {
        Some(known) if bool::from(known.secret.as_bytes().ct_eq(secret.as_bytes())) => Ok(id),
        _ => Err(refused()),
    }
}

fn refused() -> Refusal {
    Refusal::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "Bad client credentials: send client id and secret by HTTP Basic or as form fields",
    )
}

fn decode_basic(value: &[u8]) -> Option<(String, String)> {
    let text = std::str::from_utf8(value).ok()?;
    let (scheme, encoded) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

/// The claims of the bearer token.
pub(crate) async fn bearer(shared: &Shared, headers: &HeaderMap) -> Result<Claims, Refusal> {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| {
            Refusal::unauthorized("Full authentication is required to access this resource")
        })?;
    shared.uaa.refresh_rules(Some(token)).await?;
    shared
        .uaa
        .verifier()
        .verify_any_audience(token)
        .map_err(|error| Refusal::invalid_token(error.to_string()))
}

/// Refuses a caller without any of these scopes.
pub(crate) fn require(claims: &Claims, scopes: &[&str]) -> Result<(), Refusal> {
    if scopes.iter().any(|scope| claims.has(scope)) {
        Ok(())
    } else {
        Err(Refusal::scope(&scopes.join(", ")))
    }
}
