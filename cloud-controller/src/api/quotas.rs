//! Quota definitions of organizations.

use axum::Json;
use axum::extract::Path;
use serde::Deserialize;
use serde_json::{Value, json};
use v2_api::{ApiError, Code};

use super::body::{self, Body};
use super::call::{Call, Created, required};
use super::jobs::Deleted;
use super::lists::{Present, View, envelope};
use super::routing::{Routes, get};
use super::taken;
use crate::authorize::Action;
use crate::failure::{Failure, Outcome, fail_with};
use crate::store::{QUOTAS, QuotaRow, Table};

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/v2/quota_definitions", get(list).post(create))
        .route(
            "/v2/quota_definitions/{guid}",
            get(show).put(update).delete(delete),
        )
}

impl Present for QuotaRow {
    const COLLECTION: &'static str = "quota_definitions";

    fn table() -> &'static Table {
        &QUOTAS
    }

    fn flat(&self, _view: &View<'_>) -> Outcome<Value> {
        let entity = json!({
            "name": self.name, "non_basic_services_allowed": self.non_basic_services_allowed, "total_services": self.total_services,
            "total_routes": self.total_routes, "total_private_domains": self.total_private_domains, "memory_limit": self.memory_limit,
            "trial_db_allowed": false, "instance_memory_limit": self.instance_memory_limit, "app_instance_limit": self.app_instance_limit,
        });
        Ok(envelope(
            Self::COLLECTION,
            &self.guid,
            (self.created_at, self.updated_at),
            entity,
        ))
    }
}

/// Keys of a request for a quota of an organization or a space; unknown ones (`total_reserved_route_ports`, …) are ignored.
#[derive(Deserialize)]
pub(super) struct QuotaBody {
    pub(super) name: Option<String>,
    pub(super) organization_guid: Option<String>,
    pub(super) non_basic_services_allowed: Option<bool>,
    pub(super) total_services: Option<i64>,
    pub(super) total_routes: Option<i64>,
    total_private_domains: Option<i64>,
    pub(super) memory_limit: Option<i64>,
    pub(super) instance_memory_limit: Option<i64>,
    pub(super) app_instance_limit: Option<i64>,
}

/// What both kinds of quota have, to be written. Numbers other than the memory may be -1: no limit.
pub(super) struct Limits<'a> {
    pub(super) name: &'a mut String,
    pub(super) non_basic_services_allowed: &'a mut bool,
    pub(super) memory_limit: &'a mut i64,
    pub(super) total_services: &'a mut i64,
    pub(super) total_routes: &'a mut i64,
    pub(super) instance_memory_limit: &'a mut i64,
    pub(super) app_instance_limit: &'a mut i64,
}

/// Error codes of one kind of quota.
pub(super) struct Codes {
    pub(super) negative_memory: Code,
    pub(super) invalid: Code,
}

impl Limits<'_> {
    /// Takes the keys present, and refuses numbers that mean nothing. Pure.
    pub(super) fn take(self, sent: &QuotaBody, codes: &Codes) -> Outcome<()> {
        if let Some(name) = &sent.name {
            *self.name = body::name(name)
                .ok_or_else(|| fail_with(codes.invalid, "name must not be empty"))?;
        }
        if let Some(allowed) = sent.non_basic_services_allowed {
            *self.non_basic_services_allowed = allowed;
        }
        if let Some(limit) = sent.memory_limit {
            *self.memory_limit = limit;
        }
        if *self.memory_limit < 0 {
            let error = ApiError::new(codes.negative_memory)
                .explain(format!("memory_limit is {} MB.", self.memory_limit));
            return Err(error.into());
        }
        for (name, limit, wanted) in [
            ("total_services", self.total_services, sent.total_services),
            ("total_routes", self.total_routes, sent.total_routes),
            (
                "instance_memory_limit",
                self.instance_memory_limit,
                sent.instance_memory_limit,
            ),
            (
                "app_instance_limit",
                self.app_instance_limit,
                sent.app_instance_limit,
            ),
        ] {
            *limit = wanted.unwrap_or(*limit);
            if *limit < -1 {
                let text = format!("{name} is {limit}; use a number from 0, or -1 for no limit");
                return Err(fail_with(codes.invalid, text));
            }
        }
        Ok(())
    }
}

impl QuotaBody {
    /// Writes the keys present into the row.
    fn apply(self, row: &mut QuotaRow) -> Outcome<()> {
        row.total_private_domains = self
            .total_private_domains
            .unwrap_or(row.total_private_domains);
        if row.total_private_domains < -1 {
            let text = "total_private_domains must be a number from 0, or -1 for no limit";
            return Err(fail_with(Code::QuotaDefinitionInvalid, text));
        }
        let limits = Limits {
            name: &mut row.name,
            non_basic_services_allowed: &mut row.non_basic_services_allowed,
            memory_limit: &mut row.memory_limit,
            total_services: &mut row.total_services,
            total_routes: &mut row.total_routes,
            instance_memory_limit: &mut row.instance_memory_limit,
            app_instance_limit: &mut row.app_instance_limit,
        };
        let codes = Codes {
            negative_memory: Code::QuotaDefinitionMemoryLimitNegative,
            invalid: Code::QuotaDefinitionInvalid,
        };
        limits.take(&self, &codes)
    }
}

async fn list(call: Call) -> Outcome<Json<Value>> {
    call.list::<QuotaRow>(call.seen::<QuotaRow>()).await
}

async fn load(call: &Call, guid: &str) -> Outcome<QuotaRow> {
    call.find(guid, Code::QuotaDefinitionNotFound).await
}

async fn show(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    let quota = load(&call, &guid).await?;
    call.show(&quota).await
}

async fn create(call: Call, Body(sent): Body<QuotaBody>) -> Created {
    call.need(Action::Administer)?;
    required(sent.name.as_ref(), "name")?;
    required(
        sent.non_basic_services_allowed,
        "non_basic_services_allowed",
    )?;
    required(sent.total_services, "total_services")?;
    required(sent.total_routes, "total_routes")?;
    required(sent.memory_limit, "memory_limit")?;
    let mut row = QuotaRow {
        guid: bus::ids::guid(),
        name: String::new(),
        non_basic_services_allowed: false,
        total_services: 0,
        total_routes: 0,
        total_private_domains: -1,
        memory_limit: 0,
        instance_memory_limit: -1,
        app_instance_limit: -1,
        created_at: 0,
        updated_at: None,
    };
    sent.apply(&mut row)?;
    write(&call, &row, "audit.quota_definition.create").await
}

async fn update(call: Call, Path(guid): Path<String>, Body(sent): Body<QuotaBody>) -> Created {
    call.need(Action::Administer)?;
    let mut row = load(&call, &guid).await?;
    sent.apply(&mut row)?;
    write(&call, &row, "audit.quota_definition.update").await
}

async fn write(call: &Call, row: &QuotaRow, kind: &'static str) -> Created {
    let event = call.event(
        kind,
        (&row.guid, "quota_definition", &row.name),
        json!({"request": {"name": row.name, "memory_limit": row.memory_limit, "total_routes": row.total_routes}}),
        (None, None),
    );
    let mut tx = call.ctl.store.begin().await?;
    tx.save_quota(row)
        .await
        .map_err(|error| taken(error, Code::QuotaDefinitionNameTaken, &row.name))?;
    tx.record_event(&event).await?;
    tx.commit().await?;
    call.created_guid::<QuotaRow>(&row.guid, Code::QuotaDefinitionNotFound)
        .await
}

async fn delete(call: Call, Path(guid): Path<String>) -> Outcome<Deleted> {
    call.need(Action::Administer)?;
    let row = load(&call, &guid).await?;
    if crate::seed::default_quota(&call.ctl).await?.guid == row.guid {
        return Err(fail_with(
            Code::QuotaDefinitionInvalid,
            format!(
                "{} is the default quota of new organizations and cannot be deleted",
                row.name
            ),
        ));
    }
    let event = call.event(
        "audit.quota_definition.delete",
        (&row.guid, "quota_definition", &row.name),
        json!({}),
        (None, None),
    );
    let mut tx = call.ctl.store.begin().await?;
    tx.delete_quota(&guid).await.map_err(|error| {
        if error.is_referenced() {
            let parts = ["organizations", "quota definition"];
            ApiError::with_details(Code::AssociationNotEmpty, &parts)
                .explain("Give them another quota first (cf set-quota ORG QUOTA).")
                .into()
        } else {
            Failure::from(error)
        }
    })?;
    tx.record_event(&event).await?;
    tx.commit().await?;
    call.deleted().await
}
