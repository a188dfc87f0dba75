//! Which app is bound to which service instance. A binding changes nothing that runs: it shows at the next start.

use axum::Json;
use axum::extract::Path;
use serde::Deserialize;
use serde_json::{Value, json};
use v2_api::Code;

use super::body::Body;
use super::call::{Call, Created, required};
use super::jobs::Deleted;
use super::lists::{Present, View, envelope};
use super::relations::Relation;
use super::routing::{Routes, get};
use super::{apps, services, taken};
use crate::authorize::{Action, SEEN_BINDINGS};
use crate::failure::{Outcome, fail_with};
use crate::store::{AppRow, BINDINGS, BINDINGS_OF_APP, BindingRow, ServiceRow, Table};

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/v2/service_bindings", get(list).post(create))
        .route("/v2/service_bindings/{guid}", get(show).delete(delete))
        .route("/v2/apps/{guid}/service_bindings", get(of_app))
        .route(
            "/v2/apps/{guid}/service_bindings/{binding}",
            super::routing::delete(delete_of_app),
        )
}

impl Present for BindingRow {
    const COLLECTION: &'static str = "service_bindings";
    const SEEN: &'static [&'static str] = SEEN_BINDINGS;
    const RELATIONS: &'static [Relation<BindingRow>] = &[
        Relation::one::<AppRow>("app", |binding| Some(&binding.app_guid)),
        Relation::one::<ServiceRow>("service_instance", |binding| {
            Some(&binding.service_instance_guid)
        }),
    ];

    fn table() -> &'static Table {
        &BINDINGS
    }

    fn flat(&self, view: &View<'_>) -> Outcome<Value> {
        let (credentials, drain) = services::secrets(
            view,
            &self.space_guid,
            &self.credentials_sealed,
            self.syslog_drain_sealed.as_deref(),
        )?;
        let entity = json!({
            "app_guid": self.app_guid, "service_instance_guid": self.service_instance_guid, "credentials": credentials,
            "binding_options": {}, "gateway_data": null, "gateway_name": "", "syslog_drain_url": drain,
            "app_url": format!("/v2/apps/{}", self.app_guid),
            "service_instance_url": format!("/v2/user_provided_service_instances/{}", self.service_instance_guid),
        });
        Ok(envelope(
            Self::COLLECTION,
            &self.guid,
            (self.created_at, self.updated_at),
            entity,
        ))
    }
}

async fn load(call: &Call, guid: &str) -> Outcome<BindingRow> {
    let row: BindingRow = call.find(guid, Code::ServiceBindingNotFound).await?;
    let org = call.ctl.store.org_of_space(&row.space_guid).await?;
    call.need(Action::ReadSpace(
        &row.space_guid,
        org.as_deref().unwrap_or_default(),
    ))?;
    Ok(row)
}

async fn list(call: Call) -> Outcome<Json<Value>> {
    call.list::<BindingRow>(call.seen::<BindingRow>()).await
}

async fn of_app(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    apps::load(&call.ctl, &call.caller, &guid).await?;
    call.list::<BindingRow>(BINDINGS_OF_APP.of(&guid)).await
}

async fn show(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    let row = load(&call, &guid).await?;
    call.show(&row).await
}

/// `parameters` are for brokers and ignored.
#[derive(Deserialize)]
struct BindingBody {
    app_guid: Option<String>,
    service_instance_guid: Option<String>,
}

async fn create(call: Call, Body(sent): Body<BindingBody>) -> Created {
    let app = required(sent.app_guid, "app_guid")?;
    let instance = required(sent.service_instance_guid, "service_instance_guid")?;
    let (app, space) = apps::load_to_change(&call.ctl, &call.caller, &app).await?;
    let instance = services::load(&call, &instance, Code::ServiceInstanceNotFound).await?;
    if instance.space_guid != app.space_guid {
        return Err(fail_with(
            Code::ServiceBindingInvalid,
            format!(
                "app {} and service instance {} are in different spaces; make the instance in the app's space",
                app.name, instance.name
            ),
        ));
    }
    let guid = bus::ids::guid();
    let event = call.event(
        "audit.service_binding.create",
        (&guid, "service_binding", &instance.name),
        json!({"request": {"app_guid": app.guid, "service_instance_guid": instance.guid}}),
        (Some(&space.guid), Some(&space.organization_guid)),
    );
    let mut tx = call.ctl.store.begin().await?;
    tx.insert_binding(&guid, &app.guid, &instance.guid)
        .await
        .map_err(|error| {
            let detail = format!("{} {}", app.guid, instance.guid);
            taken(error, Code::ServiceBindingAppServiceTaken, &detail)
        })?;
    tx.record_event(&event).await?;
    tx.commit().await?;
    call.created_guid::<BindingRow>(&guid, Code::ServiceBindingNotFound)
        .await
}

async fn delete(call: Call, Path(guid): Path<String>) -> Outcome<Deleted> {
    let row = load(&call, &guid).await?;
    unbind(&call, &row).await?;
    call.deleted().await
}

/// The relation's form: 201 with the app.
async fn delete_of_app(call: Call, Path((app, guid)): Path<(String, String)>) -> Created {
    let (app, _) = apps::load_to_change(&call.ctl, &call.caller, &app).await?;
    let row = load(&call, &guid).await?;
    if row.app_guid != app.guid {
        return Err(fail_with(Code::ServiceBindingNotFound, guid));
    }
    unbind(&call, &row).await?;
    call.created(&app).await
}

async fn unbind(call: &Call, row: &BindingRow) -> Outcome<()> {
    call.need(Action::Develop(&row.space_guid))?;
    let org = call.ctl.store.org_of_space(&row.space_guid).await?;
    let event = call.event(
        "audit.service_binding.delete",
        (&row.guid, "service_binding", &row.instance_name),
        json!({"request": {"app_guid": row.app_guid, "service_instance_guid": row.service_instance_guid}}),
        (Some(&row.space_guid), org.as_deref()),
    );
    let mut tx = call.ctl.store.begin().await?;
    tx.delete_binding(&row.guid).await?;
    tx.record_event(&event).await?;
    Ok(tx.commit().await?)
}
