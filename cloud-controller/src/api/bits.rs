//! Resource matching and the upload of app bits.

use std::collections::HashMap;
use std::path::{Path as FsPath, PathBuf};
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::multipart::Field;
use axum::extract::{DefaultBodyLimit, Path};
use axum::response::{IntoResponse as _, Response};
use http::{StatusCode, header};
use serde_json::{Value, json};
use v2_api::{ApiError, Code};

use super::app_change::mark_pending;
use super::call::Call;
use super::matches::{self, Incoming, busy, signed};
use super::resources::{Known, ListError, ListReader, Read, Resources};
use super::routing::{Routes, put};
use super::upload::{self, Form, Parts, Saved, UploadError};
use super::{apps, audit, jobs};
use crate::archive::{self, ArchiveError, Member, Tree};
use crate::authorize::Caller;
use crate::blobs::{Place, sha1_of_file};
use crate::budget::Held;
use crate::config::LimitsConfig;
use crate::controller::Ctl;
use crate::failure::{self, Failure, Outcome, fail_with};
use crate::store::{AppRow, File, NewEvent, Tx};

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/v2/resource_match", put(resource_match))
        .route(
            "/v2/apps/{guid}/bits",
            put(upload).body(DefaultBodyLimit::disable()),
        )
}

pub(super) fn keeps(limits: &LimitsConfig, size: u64) -> bool {
    size > limits.resource_minimum_bytes && size < limits.resource_maximum_bytes
}

/// The entries we have, whole: a client takes an entry without its mode for a failure.
async fn resource_match(call: Call, list: Incoming) -> Outcome<Response> {
    call.need_feature("app_bits_upload").await?;
    let matched = matches::of(&call.ctl, &call.caller, list).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], matched).into_response())
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
    let mut place = ctl.uploads.of(&call.caller.guid);
    if !place.grow(1) {
        return Err(busy("Too many uploads are under way"));
    }
    let kind = "audit.app.upload-bits";
    let event = audit::of_app(ctl, &call.caller, kind, &app, json!({})).await?;
    let scratch = ctl.scratch()?;
    let upload = Upload {
        ctl,
        caller: &call.caller,
        space: &app.space_guid,
        event: &event,
        scratch: scratch.path(),
    };
    if let Err(failure) = upload.take_in(form).await {
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

/// One upload of bits.
struct Upload<'a> {
    ctl: &'a Ctl,
    caller: &'a Caller,
    /// The space of the app.
    space: &'a str,
    /// What happens to which app.
    event: &'a NewEvent,
    scratch: &'a FsPath,
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

impl Upload<'_> {
    async fn take_in(&self, form: Form) -> Outcome<()> {
        let form = form.within(self.ctl.config.limits.max_package_bytes)?;
        let (resources, zip) = self.receive(form).await?;
        self.make_package(&resources, zip).await
    }

    /// The two parts, in any order.
    async fn receive(&self, mut form: Parts) -> Outcome<(Listed, Option<PathBuf>)> {
        let (mut resources, mut zip) = (None, None);
        while let Some(field) = form.next_field().await.map_err(UploadError::from)? {
            match field.name() {
                Some("resources") => resources = Some(self.list(field).await?),
                Some("application") => {
                    let path = self.scratch.join("application.zip");
                    let limit = self.ctl.config.limits.max_package_bytes;
                    let saved = upload::save(field, &path, limit).await?;
                    let received = &self.ctl.uploaded_bytes;
                    received.fetch_add(saved.size, Ordering::Relaxed);
                    zip = Some(path);
                }
                _ => {}
            }
        }
        Ok((resources.ok_or_else(|| refused("missing :resources"))?, zip))
    }

    /// The files that the client says we have. What they come to is counted before the first of them is looked for.
    async fn list(&self, mut field: Field<'_>) -> Outcome<Listed> {
        let mut held = self.ctl.lists.of(&self.caller.guid);
        let (mut reader, mut resources) = (ListReader::default(), Resources::default());
        let mut counted = 0;
        while let Some(chunk) = field.chunk().await.map_err(UploadError::from)? {
            let keep = &mut |read: Read<'_>| {
                resources.add(&read);
                Ok(())
            };
            reader.take(&chunk, true, keep).map_err(unlisted)?;
            let more = resources.held() - counted;
            if !held.grow(more) {
                return Err(busy("Too many lists of files are in memory"));
            }
            counted += more;
            self.check_size(resources.named())?;
        }
        reader.finish().map_err(unlisted)?;
        Ok(Listed {
            resources,
            _held: held,
        })
    }

    fn check_size(&self, bytes: u64) -> Outcome<()> {
        let limit = self.ctl.config.limits.max_package_bytes;
        if bytes <= limit {
            return Ok(());
        }
        Err(fail_with(
            Code::AppPackageInvalid,
            format!("Package may not be larger than {limit} bytes"),
        ))
    }

    /// New files and known ones become one package of the app.
    async fn make_package(&self, listed: &Listed, zip: Option<PathBuf>) -> Outcome<()> {
        let ctl = self.ctl;
        let mut tree = self.unpack(zip).await?;
        self.check_size(tree.size().saturating_add(listed.resources.named()))?;
        let mut files = keep_resources(ctl, &tree).await?;
        files.extend(self.add_known(&listed.resources, &mut tree).await?);
        if tree.is_empty() {
            return Err(refused("it holds no files"));
        }
        ctl.store.own_files(self.space, &files).await?;
        let package = self.scratch.join("package.zip");
        let target = package.clone();
        let sha1 = blocking(move || {
            tree.write_zip(&target)?;
            Ok(sha1_of_file(&target)?)
        })
        .await?;
        let manifest: Vec<&str> = files.iter().map(|(sha1, _)| sha1.as_str()).collect();
        let place = Place::Manifest(sha1.clone());
        ctl.blobs
            .put_bytes(&place, manifest.join("\n").into_bytes())
            .await?;
        let place = Place::Package(sha1.clone());
        ctl.blobs.put(&place, &package).await?;
        let mut tx = ctl.store.begin().await?;
        // With the write lock held nobody collects it any more.
        if !ctl.blobs.has(&place).await? {
            ctl.blobs.put(&place, &package).await?;
        }
        let guid = &self.event.actee.0;
        let app = tx
            .app(guid)
            .await?
            .ok_or_else(|| fail_with(Code::AppNotFound, guid))?;
        write_package(ctl, tx, app, sha1, self.event).await
    }

    async fn unpack(&self, zip: Option<PathBuf>) -> Outcome<Tree> {
        let Some(zip) = zip else {
            return Ok(Tree::default());
        };
        let limit = self.ctl.config.limits.max_package_bytes;
        let into = self.scratch.join("new");
        blocking(move || {
            std::fs::create_dir(&into)?;
            archive::extract(&zip, &into, limit)
        })
        .await
    }

    /// Puts the files we have into the tree, each fetched once however often it is named; gives them. A file that this caller may not
    /// use is answered like one that is not here.
    async fn add_known(&self, resources: &Resources, tree: &mut Tree) -> Outcome<Vec<File>> {
        let usable = matches::usable(self.ctl, self.caller, resources).await?;
        let mut fetched: HashMap<&str, PathBuf> = HashMap::new();
        let mut files = Vec::new();
        for known in resources.files() {
            let file = (known.sha1.to_owned(), signed(known.size));
            let is_usable = usable.contains(&file);
            let content = match fetched.get(known.sha1).filter(|_| is_usable) {
                Some(content) => content.clone(),
                None if is_usable => {
                    let content = self.scratch.join(format!("known{}", fetched.len()));
                    let place = Place::Resource(known.sha1.to_owned());
                    if !self.ctl.blobs.fetch(&place, &content).await? {
                        return Err(unknown(&known));
                    }
                    fetched.insert(known.sha1, content.clone());
                    files.push(file);
                    content
                }
                None => return Err(unknown(&known)),
            };
            let member = Member {
                content,
                mode: mode(known.mode)?,
                size: known.size,
            };
            tree.add(known.path, member)?;
        }
        Ok(files)
    }
}

/// A list, and the room it takes.
struct Listed {
    resources: Resources,
    _held: Held,
}

fn unknown(known: &Known<'_>) -> Failure {
    refused(format!(
        "file {:?} is not known here (sha1 {}); upload it",
        known.path, known.sha1
    ))
}

fn unlisted(error: ListError) -> Failure {
    let text = format!("invalid :resources ({error})");
    match error {
        ListError::TooLarge(_) => ApiError::with(Code::AppPackageInvalid, text)
            .with_status(StatusCode::PAYLOAD_TOO_LARGE)
            .into(),
        _ => refused(text),
    }
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

/// New files of a size worth keeping go to the resource pool, for the next push. Gives them.
async fn keep_resources(ctl: &Ctl, tree: &Tree) -> Outcome<Vec<File>> {
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
        kept.push((sha1, signed(member.size)));
    }
    Ok(kept)
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
