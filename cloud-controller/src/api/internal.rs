//! For DEAs and stagers: packages, droplets, build caches; and for log servers: who may read.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use component::authorized;
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use loggregator::limits::STREAM_OUTLIVES_TOKEN_SECONDS;
use loggregator::{Answer, Moment};
use serde_json::{Value, json};
use v2_api::{ApiError, Code};

use super::body::{flag, parameter};
use super::resources::is_sha1;
use super::routing::{Routes, get, post};
use super::upload::{self, Form, Saved, UploadError};
use super::{apps, bits, jobs};
use crate::authorize::{self, Caller};
use crate::blobs::Place;
use crate::controller::Ctl;
use crate::failure::{Failure, Outcome, fail, fail_with};
use crate::signing::Refusal;
use crate::store::{AppRow, now_micros};

/// Name of the multipart field, for droplets and caches alike.
const FIELD: &str = "upload[droplet]";

pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/staging/apps/{guid}", get(package))
        .route(
            "/staging/droplets/{guid}/upload",
            post(upload_droplet).body(DefaultBodyLimit::disable()),
        )
        .route("/staging/droplets/{guid}/download", get(droplet))
        .route(
            "/staging/buildpack_cache/{guid}/upload",
            post(upload_cache).body(DefaultBodyLimit::disable()),
        )
        .route("/staging/buildpack_cache/{guid}/download", get(cache))
        .route("/staging/jobs/{guid}", get(job))
        .route(
            "/internal/v2/droplets/{guid}/{sha1}/download",
            get(droplet_by_hash),
        )
        .route("/internal/log_access/{guid}", get(log_access))
}

/// Somebody who may: with an address that was signed for this request, or with the password of components.
pub(super) struct Admitted;

impl FromRequestParts<Ctl> for Admitted {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, ctl: &Ctl) -> Result<Admitted, Failure> {
        let auth = &ctl.config.staging_auth;
        if !auth.password.is_empty() && authorized(&parts.headers, &auth.basic()) {
            return Ok(Admitted);
        }
        let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
        let now = now_micros() / 1_000_000;
        match ctl.keys.check(parts.method.as_str(), path, query, now) {
            Ok(()) => Ok(Admitted),
            Err(Refusal::Unsigned) => Err(fail(Code::NotAuthenticated)),
            Err(refusal) => {
                // The path without its query: a signature is nobody's to read.
                tracing::info!(?path, %refusal, "a signed address was refused");
                let error = ApiError::new(Code::NotAuthorized);
                Err(error.explain(format!("({refusal})")).into())
            }
        }
    }
}

async fn app(ctl: &Ctl, guid: &str) -> Outcome<AppRow> {
    ctl.store
        .app(guid)
        .await?
        .ok_or_else(|| fail_with(Code::AppNotFound, guid))
}

/// How long a signed address leads to its blob.
const SIGNED_FOR: Duration = Duration::from_secs(15 * 60);

/// A blob as an answer, or where it is; missing is 404.
pub(super) async fn send(ctl: &Ctl, place: &Place) -> Outcome<Response> {
    if let Some(url) = ctl.blobs.signed_url(place, SIGNED_FOR).await? {
        if !ctl.blobs.has(place).await? {
            return Err(fail(Code::NotFound));
        }
        return Ok((StatusCode::FOUND, [(header::LOCATION, url)]).into_response());
    }
    let (size, content) = ctl
        .blobs
        .get(place)
        .await?
        .ok_or_else(|| fail(Code::NotFound))?;
    let headers = [
        (header::CONTENT_LENGTH, size.to_string()),
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
    ];
    Ok((headers, Body::from_stream(content)).into_response())
}

async fn package(
    State(ctl): State<Ctl>,
    _: Admitted,
    Path(guid): Path<String>,
) -> Outcome<Response> {
    let hash = app(&ctl, &guid)
        .await?
        .package_hash
        .ok_or_else(|| fail_with(Code::AppPackageNotFound, &guid))?;
    send(&ctl, &Place::Package(hash)).await
}

async fn droplet(
    State(ctl): State<Ctl>,
    _: Admitted,
    Path(guid): Path<String>,
) -> Outcome<Response> {
    let hash = app(&ctl, &guid)
        .await?
        .droplet_hash
        .ok_or_else(|| fail(Code::NotFound))?;
    send(&ctl, &Place::Droplet(guid, hash)).await
}

/// A sha1 that somebody names, in lower case.
pub(super) fn digest(text: &str) -> Outcome<String> {
    match is_sha1(text) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err(fail_with(
            Code::BadQueryParameter,
            format!(
                "sha1 {:?} is not 40 hexadecimal digits",
                text.chars().take(80).collect::<String>()
            ),
        )),
    }
}

async fn droplet_by_hash(
    State(ctl): State<Ctl>,
    _: Admitted,
    Path((guid, sha1)): Path<(String, String)>,
) -> Outcome<Response> {
    let sha1 = digest(&sha1)?;
    if !ctl.store.has_droplet(&guid, &sha1).await? {
        return Err(fail(Code::NotFound));
    }
    send(&ctl, &Place::Droplet(guid, sha1)).await
}

/// The uploaded file, with its checksums compared against what the sender claims.
async fn receive(
    ctl: &Ctl,
    headers: &HeaderMap,
    raw: &RawQuery,
    form: Form,
    to: &std::path::Path,
) -> Outcome<Saved> {
    let mut form = form.within(ctl.config.limits.max_droplet_bytes)?;
    while let Some(field) = form.next_field().await.map_err(UploadError::from)? {
        if field.name() != Some(FIELD) {
            continue;
        }
        let saved = upload::save(field, to, ctl.config.limits.max_droplet_bytes).await?;
        check_sums(headers, raw, &saved, to).await?;
        return Ok(saved);
    }
    Err(fail_with(
        Code::StagingError,
        format!("malformed droplet upload: no field {FIELD}"),
    ))
}

async fn check_sums(
    headers: &HeaderMap,
    raw: &RawQuery,
    saved: &Saved,
    file: &std::path::Path,
) -> Outcome<()> {
    if let Some(claimed) = parameter(raw, "sha1")
        && digest(&claimed)? != saved.sha1
    {
        return Err(mismatch("sha1", &claimed, saved));
    }
    if let Some(claimed) = headers
        .get("content-md5")
        .and_then(|value| value.to_str().ok())
    {
        let path = file.to_owned();
        let found = tokio::task::spawn_blocking(move || md5_of(&path))
            .await
            .map_err(std::io::Error::other)??;
        if found != claimed {
            return Err(fail_with(
                Code::StagingError,
                "content md5 did not match; the upload was damaged, send it again",
            ));
        }
    }
    Ok(())
}

fn mismatch(what: &str, claimed: &str, saved: &Saved) -> Failure {
    let text = format!(
        "{what} did not match: {claimed} was announced, {} arrived; send it again",
        bits::describe(saved)
    );
    fail_with(Code::StagingError, text)
}

/// Base64 of the MD5, which old DEAs send as a transport checksum (not as protection).
fn md5_of(path: &std::path::Path) -> std::io::Result<String> {
    let mut md5 = super::upload_md5::Md5::default();
    let mut file = std::fs::File::open(path)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = std::io::Read::read(&mut file, &mut buffer)?;
        if read == 0 {
            return Ok(base64::engine::general_purpose::STANDARD.encode(md5.finish()));
        }
        md5.update(&buffer[..read]);
    }
}

/// The upload itself completes the staging named in its address.
async fn upload_droplet(
    State(ctl): State<Ctl>,
    _: Admitted,
    headers: HeaderMap,
    Path(guid): Path<String>,
    raw: RawQuery,
    form: Form,
) -> Outcome<Response> {
    app(&ctl, &guid).await?;
    let scratch = ctl.scratch()?;
    let file = scratch.path().join("droplet.tgz");
    let saved = receive(&ctl, &headers, &raw, form, &file).await?;
    let task = parameter(&raw, "task");
    if !ctl
        .accept_droplet(&guid, task.as_deref(), &saved.sha1, &file, saved.size)
        .await?
    {
        return Err(unwanted("droplet"));
    }
    uploaded(&ctl, &raw).await
}

fn unwanted(what: &str) -> Failure {
    let text = format!(
        "another staging of this app was begun, or this one was given up or is over; the {what} is not wanted"
    );
    fail_with(Code::StagingError, text)
}

async fn upload_cache(
    State(ctl): State<Ctl>,
    _: Admitted,
    headers: HeaderMap,
    Path(guid): Path<String>,
    raw: RawQuery,
    form: Form,
) -> Outcome<Response> {
    let app = app(&ctl, &guid).await?;
    let scratch = ctl.scratch()?;
    let file = scratch.path().join("cache.tgz");
    receive(&ctl, &headers, &raw, form, &file).await?;
    let task = parameter(&raw, "task");
    if !ctl.wants_cache(&guid, task.as_deref()).await? {
        return Err(unwanted("build cache"));
    }
    let stack = ctl.stack_of(&app).await?.name;
    ctl.blobs
        .put(&Place::BuildpackCache(guid, stack), &file)
        .await?;
    uploaded(&ctl, &raw).await
}

/// 200: empty, or with a job that is over already, at an absolute address that is signed like the others.
async fn uploaded(ctl: &Ctl, raw: &RawQuery) -> Outcome<Response> {
    if !flag(raw, "async") {
        return Ok(StatusCode::OK.into_response());
    }
    let job = jobs::over(ctl, None).await?;
    let url = ctl.addresses().job(&job.guid);
    Ok(Json(job.body(url)).into_response())
}

async fn cache(State(ctl): State<Ctl>, _: Admitted, Path(guid): Path<String>) -> Outcome<Response> {
    let app = app(&ctl, &guid).await?;
    let stack = ctl.stack_of(&app).await?.name;
    send(&ctl, &Place::BuildpackCache(guid, stack)).await
}

async fn job(
    State(ctl): State<Ctl>,
    _: Admitted,
    Path(guid): Path<String>,
) -> Outcome<Json<Value>> {
    let job = jobs::find(&ctl, &guid).await?;
    let url = ctl.addresses().job(&job.guid);
    Ok(Json(job.body(url)))
}

/// Whether the token may read the app's logs: whoever may read the app.
pub(super) async fn may_read_logs(ctl: &Ctl, token: &str, app: &str, moment: Moment) -> Answer {
    let Ok(value) = http::HeaderValue::from_str(token) else {
        return Answer::No;
    };
    let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
    let load = async {
        let caller = log_reader(ctl, &headers, moment).await?;
        apps::load(ctl, &caller, app).await
    };
    match load.await {
        Ok(_) => Answer::Yes,
        Err(failure) if failure.0.status().is_client_error() => Answer::No,
        Err(_) => Answer::Unknown,
    }
}

/// Who reads logs. A stream that is open may go on with a token that has expired meanwhile.
async fn log_reader(ctl: &Ctl, headers: &HeaderMap, moment: Moment) -> Outcome<Caller> {
    let grace = match moment {
        Moment::Opening => 0,
        Moment::Open => STREAM_OUTLIVES_TOKEN_SECONDS.as_secs(),
    };
    authorize::authenticate(ctl, headers, grace, false).await
}

/// Asked by a log server of its own; about a stream that is open already only with the intake's credentials.
async fn log_access(
    State(ctl): State<Ctl>,
    headers: HeaderMap,
    Path(guid): Path<String>,
) -> Outcome<Json<Value>> {
    let moment = match headers.get(header::PROXY_AUTHORIZATION) {
        None => Moment::Opening,
        Some(value) => {
            let of_server = HeaderMap::from_iter([(header::AUTHORIZATION, value.clone())]);
            if !authorized(&of_server, &ctl.config.internal_auth.basic()) {
                return Err(fail(Code::NotAuthenticated));
            }
            Moment::Open
        }
    };
    let caller = log_reader(&ctl, &headers, moment).await?;
    match apps::load(&ctl, &caller, &guid).await {
        Ok(_) => Ok(Json(json!({}))),
        Err(failure) if failure.0.status().is_client_error() => {
            Err(fail_with(Code::AppNotFound, &guid))
        }
        Err(failure) => Err(failure),
    }
}
