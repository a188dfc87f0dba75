//! Who calls, by address, and how often that may fail.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::PoisonError;

use ::http::StatusCode;
use ::http::request::Parts;
use axum::extract::{ConnectInfo, FromRequestParts};

use crate::error::Refusal;
use crate::service::{Uaa, now_micros};

/// The address a request came from: the peer's; what a proxy on this host says it is.
pub(crate) struct Address(String);

impl<S: Sync> FromRequestParts<S> for Address {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Address, Infallible> {
        let peer = parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|peer| peer.0.ip());
        let forwarded = parts
            .headers
            .get("x-forwarded-for")
            .and_then(|value| value.to_str().ok()?.rsplit(',').next())
            .map(|last| last.trim().to_owned());
        let told = forwarded.filter(|_| peer.is_none_or(|peer| peer.is_loopback()));
        Ok(Address(told.unwrap_or_else(|| {
            peer.map_or_else(String::new, |peer| peer.to_string())
        })))
    }
}

impl Address {
    /// Carries out what may fail because of wrong secrets, unless it failed too often for this address.
    pub(crate) async fn limited<T>(
        &self,
        uaa: &Uaa,
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let failures = || {
            uaa.0
                .failures
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let wait = failures().wait(&self.0, now_micros());
        if let Some(seconds) = wait {
            return Err(Refusal::too_many(seconds));
        }
        let done = work.await;
        let is_wrong = |refusal: &Refusal| {
            refusal.status == StatusCode::UNAUTHORIZED || refusal.error == "invalid_grant"
        };
        if done.as_ref().err().is_some_and(is_wrong) {
            failures().failed(&self.0, now_micros());
        }
        done
    }
}
