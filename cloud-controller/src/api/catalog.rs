//! Stacks, quotas, security groups; and the service marketplace, which is empty here.

use axum::extract::{Path, RawQuery, State};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use v2_api::Code;

use super::lists::{Present, View, empty, envelope, page};
use crate::authorize::Caller;
use crate::controller::Ctl;
use crate::failure::{Outcome, fail_with};
use crate::store::{QUOTAS, QuotaRow, SECURITY_GROUPS, STACKS, Scope, SecurityGroupRow, StackRow};

pub(super) fn routes() -> Router<Ctl> {
    let nothing = || get(|_: Caller| async { empty() });
    Router::new()
        .route("/v2/stacks", get(stacks))
        .route("/v2/stacks/{guid}", get(stack))
        .route("/v2/quota_definitions", get(quotas))
        .route("/v2/quota_definitions/{guid}", get(quota))
        .route("/v2/security_groups", get(security_groups))
        .route("/v2/config/running_security_groups", get(security_groups))
        .route("/v2/config/staging_security_groups", get(security_groups))
        .route("/v2/services", nothing())
        .route("/v2/service_plans", nothing())
        .route("/v2/service_instances", nothing())
        .route("/v2/service_bindings", nothing())
        .route("/v2/service_brokers", nothing())
        .route("/v2/service_plan_visibilities", nothing())
        .route("/v2/service_auth_tokens", nothing())
        .route("/v2/space_quota_definitions", nothing())
}

impl Present for StackRow {
    fn flat(&self, _view: &View<'_>) -> Outcome<Value> {
        let entity = json!({"name": self.name, "description": self.description});
        Ok(envelope(
            "stacks",
            &self.guid,
            (self.created_at, self.updated_at),
            entity,
        ))
    }
}

impl Present for QuotaRow {
    fn flat(&self, _view: &View<'_>) -> Outcome<Value> {
        let entity = json!({
            "name": self.name, "non_basic_services_allowed": self.non_basic_services_allowed, "total_services": self.total_services,
            "total_routes": self.total_routes, "total_private_domains": self.total_private_domains, "memory_limit": self.memory_limit,
            "trial_db_allowed": false, "instance_memory_limit": self.instance_memory_limit, "app_instance_limit": self.app_instance_limit,
        });
        Ok(envelope(
            "quota_definitions",
            &self.guid,
            (self.created_at, self.updated_at),
            entity,
        ))
    }
}

impl Present for SecurityGroupRow {
    fn flat(&self, _view: &View<'_>) -> Outcome<Value> {
        let rules: Value = serde_json::from_str(&self.rules).unwrap_or_else(|_| json!([]));
        let entity = json!({
            "name": self.name, "rules": rules, "running_default": self.running_default, "staging_default": self.staging_default,
            "spaces_url": format!("/v2/security_groups/{}/spaces", self.guid),
        });
        Ok(envelope(
            "security_groups",
            &self.guid,
            (self.created_at, self.updated_at),
            entity,
        ))
    }
}

async fn stacks(State(ctl): State<Ctl>, caller: Caller, raw: RawQuery) -> Outcome<Json<Value>> {
    page::<StackRow>(
        &View {
            ctl: &ctl,
            caller: &caller,
        },
        &STACKS,
        &Scope::all(),
        &raw,
        "/v2/stacks",
    )
    .await
}

async fn stack(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
) -> Outcome<Json<Value>> {
    let found: Option<StackRow> = ctl.store.find(&STACKS, &Scope::all(), &guid).await?;
    let stack = found.ok_or_else(|| fail_with(Code::StackNotFound, &guid))?;
    Ok(Json(stack.flat(&View {
        ctl: &ctl,
        caller: &caller,
    })?))
}

async fn quotas(State(ctl): State<Ctl>, caller: Caller, raw: RawQuery) -> Outcome<Json<Value>> {
    page::<QuotaRow>(
        &View {
            ctl: &ctl,
            caller: &caller,
        },
        &QUOTAS,
        &Scope::all(),
        &raw,
        "/v2/quota_definitions",
    )
    .await
}

async fn quota(
    State(ctl): State<Ctl>,
    caller: Caller,
    Path(guid): Path<String>,
) -> Outcome<Json<Value>> {
    let found: Option<QuotaRow> = ctl.store.find(&QUOTAS, &Scope::all(), &guid).await?;
    let quota = found.ok_or_else(|| fail_with(Code::QuotaDefinitionNotFound, &guid))?;
    Ok(Json(quota.flat(&View {
        ctl: &ctl,
        caller: &caller,
    })?))
}

async fn security_groups(
    State(ctl): State<Ctl>,
    caller: Caller,
    raw: RawQuery,
) -> Outcome<Json<Value>> {
    page::<SecurityGroupRow>(
        &View {
            ctl: &ctl,
            caller: &caller,
        },
        &SECURITY_GROUPS,
        &Scope::all(),
        &raw,
        "/v2/security_groups",
    )
    .await
}
