//! JSON bodies: whatever the content type says, with the API's own error for what cannot be read.

use axum::body::Bytes;
use axum::extract::FromRequest;
use axum::extract::Request;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use v2_api::{ApiError, Code};

use crate::controller::Ctl;
use crate::failure::{Failure, fail_with};

/// A JSON body. Unknown keys are ignored; anything else wrong is 400/1001.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Ctl> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, ctl: &Ctl) -> Result<Body<T>, Failure> {
        let bytes = Bytes::from_request(request, ctl)
            .await
            .map_err(|error| fail_with(Code::MessageParseError, error))?;
        parse(&bytes).map(Body).map_err(Failure::from)
    }
}

/// Reads a body.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| ApiError::with(Code::MessageParseError, error))
}

/// Tells `null` (`Some(None)`) from absent (`None`).
pub(crate) fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(from).map(Some)
}

/// Whether a query flag is set to true.
pub(crate) fn flag(raw: &axum::extract::RawQuery, name: &str) -> bool {
    let query = raw.0.as_deref().unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes()).any(|(key, value)| key == name && value == "true")
}

/// A query parameter.
pub(crate) fn parameter(raw: &axum::extract::RawQuery, name: &str) -> Option<String> {
    let query = raw.0.as_deref().unwrap_or_default();
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// A name: trimmed, printable, not empty.
pub(crate) fn name(text: &str) -> Option<String> {
    let name = text.trim();
    let fits = !name.is_empty() && name.len() <= 255 && !name.chars().any(char::is_control);
    fits.then(|| name.to_owned())
}
