//! SCIM: the users.

use ::http::{HeaderMap, StatusCode};
use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::Body;
use super::limit::Address;
use super::{Shared, caller};
use crate::error::{OpenError, Refusal};
use crate::filter;
use crate::grants::is_name;
use crate::limits::NAME_BYTES;
use crate::service::NewUser;
use crate::store::UserRow;

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
    // Who may not read all users finds itself, and learns nothing of others.
    let own = claims.user_id.as_deref().unwrap_or_default();
    let only = (!claims.has("scim.read")).then_some(own);
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
        .users(&terms, only)
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
    address: Address,
    headers: HeaderMap,
    Body(body): Body<UserBody>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    caller::require(&caller::bearer(&shared, &headers).await?, &["scim.write"])?;
    if !is_name(&body.username) {
        return Err(Refusal::invalid_request(format!(
            "userName must not be empty, longer than {NAME_BYTES} bytes, or have control characters"
        )));
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
    match shared.uaa.create(user, address.as_str()).await {
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
    address: Address,
    headers: HeaderMap,
    Path(id): Path<String>,
    Body(body): Body<PasswordBody>,
) -> Result<Json<Value>, Refusal> {
    let claims = caller::bearer(&shared, &headers).await?;
    let is_own = claims.user_id.as_deref() == Some(id.as_str());
    caller::require(
        &claims,
        &[if is_own {
            "password.write"
        } else {
            "scim.write"
        }],
    )?;
    let user = load(&shared, &id).await?;
    if body.password.is_empty() {
        return Err(Refusal::invalid_request("password must not be empty"));
    }
    let uaa = &shared.uaa;
    let tested_in = match is_own {
        true => Some(old_password(&shared, &address, &user, &body).await?),
        false => None,
    };
    let turn = uaa.0.passwords.turn(address.as_str()).await?;
    let hash = uaa.0.passwords.hash(turn, &body.password).await?;
    if !uaa.0.store.set_password(&id, &hash, tested_in).await? {
        let text = "The account was changed at this moment. Log in again.";
        return Err(Refusal::unauthorized(text));
    }
    uaa.reload().await?;
    Ok(Json(json!({"status": "ok", "message": "password updated"})))
}

/// Tests the old password as a login does, and gives the generation it was tested in.
async fn old_password(
    shared: &Shared,
    address: &Address,
    user: &UserRow,
    body: &PasswordBody,
) -> Result<i64, Refusal> {
    let old = body.old.as_deref().unwrap_or_default();
    let login = shared
        .uaa
        .authenticate(&user.username, old, address.as_str());
    let known = address.limited(&shared.uaa, login).await;
    let known = known.map_err(|refusal| match refusal.description.as_str() {
        "Bad credentials" => Refusal::unauthorized("The old password is not correct"),
        _ => refusal,
    })?;
    // The name can have been given to somebody else meanwhile.
    if known.id != user.id {
        return Err(Refusal::unauthorized("The old password is not correct"));
    }
    Ok(known.generation)
}

pub(crate) async fn delete(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    caller::require(&caller::bearer(&shared, &headers).await?, &["scim.write"])?;
    let user = load(&shared, &id).await?;
    shared.uaa.0.store.delete_user(&user.id).await?;
    shared.uaa.reload().await?;
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
