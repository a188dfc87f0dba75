//! JSON bodies: whatever the content type says, with the API's own error for what cannot be read.

use std::marker::PhantomData;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, FailedToBufferBody};
use axum::extract::{FromRequest, Request};
use http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use v2_api::{ApiError, Code};

use super::text;
use crate::controller::Ctl;
use crate::failure::{Failure, fail_with};
use crate::limits::{JSON_BODY_BYTES, NAME_BYTES};

/// A JSON body. Unknown keys are ignored; anything else wrong is 400/1001.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Ctl> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, ctl: &Ctl) -> Result<Body<T>, Failure> {
        let Raw(bytes, _) = Raw::<T>::from_request(request, ctl).await?;
        parse(&bytes).map(Body).map_err(Failure::from)
    }
}

/// A body as it came, for whoever reads it in more than one way; one of them is as a `T`.
pub(crate) struct Raw<T>(pub(crate) Bytes, pub(crate) PhantomData<T>);

impl<T> FromRequest<Ctl> for Raw<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, ctl: &Ctl) -> Result<Raw<T>, Failure> {
        let path = request.uri().path().to_owned();
        if announced(request.headers()).is_some_and(|bytes| bytes > JSON_BODY_BYTES as u64) {
            return Err(too_large(JSON_BODY_BYTES));
        }
        let bytes = Bytes::from_request(request, ctl).await;
        let bytes = bytes.map_err(|error| match error {
            BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
                too_large(JSON_BODY_BYTES)
            }
            error => fail_with(Code::MessageParseError, error),
        })?;
        text::check(&path, &bytes)?;
        Ok(Raw(bytes, PhantomData))
    }
}

/// How many bytes a request says that its body has.
pub(crate) fn announced(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(header::CONTENT_LENGTH)?;
    value.to_str().ok()?.parse().ok()
}

/// A body that is larger than what is read of it.
pub(crate) fn too_large(limit: usize) -> Failure {
    let text = format!("the body is larger than the {limit} bytes allowed; send less at a time");
    ApiError::with(Code::MessageParseError, text)
        .with_status(StatusCode::PAYLOAD_TOO_LARGE)
        .into()
}

/// Reads a body.
///
/// # Errors
/// `MessageParseError` (1001) naming the field and the type wanted.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // Checked as a whole: the reader looks at the texts of known keys only.
    let text = std::str::from_utf8(bytes).map_err(|error| {
        ApiError::with(
            Code::MessageParseError,
            format!("the body is not JSON in UTF-8: {error}; send a JSON object"),
        )
    })?;
    let mut from = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut from)
        .map_err(|error| {
            let field = error.path().to_string();
            explain(&field, error.inner())
        })
        .and_then(|read| {
            from.end()
                .map(|()| read)
                .map_err(|error| explain(".", &error))
        })
        .map_err(|text| ApiError::with(Code::MessageParseError, text))
}

/// What is wrong with a body, in the words of JSON.
fn explain(field: &str, error: &serde_json::Error) -> String {
    let text = error.to_string();
    if !error.is_data() {
        return format!("the body is not JSON in UTF-8: {text}; send a JSON object");
    }
    let mut text = text
        .split(" at line ")
        .next()
        .unwrap_or_default()
        .to_owned();
    for (ours, theirs) in [
        ("expected i64", "expected a whole number"),
        ("expected u32", "expected a whole number from 0"),
        ("expected a map", "expected an object"),
        ("expected a sequence", "expected an array"),
        ("invalid type: map", "invalid type: an object"),
        ("invalid type: sequence", "invalid type: an array"),
    ] {
        text = text.replace(ours, theirs);
    }
    if text.contains("expected struct") {
        return "the body must be a JSON object".to_owned();
    }
    if field == "." {
        text
    } else {
        format!("the field {field:?}: {text}")
    }
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
    let fits = !name.is_empty() && name.len() <= NAME_BYTES && text::unfit_name(name).is_none();
    fits.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::limits::JSON_LEVELS;

    #[derive(Deserialize, Debug)]
    #[allow(dead_code)]
    struct Sent {
        memory: Option<i64>,
        enabled: Option<bool>,
        vars: Option<serde_json::Map<String, serde_json::Value>>,
        tags: Option<Vec<String>>,
    }

    #[test]
    fn names_are_bounded_in_bytes() {
        assert_eq!(name(" web ").as_deref(), Some("web"));
        for (length, fits) in [
            (NAME_BYTES, true),
            (NAME_BYTES + 1, false),
            (NAME_BYTES * 100, false),
        ] {
            assert_eq!(name(&"x".repeat(length)).is_some(), fits, "{length}");
        }
        assert_eq!(name("a\u{202e}b"), None);
    }

    #[test]
    fn json_is_read_to_a_stated_depth() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        for (levels, fits) in [
            (JSON_LEVELS, true),
            (JSON_LEVELS + 1, false),
            (JSON_LEVELS * 100, false),
        ] {
            let read = parse::<serde_json::Value>(nested(levels).as_bytes());
            assert_eq!(read.is_ok(), fits, "{levels}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_body_names_the_field_and_the_type_wanted() {
        let cases: [(&[u8], &[&str]); 7] = [
            (br#"{"memory":"lots"}"#, &["\"memory\"", "a whole number"]),
            (br#"{"enabled":1}"#, &["\"enabled\"", "a boolean"]),
            (br#"{"vars":[]}"#, &["\"vars\"", "an object"]),
            (br#"{"tags":["a",2]}"#, &["\"tags[1]\"", "a string"]),
            (br#"{"memory":1"#, &["not JSON"]),
            (b"{\"x\":\"\xff\"}", &["not JSON in UTF-8"]),
            (b"7", &["JSON object"]),
        ];
        for (body, words) in cases {
            let error = parse::<Sent>(body).unwrap_err();
            assert_eq!(error.row().code, 1001);
            for word in words {
                assert!(error.description.contains(word), "{}", error.description);
            }
        }
        assert!(parse::<Sent>(br#"{"unknown":1,"memory":64}"#).is_ok());
        assert!(parse::<Sent>(b"{} {}").is_err());
    }
}
