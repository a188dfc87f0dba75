//! Errors of one request, on their way to the client.

use std::path::Path;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use database::Kind;
use http::{HeaderValue, header};
use v2_api::{ApiError, Code};

use crate::controller::Ctl;
use crate::store::StoreError;

/// Seconds after which a client may try again when the bus is away.
const RETRY_AFTER: u32 = 5;

/// An API error as a response; everything internal is turned into one, with the evidence in our log.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) Box<ApiError>, Option<DatabaseFull>);

/// What handlers return.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// An error without details.
pub(crate) fn fail(code: Code) -> Failure {
    ApiError::new(code).into()
}

/// An error with one detail.
pub(crate) fn fail_with(code: Code, detail: impl std::fmt::Display) -> Failure {
    ApiError::with(code, detail).into()
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Failure {
        Failure(Box::new(error), None)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        if let StoreError::Filter(text) = error {
            return fail_with(Code::BadQueryParameter, text);
        }
        tracing::error!(%error, "the store failed");
        let kind = error.kind();
        if kind == Some(Kind::Away) {
            return ApiError::with(Code::ServiceUnavailable, error)
                .retry_after(RETRY_AFTER)
                .into();
        }
        if kind == Some(Kind::Text) {
            let text =
                "a text holds the character NUL, which the database cannot keep; leave it out";
            return fail_with(Code::MessageParseError, text);
        }
        if kind == Some(Kind::Busy) {
            let text = "The database is in use by somebody else for longer than we wait. Nothing was changed; try again in a few \
                        seconds. If it stays so, look who holds it (SQLite: fuser on \
                        the file; PostgreSQL: pg_stat_activity).";
            return ApiError::with(Code::ServiceUnavailable, text)
                .retry_after(RETRY_AFTER)
                .into();
        }
        let evidence = format!("({error}). The controller's log has more.");
        let answer = ApiError::new(Code::DatabaseError);
        if kind == Some(Kind::Full) {
            let mut failure = Failure::from(answer);
            failure.1 = Some(DatabaseFull);
            return failure;
        }
        answer.explain(evidence).into()
    }
}

/// Marks an answer to a request that the database had no room for: [`name_database`] says where it lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DatabaseFull;

/// Puts the path of the database into answers that are about its disk; whoever failed did not know it.
pub(crate) async fn name_database(
    State(ctl): State<Ctl>,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    if response.extensions().get::<DatabaseFull>().is_none() {
        return response;
    }
    let path = &ctl.config.database;
    let text = format!(
        "No room to write {path}. Nothing was changed; free space on its disk, then try again."
    );
    Failure::from(ApiError::new(Code::DatabaseError).explain(text)).into_response()
}

impl From<bus::BusError> for Failure {
    fn from(error: bus::BusError) -> Failure {
        let text = format!(
            "The platform cannot carry this out now: {error}. Nothing was changed; try again in a few seconds."
        );
        ApiError::with(Code::ServiceUnavailable, text)
            .retry_after(RETRY_AFTER)
            .into()
    }
}

impl From<crate::blobs::BlobError> for Failure {
    fn from(error: crate::blobs::BlobError) -> Failure {
        tracing::error!(%error, "the blobstore failed");
        let mut answer = ApiError::new(Code::ServerError);
        answer.description = format!(
            "The blobstore failed: {error}. Nothing was changed; see that it can be written and has room, then try again."
        );
        answer.into()
    }
}

/// A local file that could not be used, by name.
pub(crate) fn of_file(path: &Path, error: &std::io::Error) -> Failure {
    tracing::error!(%error, path = %path.display(), "file access failed");
    let mut answer = ApiError::new(Code::ServerError);
    answer.description = format!(
        "The controller cannot write {}: {error}. Nothing was changed; {}",
        path.display(),
        if error.kind() == std::io::ErrorKind::StorageFull {
            "free space on that disk, then send it again."
        } else {
            "see to that file or directory, then send it again."
        }
    );
    answer.into()
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        tracing::error!(%error, "file access failed");
        let mut answer = ApiError::new(Code::ServerError);
        answer.description = format!("The controller could not use its temporary files: {error}");
        answer.into()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.0.status(), axum::Json(self.0.body())).into_response();
        if let Some(seconds) = self.0.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(mark) = self.1 {
            response.extensions_mut().insert(mark);
        }
        response
    }
}
