//! Resource matching and the upload of app bits.

use std::path::{Path as FsPath, PathBuf};
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::{DefaultBodyLimit, Multipart, Path};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use v2_api::{ApiError, Code};

use super::app_change::mark_pending;
use super::body::Body;
use super::call::Call;
use super::routing::{Routes, put};
use super::upload::{self, Form, Saved, UploadError};
use super::{apps, audit, jobs};
use crate::archive::{self, ArchiveError, Member, Tree};
use crate::blobs::{Place, sha1_of_file};
use crate::controller::Ctl;
use crate::failure::{self, Failure, Outcome, fail_with};
use crate::store::{AppRow, NewEvent, Tx};

/// Longest list of known resources, bytes.
const RESOURCES_LIMIT: u64 = 64 * 1024 * 1024;

pub(super) fn routes() -> Routes {
    Routes::new()
        .route(
            "/v2/resource_match",
            put(resource_match).body(DefaultBodyLimit::max(RESOURCES_LIMIT as usize)),
        )
        .route(
            "/v2/apps/{guid}/bits",
            put(upload).body(DefaultBodyLimit::disable()),
        )
}

/// A file the client says we have.
#[derive(Debug, Deserialize)]
struct Resource {
    #[serde(default)]
    sha1: String,
    #[serde(default)]
    size: u64,
    #[serde(rename = "fn", default)]
    path: String,
    #[serde(default)]
    mode: Option<String>,
}

impl Resource {
    /// Whether it is of a kind that is kept at all. Old clients list directories as sha1 "0" and size 0.
    fn is_candidate(&self, ctl: &Ctl) -> bool {
        let limits = &ctl.config.limits;
        let is_hash = self.sha1.len() == 40 && self.sha1.bytes().all(|b| b.is_ascii_hexdigit());
        is_hash && keeps(limits, self.size)
    }
}

fn keeps(limits: &crate::config::LimitsConfig, size: u64) -> bool {
    size > limits.resource_minimum_bytes && size < limits.resource_maximum_bytes
}

/// The entries we have, whole: a client takes an entry without its mode for a failure.
async fn resource_match(call: Call, Body(sent): Body<Vec<Value>>) -> Outcome<Json<Value>> {
    call.need_feature("app_bits_upload").await?;
    let ctl = &call.ctl;
    let condemned = ctl.store.condemned().await?;
    let mut known = Vec::new();
    for entry in sent {
        let Ok(resource) = serde_json::from_value::<Resource>(entry.clone()) else {
            continue;
        };
        if resource.is_candidate(ctl)
            && !condemned.contains_key(&resource.sha1)
            && ctl.blobs.has(&Place::Resource(resource.sha1)).await?
        {
            known.push(entry);
        }
    }
    Ok(Json(Value::Array(known)))
}

fn refused(detail: impl std::fmt::Display) -> Failure {
    fail_with(Code::AppBitsUploadInvalid, detail)
}

impl From<UploadError> for Failure {
    fn from(error: UploadError) -> Failure {
        match error {
            UploadError::TooLarge(_) | UploadError::Announced { .. } => {
                fail_with(Code::AppPackageInvalid, error)
            }
            UploadError::Io { path, source } => failure::of_file(&path, &source),
            UploadError::Form(_) | UploadError::NoForm(_) => refused(error),
        }
    }
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Failure {
        match error {
            ArchiveError::Io(io) => io.into(),
            ArchiveError::Local { path, source } => failure::of_file(&path, &source),
            ArchiveError::TooLarge(_) => fail_with(Code::AppPackageInvalid, error),
            _ => refused(error),
        }
    }
}

async fn upload(
    call: Call,
    Path(guid): Path<String>,
    form: Form,
) -> Outcome<(StatusCode, Json<Value>)> {
    let ctl = &call.ctl;
    let (app, _) = apps::load_to_change(ctl, &call.caller, &guid).await?;
    call.need_feature("app_bits_upload").await?;
    let kind = "audit.app.upload-bits";
    let event = audit::of_app(ctl, &call.caller, kind, &app, json!({})).await?;
    let scratch = ctl.scratch()?;
    if let Err(failure) = take_in(ctl, &event, form, scratch.path()).await {
        note_refusal(ctl, &guid, &failure).await?;
        return Err(failure);
    }
    if call.flag("async") {
        // The work is done: the client's first poll finds it finished.
        let job = jobs::over(ctl, None).await?;
        return Ok((StatusCode::CREATED, Json(jobs::body_for_users(&job))));
    }
    Ok((StatusCode::CREATED, Json(json!({}))))
}

async fn take_in(ctl: &Ctl, event: &NewEvent, form: Form, scratch: &FsPath) -> Outcome<()> {
    let form = form.within(ctl.config.limits.max_package_bytes)?;
    let (resources, zip) = receive(ctl, form, scratch).await?;
    make_package(ctl, event, resources, zip, scratch).await
}

/// Bits that were refused show as a failed staging, with the reason. The package of before stays, and what runs on a good
/// droplet keeps running: to the health manager an app whose staging failed is one that should not run.
async fn note_refusal(ctl: &Ctl, guid: &str, failure: &Failure) -> Outcome<()> {
    if !failure.0.status().is_client_error() {
        return Ok(());
    }
    let mut tx = ctl.store.begin().await?;
    let Some(mut app) = tx.app(guid).await? else {
        return Ok(());
    };
    if app.is_started() {
        return Ok(());
    }
    app.package_state = "FAILED".into();
    app.staging_failed_reason = Some(Code::StagingError.row().name.into());
    app.staging_failed_description = Some(failure.0.description.clone());
    tx.save_app(&app).await?;
    Ok(tx.commit().await?)
}

/// The two parts, in any order.
async fn receive(
    ctl: &Ctl,
    mut form: Multipart,
    scratch: &FsPath,
) -> Outcome<(Vec<Resource>, Option<PathBuf>)> {
    let (mut resources, mut zip) = (None, None);
    while let Some(field) = form.next_field().await.map_err(UploadError::from)? {
        match field.name() {
            Some("resources") => {
                let text = upload::text(field, RESOURCES_LIMIT).await?;
                let list = serde_json::from_slice(&text)
                    .map_err(|error| refused(format!("invalid :resources ({error})")))?;
                resources = Some(list);
            }
            Some("application") => {
                let path = scratch.join("application.zip");
                let limit = ctl.config.limits.max_package_bytes;
                let saved = upload::save(field, &path, limit).await?;
                ctl.uploaded_bytes.fetch_add(saved.size, Ordering::Relaxed);
                zip = Some(path);
            }
            _ => {}
        }
    }
    Ok((resources.ok_or_else(|| refused("missing :resources"))?, zip))
}

/// New files and known ones become one package of the app that the event is about.
async fn make_package(
    ctl: &Ctl,
    event: &NewEvent,
    resources: Vec<Resource>,
    zip: Option<PathBuf>,
    scratch: &FsPath,
) -> Outcome<()> {
    let limit = ctl.config.limits.max_package_bytes;
    let mut tree = unpack(zip, scratch, limit).await?;
    let mut files = keep_resources(ctl, &tree).await?;
    files.extend(resources.iter().map(|known| known.sha1.to_lowercase()));
    add_known(ctl, resources, &mut tree, scratch).await?;
    if tree.size() > limit {
        return Err(fail_with(
            Code::AppPackageInvalid,
            format!("Package may not be larger than {limit} bytes"),
        ));
    }
    if tree.is_empty() {
        return Err(refused("it holds no files"));
    }
    let package = scratch.join("package.zip");
    let target = package.clone();
    let sha1 = blocking(move || {
        tree.write_zip(&target)?;
        Ok(sha1_of_file(&target)?)
    })
    .await?;
    let manifest = Place::Manifest(sha1.clone());
    ctl.blobs
        .put_bytes(&manifest, files.join("\n").into_bytes())
        .await?;
    let place = Place::Package(sha1.clone());
    ctl.blobs.put(&place, &package).await?;
    let mut tx = ctl.store.begin().await?;
    // With the write lock held nobody collects it any more.
    if !ctl.blobs.has(&place).await? {
        ctl.blobs.put(&place, &package).await?;
    }
    let guid = &event.actee.0;
    let app = tx
        .app(guid)
        .await?
        .ok_or_else(|| fail_with(Code::AppNotFound, guid))?;
    write_package(ctl, tx, app, sha1, event).await
}

/// Gives an app its package; a staging of the bits it had is given up.
pub(super) async fn write_package(
    ctl: &Ctl,
    mut tx: Tx,
    before: AppRow,
    sha1: String,
    event: &NewEvent,
) -> Outcome<()> {
    let mut app = before.clone();
    give_package(&mut app, sha1, tx.now());
    let is_cancelled = ctl.cancel_staging(&mut tx, &before, &mut app).await?;
    tx.save_app(&app).await?;
    tx.record_event(event).await?;
    tx.commit().await?;
    if is_cancelled {
        ctl.stop_staging(&app.guid).await;
        let text = "Staging cancelled: the app has new bits; restart or restage it";
        ctl.say(&app.guid, "STG", text);
    }
    Ok(())
}

/// New bits ask for staging, identical ones do not, unless bits were refused in between.
fn give_package(app: &mut AppRow, sha1: String, now: i64) {
    let was_refused = app.package_state == "FAILED" && !app.is_started();
    if app.package_hash.as_ref() != Some(&sha1) || was_refused {
        app.package_hash = Some(sha1);
        mark_pending(app);
    }
    app.package_updated_at = Some(now);
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArchiveError> + Send + 'static,
) -> Outcome<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::from(std::io::Error::other(error)))?
        .map_err(Failure::from)
}

async fn unpack(zip: Option<PathBuf>, scratch: &FsPath, limit: u64) -> Outcome<Tree> {
    let Some(zip) = zip else {
        return Ok(Tree::default());
    };
    let into = scratch.join("new");
    blocking(move || {
        std::fs::create_dir(&into)?;
        archive::extract(&zip, &into, limit)
    })
    .await
}

/// New files of a size worth keeping go to the resource pool, for the next push. Gives their sha1s.
async fn keep_resources(ctl: &Ctl, tree: &Tree) -> Outcome<Vec<String>> {
    let condemned = ctl.store.condemned().await?;
    let mut kept = Vec::new();
    for (_, member) in tree
        .files()
        .filter(|(_, member)| keeps(&ctl.config.limits, member.size))
    {
        let content = member.content.clone();
        let sha1 = blocking(move || Ok(sha1_of_file(&content)?)).await?;
        let is_condemned = condemned.contains_key(&sha1);
        let place = Place::Resource(sha1.clone());
        if is_condemned || !ctl.blobs.has(&place).await? {
            ctl.blobs.put(&place, &member.content).await?;
        }
        if is_condemned {
            let mut tx = ctl.store.begin().await?;
            tx.uncondemn(&sha1).await?;
            tx.commit().await?;
        }
        kept.push(sha1);
    }
    Ok(kept)
}

async fn add_known(
    ctl: &Ctl,
    resources: Vec<Resource>,
    tree: &mut Tree,
    scratch: &FsPath,
) -> Outcome<()> {
    for (at, resource) in resources.into_iter().enumerate() {
        if resource.sha1 == "0" || resource.size == 0 && resource.sha1.len() != 40 {
            continue;
        }
        let content = scratch.join(format!("known{at}"));
        if !ctl
            .blobs
            .fetch(&Place::Resource(resource.sha1.clone()), &content)
            .await?
        {
            return Err(refused(format!(
                "file {:?} is not known here (sha1 {}); upload it",
                resource.path, resource.sha1
            )));
        }
        let size = tokio::fs::metadata(&content).await?.len();
        tree.add(
            &resource.path,
            Member {
                content,
                mode: mode(resource.mode.as_deref())?,
                size,
            },
        )?;
    }
    Ok(())
}

/// Octal text, with or without a leading zero.
fn mode(text: Option<&str>) -> Result<u32, ApiError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(0o644);
    };
    let bits = u32::from_str_radix(text, 8)
        .map_err(|_| ApiError::with(Code::AppResourcesFileModeInvalid, text))?;
    // The owner can always read: a file nobody can read is of no use to an app.
    Ok((bits & 0o777) | 0o400)
}

/// Also used by the internal endpoints: a saved file's hash and size.
pub(super) fn describe(saved: &Saved) -> String {
    format!("{} bytes, sha1 {}", saved.size, saved.sha1)
}

#[cfg(test)]
mod tests {
    use super::mode;

    #[test]
    fn modes_are_octal_with_or_without_a_leading_zero() {
        assert_eq!(mode(Some("0755")).ok(), Some(0o755));
        assert_eq!(mode(Some("755")).ok(), Some(0o755));
        assert_eq!(mode(None).ok(), Some(0o644));
        assert!(mode(Some("rwx")).is_err());
    }
}
