//! Jobs, and how deletions answer.

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::Value;
use v2_api::{ApiError, Job, JobStatus};

use super::body;
use super::routing::{Routes, get};
use super::times::rfc3339;
use crate::authorize::Caller;
use crate::controller::Ctl;
use crate::failure::Outcome;
use crate::store::now_micros;

pub(super) fn routes() -> Routes {
    Routes::new().route("/v2/jobs/{guid}", get(show))
}

/// A job by guid; one already cleaned up is shown as finished.
pub(super) async fn find(ctl: &Ctl, guid: &str) -> Outcome<Job> {
    Ok(ctl.store.job(guid).await?.unwrap_or_else(|| Job {
        guid: "0".into(),
        status: JobStatus::Finished,
        created_at: rfc3339(now_micros()),
        error: None,
    }))
}

/// The body users get: the URL is a path, which clients put behind the API address.
pub(super) fn body_for_users(job: &Job) -> Value {
    job.body(format!("/v2/jobs/{}", job.guid))
}

async fn show(
    State(ctl): State<Ctl>,
    _caller: Caller,
    Path(guid): Path<String>,
) -> Outcome<Json<Value>> {
    Ok(Json(body_for_users(&find(&ctl, &guid).await?)))
}

/// Writes a job that is over already, so that the client's first poll finds its end.
pub(super) async fn over(ctl: &Ctl, error: Option<&ApiError>) -> Outcome<Job> {
    let guid = bus::ids::guid();
    let status = if error.is_some() {
        JobStatus::Failed
    } else {
        JobStatus::Finished
    };
    let mut tx = ctl.store.begin().await?;
    tx.save_job(&guid, status, error).await?;
    tx.commit().await?;
    find(ctl, &guid).await
}

/// A deletion's answer: 204, or 202 with a job when the client asked for `async`.
pub(super) enum Deleted {
    /// Done.
    Now,
    /// Done too, but the client wants a job.
    Job(Value),
}

impl IntoResponse for Deleted {
    fn into_response(self) -> Response {
        match self {
            Deleted::Now => StatusCode::NO_CONTENT.into_response(),
            Deleted::Job(body) => (StatusCode::ACCEPTED, Json(body)).into_response(),
        }
    }
}

/// The answer to a deletion that is done.
pub(super) async fn deleted(ctl: &Ctl, raw: &RawQuery) -> Outcome<Deleted> {
    if body::flag(raw, "async") {
        Ok(Deleted::Job(body_for_users(&over(ctl, None).await?)))
    } else {
        Ok(Deleted::Now)
    }
}
