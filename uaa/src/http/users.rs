//! SCIM: the users.

use ::http::{HeaderMap, StatusCode};
use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::Body;
use super::{Shared, caller};
use crate::error::{OpenError, Refusal};
use crate::filter;
use crate::service::NewUser;
use crate::store::{UserRow, Whose};

pub(super) const SCHEMA: &str = "urn:scim:schemas:core:1.0";

#[derive(Deserialize)]
pub(crate) struct ListParams {
    pub(super) filter: Option<String>,
}

pub(crate) async fn list(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Query(params): Query<ListParams>,
) -> Result<Json<Value>, Refusal> {
    let claims = caller::bearer(&shared, &headers).await?;
    let terms = match &params.filter {
        Some(text) => {
            caller::require(&claims, &["scim.read", "scim.userids"])?;
            filter::parse(text)
                .map_err(|reason| Refusal::invalid_request(format!("filter {text:?}: {reason}")))?
        }
        None => {
            caller::require(&claims, &["scim.read"])?;
            Vec::new()
        }
    };
    let users: Vec<Value> = shared
        .uaa
        .0
        .store
        .users(&terms)
        .await?
        .iter()
        .map(present)
        .collect();
    Ok(Json(json!({
        "totalResults": users.len(), "resources": users, "startIndex": 1, "itemsPerPage": 100, "schemas": [SCHEMA],
    })))
}

pub(crate) async fn show(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let claims = caller::bearer(&shared, &headers).await?;
    if claims.user_id.as_deref() != Some(id.as_str()) {
        caller::require(&claims, &["scim.read"])?;
    }
    Ok(Json(present(&load(&shared, &id).await?)))
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Name {
    #[serde(rename = "givenName")]
    given: Option<String>,
    #[serde(rename = "familyName")]
    family: Option<String>,
}

#[derive(Deserialize)]
struct Email {
    value: String,
}

/// A user as clients post it; unknown keys (`origin`, …) are ignored.
#[derive(Deserialize)]
pub(crate) struct UserBody {
    #[serde(rename = "userName")]
    username: String,
    password: Option<String>,
    #[serde(default)]
    name: Name,
    #[serde(default)]
    emails: Vec<Email>,
}

pub(crate) async fn create(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Body(body): Body<UserBody>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    caller::require(&caller::bearer(&shared, &headers).await?, &["scim.write"])?;
    if body.username.trim().is_empty() {
        return Err(Refusal::invalid_request("userName must not be empty"));
    }
    let password = body
        .password
        .filter(|p| !p.is_empty())
        .ok_or_else(|| Refusal::invalid_request("password must not be empty"))?;
    let email = body
        .emails
        .into_iter()
        .next()
        .map_or_else(|| body.username.clone(), |e| e.value);
    let user = NewUser {
        username: body.username.clone(),
        password,
        email,
        given_name: body.name.given.unwrap_or_default(),
        family_name: body.name.family.unwrap_or_default(),
        admin: false,
    };
    match shared.uaa.create(user).await {
        Ok(row) => Ok((StatusCode::CREATED, Json(present(&row)))),
        Err(OpenError::Store(error)) if error.is_duplicate() => Err(Refusal::scim(
            StatusCode::CONFLICT,
            format!("Username already in use: {}", body.username),
        )),
        Err(error) => Err(error.into()),
    }
}

/// Body of a password change.
#[derive(Deserialize)]
pub(crate) struct PasswordBody {
    password: String,
    #[serde(rename = "oldPassword")]
    old: Option<String>,
}

pub(crate) async fn change_password(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Body(body): Body<PasswordBody>,
) -> Result<Json<Value>, Refusal> {
    let claims = caller::bearer(&shared, &headers).await?;
    let user = load(&shared, &id).await?;
    if claims.user_id.as_deref() == Some(user.id.as_str()) {
        caller::require(&claims, &["password.write"])?;
        let old = body.old.unwrap_or_default();
        if !shared
            .uaa
            .0
            .passwords
            .verify(&old, Some(&user.password_hash))
            .await?
        {
            return Err(Refusal::unauthorized("The old password is not correct"));
        }
    } else {
        caller::require(&claims, &["scim.write"])?;
    }
    if body.password.is_empty() {
        return Err(Refusal::invalid_request("password must not be empty"));
    }
    let hash = shared.uaa.0.passwords.hash(&body.password).await?;
    shared.uaa.0.store.set_password(&user.id, &hash).await?;
    shared.uaa.revoke(Whose::User, &user.id).await?;
    Ok(Json(json!({"status": "ok", "message": "password updated"})))
}

pub(crate) async fn delete(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    caller::require(&caller::bearer(&shared, &headers).await?, &["scim.write"])?;
    let user = load(&shared, &id).await?;
    shared.uaa.0.store.delete_user(&user.id).await?;
    shared.uaa.revoke(Whose::User, &user.id).await?;
    Ok(Json(present(&user)))
}

async fn load(shared: &Shared, id: &str) -> Result<UserRow, Refusal> {
    let user = shared.uaa.0.store.user_by_id(id).await?;
    user.ok_or_else(|| Refusal::scim(StatusCode::NOT_FOUND, format!("User {id} does not exist")))
}

fn present(user: &UserRow) -> Value {
    json!({
        "id": user.id,
        "userName": user.username,
        "name": {"givenName": user.given_name, "familyName": user.family_name},
        "emails": [{"value": user.email, "primary": true}],
        "groups": user.groups.iter().map(|g| json!({"display": g, "value": g})).collect::<Vec<_>>(),
        "active": true,
        "schemas": [SCHEMA],
    })
}
