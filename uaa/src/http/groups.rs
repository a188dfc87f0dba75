//! SCIM: the groups. A group's id is its name; users carry theirs with them, as tokens do.

use std::collections::BTreeMap;

use ::http::{HeaderMap, StatusCode};
use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::Body;
use super::users::{ListParams, SCHEMA};
use super::{Shared, caller};
use crate::error::Refusal;
use crate::filter::{self, Term};
use crate::limits::GROUP_NAME_BYTES;
use crate::scope::{ADMIN_GROUPS, DEFAULT_GROUPS};
use crate::service::now_micros;

/// Every group with the ids of its members.
async fn all(shared: &Shared) -> Result<BTreeMap<String, Vec<String>>, Refusal> {
    let store = &shared.uaa.0.store;
    let known = DEFAULT_GROUPS
        .iter()
        .chain(ADMIN_GROUPS)
        .map(|name| (*name).to_owned());
    let mut groups: BTreeMap<String, Vec<String>> = known
        .chain(store.made_groups().await?)
        .map(|name| (name, Vec::new()))
        .collect();
    for user in store.users(&[], None).await? {
        for name in user.groups {
            groups.entry(name).or_default().push(user.id.clone());
        }
    }
    Ok(groups)
}

fn present(name: &str, members: &[String]) -> Value {
    let member = |id: &String| json!({"value": id, "type": "USER", "origin": "uaa"});
    json!({
        "id": name, "displayName": name, "schemas": [SCHEMA], "zoneId": "uaa",
        "members": members.iter().map(member).collect::<Vec<_>>(),
    })
}

async fn load(shared: &Shared, name: &str) -> Result<Vec<String>, Refusal> {
    let missing = || {
        Refusal::scim(
            StatusCode::NOT_FOUND,
            format!("Group {name} does not exist"),
        )
    };
    all(shared).await?.remove(name).ok_or_else(missing)
}

pub(crate) async fn list(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Query(params): Query<ListParams>,
) -> Result<Json<Value>, Refusal> {
    caller::require(&caller::bearer(&shared, &headers).await?, &["scim.read"])?;
    let terms = match &params.filter {
        Some(text) => filter::parse(text)
            .map_err(|reason| Refusal::invalid_request(format!("filter {text:?}: {reason}")))?,
        None => Vec::new(),
    };
    let matches = |name: &str| {
        let hit = |term: &Term| match term {
            Term::Id(wanted) => wanted == name,
            Term::Name(wanted) => *wanted == name.to_lowercase(),
        };
        terms.is_empty() || terms.iter().any(hit)
    };
    let groups = all(&shared).await?;
    let found: Vec<Value> = groups
        .iter()
        .filter(|(name, _)| matches(name))
        .map(|(name, members)| present(name, members))
        .collect();
    Ok(Json(json!({
        "totalResults": found.len(), "resources": found, "startIndex": 1, "itemsPerPage": 100, "schemas": [SCHEMA],
    })))
}

pub(crate) async fn show(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Json<Value>, Refusal> {
    caller::require(&caller::bearer(&shared, &headers).await?, &["scim.read"])?;
    Ok(Json(present(&name, &load(&shared, &name).await?)))
}

#[derive(Deserialize)]
pub(crate) struct GroupBody {
    #[serde(rename = "displayName")]
    name: String,
    #[serde(default)]
    members: Vec<MemberBody>,
}

#[derive(Deserialize)]
pub(crate) struct MemberBody {
    value: String,
}

pub(crate) async fn create(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Body(sent): Body<GroupBody>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    caller::require(&caller::bearer(&shared, &headers).await?, &["scim.write"])?;
    let name = sent.name;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > GROUP_NAME_BYTES || !name.chars().all(fits) {
        return Err(Refusal::invalid_request(
            "displayName must be made of letters, digits, dots, _ and -: it becomes a scope",
        ));
    }
    let taken = Refusal::scim(
        StatusCode::CONFLICT,
        format!("A group named {name} exists already"),
    );
    if all(&shared).await?.contains_key(&name) {
        return Err(taken);
    }
    match shared.uaa.0.store.insert_group(&name, now_micros()).await {
        Err(error) if error.is_duplicate() => return Err(taken),
        other => other?,
    }
    for member in &sent.members {
        change(&shared, &name, &member.value, true).await?;
    }
    let shown = present(&name, &load(&shared, &name).await?);
    Ok((StatusCode::CREATED, Json(shown)))
}

/// Deletes a group that was made here; those of the platform stay.
pub(crate) async fn delete(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Result<Json<Value>, Refusal> {
    caller::require(&caller::bearer(&shared, &headers).await?, &["scim.write"])?;
    let members = load(&shared, &name).await?;
    if DEFAULT_GROUPS
        .iter()
        .chain(ADMIN_GROUPS)
        .any(|known| *known == name)
    {
        let text = format!("{name} is a group of the platform and cannot be deleted");
        return Err(Refusal::invalid_request(text));
    }
    for member in &members {
        change(&shared, &name, member, false).await?;
    }
    shared.uaa.0.store.delete_group(&name).await?;
    Ok(Json(present(&name, &members)))
}

pub(crate) async fn add_member(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Path(name): Path<String>,
    Body(sent): Body<MemberBody>,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    caller::require(&caller::bearer(&shared, &headers).await?, &["scim.write"])?;
    load(&shared, &name).await?;
    change(&shared, &name, &sent.value, true).await?;
    Ok((
        StatusCode::CREATED,
        Json(json!({"value": sent.value, "type": "USER", "origin": "uaa"})),
    ))
}

pub(crate) async fn remove_member(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Path((name, user)): Path<(String, String)>,
) -> Result<Json<Value>, Refusal> {
    caller::require(&caller::bearer(&shared, &headers).await?, &["scim.write"])?;
    load(&shared, &name).await?;
    change(&shared, &name, &user, false).await?;
    Ok(Json(
        json!({"value": user, "type": "USER", "origin": "uaa"}),
    ))
}

/// Takes a user in or out. Taken out, the user's access tokens end at once, in which the group still stands; clients refresh them.
async fn change(shared: &Shared, group: &str, id: &str, member: bool) -> Result<(), Refusal> {
    let store = &shared.uaa.0.store;
    if !store.change_membership(id, group, member).await? {
        let text = format!("User {id} does not exist");
        return Err(Refusal::scim(StatusCode::NOT_FOUND, text));
    }
    if !member {
        shared.uaa.reload().await?;
    }
    Ok(())
}
