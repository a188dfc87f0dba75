//! `POST /v2/apps/:guid/copy_bits`: the package of one app becomes another's. Packages are kept by their hash, so nothing is copied.

use axum::Json;
use axum::extract::Path;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use v2_api::Code;

use super::bits::write_package;
use super::body::Body;
use super::call::{Call, required};
use super::routing::{Routes, post};
use super::{apps, audit, jobs};
use crate::failure::{Outcome, fail_with};

pub(super) fn routes() -> Routes {
    Routes::new().route("/v2/apps/{guid}/copy_bits", post(copy))
}

#[derive(Deserialize)]
struct CopyBody {
    source_app_guid: Option<String>,
}

/// Answers with a job that is over already.
async fn copy(
    call: Call,
    Path(guid): Path<String>,
    Body(sent): Body<CopyBody>,
) -> Outcome<(StatusCode, Json<Value>)> {
    let ctl = &call.ctl;
    let source = required(sent.source_app_guid, "source_app_guid")?;
    let (source, _) = apps::load_to_change(ctl, &call.caller, &source).await?;
    let (target, _) = apps::load_to_change(ctl, &call.caller, &guid).await?;
    call.need_feature("app_bits_upload").await?;
    let metadata = json!({"source_guid": source.guid});
    let event = audit::of_app(ctl, &call.caller, "audit.app.copy-bits", &target, metadata).await?;
    let mut tx = ctl.store.begin().await?;
    // Read again with the write lock held: a package that is referred to now is not collected.
    let package = tx.app(&source.guid).await?.and_then(|app| app.package_hash);
    let package = package.ok_or_else(|| {
        fail_with(
            Code::AppBitsCopyInvalid,
            format!("app {} has no bits; push it first", source.name),
        )
    })?;
    let app = tx
        .app(&guid)
        .await?
        .ok_or_else(|| fail_with(Code::AppNotFound, &guid))?;
    write_package(ctl, tx, app, package, &event).await?;
    let job = jobs::over(ctl, None).await?;
    Ok((StatusCode::CREATED, Json(jobs::body_for_users(&job))))
}
