//! Errors: of opening the service, and of one request in the shape the original answers.

use ::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use component::{CipherError, SecretsError};
use serde_json::json;

use crate::limits::RETRY_SECONDS;
use crate::store::StoreError;

/// Why the service could not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store failed.
    #[error("uaa store: {0}")]
    Store(#[from] StoreError),
    /// A key could not be made or read.
    #[error("uaa signing key: {0}; delete the row in uaa_keys to have a new one made")]
    Key(String),
    /// A secret file could not be read.
    #[error("cannot read the secret of client {client} from {path}: {source}")]
    ClientSecret {
        /// Client id.
        client: String,
        /// File.
        path: String,
        /// Cause.
        source: std::io::Error,
    },
    /// Hashing a password failed.
    #[error("cannot hash a password: {0}")]
    Password(String),
    /// Too many passwords wait to be hashed.
    #[error("too many passwords wait to be hashed")]
    Crowded,
    /// The file with the sealing key.
    #[error(transparent)]
    Secrets(#[from] SecretsError),
    /// The sealing key.
    #[error("secrets file: {0}")]
    Cipher(#[from] CipherError),
    /// A database on a server has no place for it.
    #[error(
        "secrets_file must be named when the database is a PostgreSQL server: the file with the key that seals the signing keys, the same for all token servers of one database"
    )]
    NoSecretsFile,
}

/// An error of one request: `{"error", "error_description"}`.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) error: &'static str,
    pub(crate) description: String,
    /// Seconds after which another try makes sense.
    pub(crate) retry_after: Option<i64>,
}

impl Refusal {
    pub(crate) fn new(
        status: StatusCode,
        error: &'static str,
        description: impl Into<String>,
    ) -> Refusal {
        Refusal {
            status,
            error,
            description: description.into(),
            retry_after: None,
        }
    }

    /// Too many failures from one address.
    pub(crate) fn too_many(seconds: i64) -> Refusal {
        let text =
            format!("Too many failed logins from your address. Try again in {seconds} seconds.");
        Refusal {
            retry_after: Some(seconds),
            ..Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", text)
        }
    }

    /// No place in a queue.
    pub(crate) fn crowded() -> Refusal {
        let seconds = RETRY_SECONDS.as_secs().try_into().unwrap_or(i64::MAX);
        let text = format!("Too many logins at the same time. Try again in {seconds} seconds.");
        Refusal {
            retry_after: Some(seconds),
            ..Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", text)
        }
    }

    /// Asked for more than may be given.
    pub(crate) fn invalid_scope(wish: &str) -> Refusal {
        Refusal::new(
            StatusCode::BAD_REQUEST,
            "invalid_scope",
            format!("none of the scopes {wish:?} may be given"),
        )
    }

    pub(crate) fn unauthorized(description: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized", description)
    }

    pub(crate) fn invalid_token(description: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::UNAUTHORIZED, "invalid_token", description)
    }

    pub(crate) fn invalid_request(description: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, "invalid_request", description)
    }

    pub(crate) fn scope(needed: &str) -> Refusal {
        Refusal::new(
            StatusCode::FORBIDDEN,
            "insufficient_scope",
            format!("Insufficient scope for this resource: one of {needed} is needed"),
        )
    }

    pub(crate) fn scim(status: StatusCode, description: impl Into<String>) -> Refusal {
        Refusal::new(
            status,
            if status == StatusCode::CONFLICT {
                "scim_resource_already_exists"
            } else {
                "scim_resource_not_found"
            },
            description,
        )
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        tracing::error!(%error, "uaa store failed");
        Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "server_error",
            "the user store failed; see the server's log",
        )
    }
}

impl From<OpenError> for Refusal {
    fn from(error: OpenError) -> Refusal {
        if matches!(error, OpenError::Crowded) {
            return Refusal::crowded();
        }
        tracing::error!(%error, "uaa failed");
        Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "server_error",
            "internal error; see the server's log",
        )
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({"error": self.error, "error_description": self.description});
        let mut response = (self.status, axum::Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"UAA\""),
            );
        }
        if let Some(seconds) = self.retry_after {
            let value = HeaderValue::from(seconds);
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
        response
    }
}
