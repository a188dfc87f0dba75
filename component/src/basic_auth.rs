//! Basic authentication between components.

use axum::http::{HeaderMap, header};
use base64::Engine;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// A user and its password.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BasicAuth {
    /// User name.
    pub user: String,
    /// Password.
    pub password: String,
}

impl std::fmt::Debug for BasicAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BasicAuth({}, [redacted])", self.user)
    }
}

impl BasicAuth {
    /// The value of the header that carries it.
    pub fn header(&self) -> String {
        let pair = format!("{}:{}", self.user, self.password);
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
        format!("Basic {encoded}")
    }
}

/// Whether the request carries exactly these credentials; compares in constant
/// time. Credentials with an empty password never match.
pub fn authorized(headers: &HeaderMap, expected: &BasicAuth) -> bool {
    let given = headers
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok());
    let Some(encoded) = given.and_then(|v| {
        v.strip_prefix("Basic ")
            .or_else(|| v.strip_prefix("basic "))
    }) else {
        return false;
    };
    let Ok(decoded) = base64::engine::general_purpose::STANDARD.decode(encoded.trim()) else {
        return false;
    };
    let wanted = format!("{}:{}", expected.user, expected.password);
    !expected.password.is_empty() && bool::from(decoded.ct_eq(wanted.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        let mut h = HeaderMap::new();
        h.insert(header::AUTHORIZATION, value.parse().expect("ascii"));
        h
    }

    #[test]
    fn only_the_exact_pair_is_authorized() {
        let auth = BasicAuth {
            user: "u".into(),
            password: "p:w".into(),
        };
        assert!(authorized(&headers("Basic dTpwOnc="), &auth));
        assert!(authorized(&headers(&auth.header()), &auth));
        assert!(!authorized(&headers("Basic dTpw"), &auth));
        assert!(!authorized(&headers("Bearer dTpwOnc="), &auth));
        assert!(!authorized(&HeaderMap::new(), &auth));
    }

    #[test]
    fn an_unset_password_lets_nobody_in() {
        let auth = BasicAuth {
            user: "u".into(),
            password: String::new(),
        };
        assert!(!authorized(&headers("Basic dTo="), &auth));
    }
}
