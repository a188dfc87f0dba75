//! Service instances. Only user-provided ones exist: a name, credentials and a drain that a user gave.

use axum::Json;
use axum::extract::Path;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use v2_api::{ApiError, Code};

use super::body::{self, Body, nullable};
use super::call::{Call, Created, required};
use super::jobs::Deleted;
use super::lists::{Present, View, empty, envelope, link};
use super::relations::Relation;
use super::routing::{Routes, get};
use super::{spaces, taken};
use crate::authorize::{Action, HIDDEN_VALUE, SEEN_IN_SPACES};
use crate::failure::{Failure, Outcome, fail, fail_with};
use crate::limits::{SERVICE_NAME_CHARACTERS, SERVICE_TAGS_CHARACTERS};
use crate::store::{
    BINDINGS_OF_SERVICE, BindingRow, SERVICES, Scope, ServiceRow, SpaceRow, Store, Table,
    USER_PROVIDED,
};

/// Where logs can be drained to.
const DRAIN_SCHEMES: [&str; 4] = ["syslog", "syslog-tls", "https", "http"];

pub(super) fn routes() -> Routes {
    Routes::new()
        .route(
            "/v2/user_provided_service_instances",
            get(list_user_provided).post(create),
        )
        .route(
            "/v2/user_provided_service_instances/{guid}",
            get(show_user_provided)
                .put(update)
                .delete(delete_user_provided),
        )
        .route(
            "/v2/user_provided_service_instances/{guid}/service_bindings",
            get(bindings),
        )
        .route("/v2/service_instances", get(list).post(create_managed))
        .route("/v2/service_instances/{guid}", get(show).delete(delete))
        .route(
            "/v2/service_instances/{guid}/service_bindings",
            get(bindings),
        )
        .route("/v2/service_instances/{guid}/service_keys", get(nothing))
        .route("/v2/service_instances/{guid}/shared_to", get(nothing))
        .route("/v2/spaces/{guid}/service_instances", get(of_space))
}

/// Credentials and drain of an instance in clear, or what others than developers of its space see instead.
pub(super) fn secrets(
    view: &View<'_>,
    space: &str,
    credentials: &str,
    drain: Option<&str>,
) -> Outcome<(Value, Value)> {
    if !view.caller.may(Action::ReadSecrets(space)) {
        return Ok((json!({"redacted_message": HIDDEN_VALUE}), Value::Null));
    }
    let store: &Store = &view.ctl.store;
    let drain = drain.map(|sealed| store.unseal_text(sealed)).transpose()?;
    Ok((Value::Object(store.unseal(credentials)?), json!(drain)))
}

impl Present for ServiceRow {
    const COLLECTION: &'static str = "service_instances";
    const SEEN: &'static [&'static str] = SEEN_IN_SPACES;
    const RELATIONS: &'static [Relation<ServiceRow>] = &[
        Relation::one::<SpaceRow>("space", |instance| Some(&instance.space_guid)),
        Relation::many::<BindingRow>("service_bindings", &BINDINGS_OF_SERVICE, |instance| {
            Some(&instance.guid)
        }),
        Relation::nobody("service_keys", |instance| Some(&instance.guid)),
    ];

    fn table() -> &'static Table {
        &SERVICES
    }

    fn flat(&self, view: &View<'_>) -> Outcome<Value> {
        let (credentials, drain) = secrets(
            view,
            &self.space_guid,
            &self.credentials_sealed,
            self.syslog_drain_sealed.as_deref(),
        )?;
        let tags: Value = serde_json::from_str(&self.tags).unwrap_or_else(|_| json!([]));
        let mut entity = json!({
            "name": self.name, "credentials": credentials, "space_guid": self.space_guid,
            "type": format!("{}_service_instance", self.kind), "tags": tags, "syslog_drain_url": drain,
            "service_plan_guid": null, "gateway_data": null, "dashboard_url": null, "last_operation": null,
            "space_url": format!("/v2/spaces/{}", self.space_guid),
        });
        let collection = "user_provided_service_instances";
        let url = format!("/v2/{collection}/{}", self.guid);
        link(&mut entity, &url, &["service_bindings"]);
        Ok(envelope(
            collection,
            &self.guid,
            (self.created_at, self.updated_at),
            entity,
        ))
    }
}

/// The instance, if the caller may see it.
pub(super) async fn load(call: &Call, guid: &str, missing: Code) -> Outcome<ServiceRow> {
    let row: ServiceRow = call.find(guid, missing).await?;
    let org = call.ctl.store.org_of_space(&row.space_guid).await?;
    call.need(Action::ReadSpace(
        &row.space_guid,
        org.as_deref().unwrap_or_default(),
    ))?;
    Ok(row)
}

fn of_kind(scope: Scope, kind: &str) -> Scope {
    scope.and(&["t.kind = ", ""], kind)
}

async fn list(call: Call) -> Outcome<Json<Value>> {
    call.list::<ServiceRow>(call.seen::<ServiceRow>()).await
}

async fn list_user_provided(call: Call) -> Outcome<Json<Value>> {
    let scope = of_kind(call.seen::<ServiceRow>(), USER_PROVIDED);
    call.list::<ServiceRow>(scope).await
}

/// Clients ask for user-provided instances explicitly; without that only managed ones are listed.
async fn of_space(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    spaces::load(&call.ctl, &call.caller, &guid).await?;
    let mut scope = Scope::in_space(&guid);
    if !call.flag("return_user_provided_service_instances") {
        scope = of_kind(scope, "managed");
    }
    call.list::<ServiceRow>(scope).await
}

async fn show(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    let row = load(&call, &guid, Code::ServiceInstanceNotFound).await?;
    call.show(&row).await
}

async fn show_user_provided(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    let row = load(&call, &guid, Code::UserProvidedServiceInstanceNotFound).await?;
    call.show(&row).await
}

/// User-provided instances have no keys and are not shared.
async fn nothing(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    load(&call, &guid, Code::ServiceInstanceNotFound).await?;
    Ok(empty())
}

async fn bindings(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    let row = load(&call, &guid, Code::ServiceInstanceNotFound).await?;
    call.list::<BindingRow>(BINDINGS_OF_SERVICE.of(&row.guid))
        .await
}

/// Keys of a request. Unknown ones (`route_service_url`, …) are ignored; the space of an instance never changes.
#[derive(Deserialize)]
struct ServiceBody {
    name: Option<String>,
    space_guid: Option<String>,
    credentials: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "nullable")]
    syslog_drain_url: Option<Option<String>>,
    tags: Option<Vec<String>>,
}

/// Writes the keys present into the row. Pure, but for the sealing.
fn apply(store: &Store, sent: &ServiceBody, row: &mut ServiceRow) -> Result<(), Failure> {
    if let Some(name) = &sent.name {
        row.name = check_name(name)?;
    }
    if let Some(credentials) = &sent.credentials {
        row.credentials_sealed = store.seal(credentials)?;
    }
    if let Some(drain) = &sent.syslog_drain_url {
        let drain = drain.as_deref().unwrap_or_default();
        check_drain(drain)?;
        row.syslog_drain_sealed = Some(store.seal_text(drain)?);
    }
    if let Some(tags) = &sent.tags {
        if tags.iter().map(|tag| tag.chars().count()).sum::<usize>() > SERVICE_TAGS_CHARACTERS {
            return Err(fail_with(Code::ServiceInstanceTagsTooLong, &row.name));
        }
        row.tags = json!(tags).to_string();
    }
    Ok(())
}

fn check_name(name: &str) -> Result<String, Failure> {
    let name = body::name(name).ok_or_else(|| fail(Code::ServiceInstanceNameEmpty))?;
    if name.chars().count() > SERVICE_NAME_CHARACTERS {
        return Err(fail(Code::ServiceInstanceNameTooLong));
    }
    Ok(name)
}

/// Empty means: no drain.
fn check_drain(drain: &str) -> Result<(), Failure> {
    let fits = drain.is_empty()
        || url::Url::parse(drain)
            .is_ok_and(|url| DRAIN_SCHEMES.contains(&url.scheme()) && url.has_host());
    if fits {
        Ok(())
    } else {
        Err(fail_with(
            Code::ServiceInstanceInvalid,
            "syslog_drain_url must be a URL like syslog://logs.example.com:514 (syslog, syslog-tls, http or https)",
        ))
    }
}

/// There is no broker: the plan named cannot exist.
async fn create_managed(_call: Call) -> Created {
    Err(ApiError::new(Code::ServicePlanNotFound)
        .explain(
            "This platform has no service brokers; make one with cf create-user-provided-service.",
        )
        .into())
}

async fn create(call: Call, Body(sent): Body<ServiceBody>) -> Created {
    let space = required(sent.space_guid.as_deref(), "space_guid")?;
    let space = spaces::load(&call.ctl, &call.caller, space).await?;
    call.need(Action::Develop(&space.guid))?;
    let mut row = ServiceRow {
        guid: bus::ids::guid(),
        kind: USER_PROVIDED.into(),
        name: check_name(required(sent.name.as_deref(), "name")?)?,
        space_guid: space.guid,
        credentials_sealed: call.ctl.store.seal(&Map::new())?,
        syslog_drain_sealed: None,
        tags: "[]".into(),
        created_at: 0,
        updated_at: None,
    };
    apply(&call.ctl.store, &sent, &mut row)?;
    write(
        &call,
        &row,
        "audit.user_provided_service_instance.create",
        &sent,
    )
    .await
}

async fn update(call: Call, Path(guid): Path<String>, Body(sent): Body<ServiceBody>) -> Created {
    let mut row = load(&call, &guid, Code::UserProvidedServiceInstanceNotFound).await?;
    call.need(Action::Develop(&row.space_guid))?;
    apply(&call.ctl.store, &sent, &mut row)?;
    write(
        &call,
        &row,
        "audit.user_provided_service_instance.update",
        &sent,
    )
    .await
}

async fn write(call: &Call, row: &ServiceRow, kind: &'static str, sent: &ServiceBody) -> Created {
    let request = json!({"request": {
        "name": row.name,
        "credentials": sent.credentials.as_ref().map(|_| HIDDEN_VALUE),
        "syslog_drain_url": sent.syslog_drain_url.as_ref().map(|_| HIDDEN_VALUE),
    }});
    let org = call.ctl.store.org_of_space(&row.space_guid).await?;
    let event = call.event(
        kind,
        (&row.guid, "user_provided_service_instance", &row.name),
        request,
        (Some(&row.space_guid), org.as_deref()),
    );
    let mut tx = call.ctl.store.begin().await?;
    tx.save_service(row)
        .await
        .map_err(|error| taken(error, Code::ServiceInstanceNameTaken, &row.name))?;
    tx.record_event(&event).await?;
    tx.commit().await?;
    call.created_guid::<ServiceRow>(&row.guid, Code::ServiceInstanceNotFound)
        .await
}

async fn delete_user_provided(call: Call, Path(guid): Path<String>) -> Outcome<Deleted> {
    remove(&call, &guid, Code::UserProvidedServiceInstanceNotFound).await
}

async fn delete(call: Call, Path(guid): Path<String>) -> Outcome<Deleted> {
    remove(&call, &guid, Code::ServiceInstanceNotFound).await
}

async fn remove(call: &Call, guid: &str, missing: Code) -> Outcome<Deleted> {
    let row = load(call, guid, missing).await?;
    call.need(Action::Develop(&row.space_guid))?;
    let bound = BINDINGS_OF_SERVICE.of(&row.guid);
    let bound = call.count::<BindingRow>(&bound).await?;
    call.need_empty(&[("service_bindings", bound)], "service_instances")?;
    let org = call.ctl.store.org_of_space(&row.space_guid).await?;
    let event = call.event(
        "audit.user_provided_service_instance.delete",
        (&row.guid, "user_provided_service_instance", &row.name),
        json!({}),
        (Some(&row.space_guid), org.as_deref()),
    );
    let mut tx = call.ctl.store.begin().await?;
    tx.delete_service(&row.guid).await?;
    tx.record_event(&event).await?;
    tx.commit().await?;
    call.deleted().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drains_are_urls_of_known_schemes_or_nothing() {
        for (drain, fits) in [
            ("", true),
            ("syslog://logs.example.com:514", true),
            ("syslog-tls://logs.example.com:6514", true),
            ("https://logs.example.com/in?key=1", true),
            ("logs.example.com:514", false),
            ("file:///etc/passwd", false),
            ("syslog:514", false),
        ] {
            assert_eq!(check_drain(drain).is_ok(), fits, "{drain}");
        }
    }
}
