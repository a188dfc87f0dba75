//! What administrators of the token server do: end tokens, renew the signing key.

use ::http::{HeaderMap, StatusCode};
use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::{Shared, caller};
use crate::error::Refusal;
use crate::store::Whose;

/// Scopes that may.
const ADMIN: &[&str] = &["uaa.admin", "cloud_controller.admin"];

/// Ends all tokens of a user; everybody may end their own.
pub(crate) async fn revoke_user(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    let claims = caller::bearer(&shared, &headers).await?;
    if claims.user_id.as_deref() != Some(id.as_str()) {
        caller::require(&claims, ADMIN)?;
    }
    let missing = || Refusal::scim(StatusCode::NOT_FOUND, format!("User {id} does not exist"));
    shared
        .uaa
        .0
        .store
        .user_by_id(&id)
        .await?
        .ok_or_else(missing)?;
    shared.uaa.revoke(Whose::User, &id).await?;
    Ok(StatusCode::OK)
}

/// Ends all tokens that were given to a client.
pub(crate) async fn revoke_client(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    caller::require(&caller::bearer(&shared, &headers).await?, ADMIN)?;
    if !shared.uaa.0.clients.contains_key(&id) {
        let text = format!("Client {id} does not exist");
        return Err(Refusal::scim(StatusCode::NOT_FOUND, text));
    }
    shared.uaa.revoke(Whose::Client, &id).await?;
    Ok(StatusCode::OK)
}

/// A new key signs from now on.
pub(crate) async fn rotate_key(
    State(shared): State<Shared>,
    headers: HeaderMap,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    caller::require(&caller::bearer(&shared, &headers).await?, ADMIN)?;
    let kid = shared.uaa.rotate_key().await?;
    Ok((StatusCode::CREATED, Json(json!({"kid": kid}))))
}
