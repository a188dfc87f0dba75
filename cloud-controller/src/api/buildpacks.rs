//! Admin buildpacks.

use axum::Json;
use axum::extract::{DefaultBodyLimit, Path, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use v2_api::{ApiError, Code};

use super::body::{self, Body};
use super::call::{Call, Created, required};
use super::jobs::Deleted;
use super::lists::{Present, View, envelope};
use super::routing::{Routes, get, put};
use super::upload::{self, Form, UploadError};
use super::{internal, taken};
use crate::archive::ArchiveError;
use crate::authorize::Action;
use crate::blobs::Place;
use crate::buildpack_zip;
use crate::controller::Ctl;
use crate::failure::{Failure, Outcome, fail, fail_with};
use crate::store::{BUILDPACKS, BuildpackRow, NewEvent, Scope, Table};

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/v2/buildpacks", get(list).post(create))
        .route(
            "/v2/buildpacks/{guid}",
            get(show).put(update).delete(delete),
        )
        .route(
            "/v2/buildpacks/{guid}/bits",
            put(bits).body(DefaultBodyLimit::disable()),
        )
        .route("/v2/buildpacks/{guid}/download", get(download))
}

impl Present for BuildpackRow {
    const COLLECTION: &'static str = "buildpacks";

    fn table() -> &'static Table {
        &BUILDPACKS
    }

    fn flat(&self, _view: &View<'_>) -> Outcome<Value> {
        let entity = json!({
            "name": self.name, "position": self.position, "enabled": self.enabled, "locked": self.locked, "filename": self.filename,
        });
        Ok(envelope(
            Self::COLLECTION,
            &self.guid,
            (self.created_at, self.updated_at),
            entity,
        ))
    }
}

async fn load(ctl: &Ctl, guid: &str) -> Outcome<BuildpackRow> {
    let found: Option<BuildpackRow> = ctl.store.find(&BUILDPACKS, &Scope::all(), guid).await?;
    found.ok_or_else(|| {
        fail_with(
            Code::NotFound,
            format!("The buildpack could not be found: {guid}"),
        )
    })
}

async fn list(call: Call) -> Outcome<Json<Value>> {
    call.list::<BuildpackRow>(call.seen::<BuildpackRow>()).await
}

async fn show(call: Call, Path(guid): Path<String>) -> Outcome<Json<Value>> {
    let row = load(&call.ctl, &guid).await?;
    call.show(&row).await
}

#[derive(Deserialize)]
struct BuildpackBody {
    name: Option<String>,
    position: Option<i64>,
    enabled: Option<bool>,
    locked: Option<bool>,
}

fn check_name(name: &str) -> Result<String, Failure> {
    let fits = !name.is_empty()
        && name.len() <= 255
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if fits {
        Ok(name.to_owned())
    } else {
        Err(fail_with(
            Code::BuildpackInvalid,
            "name must be made of word characters and -",
        ))
    }
}

async fn create(call: Call, Body(sent): Body<BuildpackBody>) -> Created {
    call.need(Action::Administer)?;
    let name = check_name(&required(sent.name, "name")?)?;
    let row = BuildpackRow {
        guid: bus::ids::guid(),
        name,
        position: sent.position.unwrap_or(i64::MAX).max(1),
        enabled: sent.enabled.unwrap_or(true),
        locked: sent.locked.unwrap_or(false),
        filename: None,
        sha1: None,
        created_at: crate::store::now_micros(),
        updated_at: None,
    };
    write(&call, &row, "audit.buildpack.create").await
}

async fn update(call: Call, Path(guid): Path<String>, Body(sent): Body<BuildpackBody>) -> Created {
    call.need(Action::Administer)?;
    let mut row = load(&call.ctl, &guid).await?;
    if let Some(name) = &sent.name {
        row.name = check_name(name)?;
    }
    row.position = sent.position.unwrap_or(row.position).max(1);
    row.enabled = sent.enabled.unwrap_or(row.enabled);
    row.locked = sent.locked.unwrap_or(row.locked);
    write(&call, &row, "audit.buildpack.update").await
}

fn event(call: &Call, kind: &'static str, row: &BuildpackRow) -> NewEvent {
    let request = json!({"request": {
        "name": row.name, "position": row.position, "enabled": row.enabled, "locked": row.locked, "filename": row.filename,
    }});
    let actee = (row.guid.as_str(), "buildpack", row.name.as_str());
    call.event(kind, actee, request, (None, None))
}

async fn write(call: &Call, row: &BuildpackRow, kind: &'static str) -> Created {
    let mut tx = call.ctl.store.begin().await?;
    tx.save_buildpack(row)
        .await
        .map_err(|error| taken(error, Code::BuildpackNameTaken, &row.name))?;
    tx.record_event(&event(call, kind, row)).await?;
    tx.commit().await?;
    let row = load(&call.ctl, &row.guid).await?;
    call.created(&row).await
}

async fn delete(call: Call, Path(guid): Path<String>) -> Outcome<Deleted> {
    call.need(Action::Administer)?;
    let row = load(&call.ctl, &guid).await?;
    let mut tx = call.ctl.store.begin().await?;
    tx.delete_buildpack(&guid).await?;
    tx.record_event(&event(&call, "audit.buildpack.delete", &row))
        .await?;
    tx.commit().await?;
    if let Some(sha1) = row.sha1 {
        call.ctl.blobs.delete(&Place::Buildpack(guid, sha1)).await?;
    }
    call.deleted().await
}

/// 201 with the buildpack, or 204 when it has these bits already.
async fn bits(call: Call, Path(guid): Path<String>, form: Form) -> Outcome<Response> {
    call.need(Action::Administer)?;
    let row = load(&call.ctl, &guid).await?;
    if row.locked {
        return Err(ApiError::new(Code::BuildpackLocked)
            .explain("(Unlock it first: cf update-buildpack NAME --unlock.)")
            .into());
    }
    let limit = call.ctl.config.limits.max_droplet_bytes;
    let scratch = call.ctl.scratch()?;
    let path = scratch.path().join("buildpack.zip");
    let mut form = form.within(limit).map_err(unusable)?;
    while let Some(field) = form.next_field().await.map_err(unreadable)? {
        if field.name() != Some("buildpack") {
            continue;
        }
        let filename = field.file_name().unwrap_or_default().to_owned();
        if !filename.ends_with(".zip") {
            return Err(refused("only zip files allowed"));
        }
        let saved = upload::save(field, &path, limit).await.map_err(unusable)?;
        check(path.clone(), limit).await?;
        return keep(&call, row, filename, saved.sha1, &path).await;
    }
    Err(refused(
        "a file must be provided in the field \"buildpack\"",
    ))
}

fn refused(text: impl std::fmt::Display) -> Failure {
    fail_with(Code::BuildpackBitsUploadInvalid, text)
}

fn unreadable(error: axum::extract::multipart::MultipartError) -> Failure {
    unusable(error.into())
}

/// The sender's faults have a code of their own here.
fn unusable(error: UploadError) -> Failure {
    match error {
        UploadError::Io { .. } => error.into(),
        _ => refused(error),
    }
}

async fn check(path: std::path::PathBuf, limit: u64) -> Outcome<()> {
    let checked = tokio::task::spawn_blocking(move || buildpack_zip::check(&path, limit)).await;
    match checked.map_err(std::io::Error::other)? {
        Ok(()) => Ok(()),
        Err(ArchiveError::Io(error)) => Err(error.into()),
        Err(error) => Err(refused(error)),
    }
}

async fn keep(
    call: &Call,
    mut row: BuildpackRow,
    filename: String,
    sha1: String,
    file: &std::path::Path,
) -> Outcome<Response> {
    let same = row.sha1.as_deref() == Some(&sha1);
    if same && row.filename.as_deref() == Some(&filename) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    if !same {
        let place = Place::Buildpack(row.guid.clone(), sha1.clone());
        call.ctl.blobs.put(&place, file).await?;
    }
    let before = row.sha1.replace(sha1);
    row.filename = Some(filename);
    let answer = write(call, &row, "audit.buildpack.upload").await?;
    if let Some(before) = before.filter(|_| !same) {
        // A staging under way may still be fetching these; it is told the new ones by its next try.
        let _ = call
            .ctl
            .blobs
            .delete(&Place::Buildpack(row.guid, before))
            .await;
    }
    Ok(answer.into_response())
}

/// For DEAs. A staging names the digest of the bits it began with: it never gets others under that name.
async fn download(
    State(ctl): State<Ctl>,
    _: internal::Admitted,
    Path(guid): Path<String>,
    raw: RawQuery,
) -> Outcome<Response> {
    let sha1 = load(&ctl, &guid)
        .await?
        .sha1
        .ok_or_else(|| fail(Code::NotFound))?;
    let wanted = body::parameter(&raw, "sha1");
    let wanted = wanted.map(|wanted| internal::digest(&wanted)).transpose()?;
    if wanted.is_some_and(|wanted| wanted != sha1) {
        let text = format!("buildpack {guid} got other bits meanwhile (sha1 {sha1}); stage again");
        return Err(fail_with(Code::ResourceNotFound, text));
    }
    internal::send(&ctl, &Place::Buildpack(guid, sha1)).await
}
