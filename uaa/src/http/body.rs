//! JSON bodies, with this server's own error for what cannot be read.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

use super::Shared;
use crate::error::Refusal;

/// A JSON body, whatever its content type says.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Shared> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, shared: &Shared) -> Result<Body<T>, Refusal> {
        let bytes = Bytes::from_request(request, shared)
            .await
            .map_err(|error| Refusal::invalid_request(error.body_text()))?;
        serde_json::from_slice(&bytes).map(Body).map_err(|error| {
            Refusal::invalid_request(format!("the body is not as expected: {error}"))
        })
    }
}
