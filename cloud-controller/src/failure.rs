//! Errors of one request, on their way to the client.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use v2_api::{ApiError, Code};

use crate::store::StoreError;

/// Seconds after which a client may try again when the bus is away.
const RETRY_AFTER: u32 = 5;

/// An API error as a response; everything internal is turned into one, with the evidence in our log.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) Box<ApiError>);

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
        Failure(Box::new(error))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        match error {
            StoreError::Filter(text) => fail_with(Code::BadQueryParameter, text),
            other => {
                tracing::error!(error = %other, "the store failed");
                let mut answer = ApiError::new(Code::DatabaseError);
                answer
                    .description
                    .push_str("; the controller's log has the cause");
                answer.into()
            }
        }
    }
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
        answer.description = format!("The blobstore failed: {error}");
        answer.into()
    }
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
        response
    }
}
