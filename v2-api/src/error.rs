//! An error as the API answers it.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::codes::{Code, ErrorRow};

/// One error of the v2 API: a row of the table with its details.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{} ({}): {description}", .code.row().name, .code.row().code)]
pub struct ApiError {
    /// Which row.
    pub code: Code,
    /// The message with its details filled in; this is what the client prints.
    pub description: String,
    /// Seconds for a `Retry-After` header, when trying again later makes sense.
    pub retry_after: Option<u32>,
    /// The HTTP status where it says more than that of the row.
    status: Option<http::StatusCode>,
}

impl ApiError {
    /// An error without details.
    pub fn new(code: Code) -> ApiError {
        ApiError::with_details(code, &[])
    }

    /// An error with one detail (`%s`).
    pub fn with(code: Code, detail: impl std::fmt::Display) -> ApiError {
        ApiError::with_details(code, &[&detail.to_string()])
    }

    /// An error with several details. Details beyond the template's `%s` are appended, so that no evidence is lost.
    pub fn with_details(code: Code, details: &[&str]) -> ApiError {
        ApiError {
            code,
            description: fill(code.row().message, details),
            retry_after: None,
            status: None,
        }
    }

    /// Adds a sentence: figures, or what to do next.
    pub fn explain(mut self, sentence: impl std::fmt::Display) -> ApiError {
        self.description.push_str(&format!(" {sentence}"));
        self
    }

    /// Says that the same request may succeed after `seconds`.
    pub fn retry_after(mut self, seconds: u32) -> ApiError {
        self.retry_after = Some(seconds);
        self
    }

    /// Answers with a status that says more than the row's own: 413, 502.
    pub fn with_status(mut self, status: http::StatusCode) -> ApiError {
        self.status = Some(status);
        self
    }

    /// The row of the table.
    pub fn row(&self) -> &'static ErrorRow {
        self.code.row()
    }

    /// HTTP status.
    pub fn status(&self) -> http::StatusCode {
        let of_row = || http::StatusCode::from_u16(self.row().http).ok();
        let status = self.status.or_else(of_row);
        status.unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The JSON body: `code`, `error_code`, `description`.
    pub fn body(&self) -> Value {
        json!({
            "code": self.row().code,
            "error_code": format!("CF-{}", self.row().name),
            "description": self.description,
        })
    }
}

/// The error body as a client reads it. Unknown keys are ignored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ErrorBody {
    /// Number of the row.
    #[serde(default)]
    pub code: u32,
    /// `CF-<name>`.
    #[serde(default)]
    pub error_code: String,
    /// What happened.
    #[serde(default)]
    pub description: String,
}

fn fill(template: &str, details: &[&str]) -> String {
    let mut rest = details.iter();
    let mut parts = template.split("%s");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str(rest.next().copied().unwrap_or_default());
        text.push_str(part);
    }
    for left_over in rest {
        text.push_str(": ");
        text.push_str(left_over);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_has_the_three_keys_clients_read() {
        let body = ApiError::with(Code::AppNotFound, "g-1").body();
        assert_eq!(
            body.to_string(),
            r#"{"code":100004,"error_code":"CF-AppNotFound","description":"The app could not be found: g-1"}"#
        );
    }

    #[test]
    fn a_status_may_say_more_than_the_row() {
        let error = ApiError::with(Code::MessageParseError, "too large");
        assert_eq!(error.status().as_u16(), 400);
        let error = error.with_status(http::StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!((error.status().as_u16(), error.row().code), (413, 1001));
    }

    #[test]
    fn two_details_fill_two_places() {
        let error = ApiError::with_details(Code::AssociationNotEmpty, &["spaces", "organizations"]);
        assert_eq!(
            error.description,
            "Please delete the spaces associations for your organizations."
        );
    }

    #[test]
    fn a_detail_without_a_place_is_not_lost() {
        let error = ApiError::with(Code::InsufficientRunningResourcesAvailable, "need 64 MB");
        assert!(error.description.ends_with(": need 64 MB"));
    }
}
