//! Who calls, by address, and how often that may fail.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ::http::StatusCode;
use ::http::request::Parts;
use axum::extract::{ConnectInfo, FromRequestParts};
use component::forwarders::household;

use super::Shared;
use crate::error::Refusal;
use crate::service::Uaa;

/// The address a request came from: the peer's, or what a trusted forwarder says it is.
pub(crate) struct Address(String);

impl FromRequestParts<Shared> for Address {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Address, Infallible> {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        // Without a socket whoever calls is in this process.
        let peer = peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.0.ip());
        let client = shared.uaa.0.forwarders.client(peer, &parts.headers);
        Ok(Address(household(client).to_string()))
    }
}

impl Address {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Carries out what may fail because of wrong secrets, unless it failed too often for this address. It is counted before.
    pub(crate) async fn limited<T>(
        &self,
        uaa: &Uaa,
        work: impl Future<Output = Result<T, Refusal>>,
    ) -> Result<T, Refusal> {
        let attempt = uaa.0.gate.enter(&self.0).await?;
        let done = work.await;
        let is_wrong = |refusal: &Refusal| {
            refusal.status == StatusCode::UNAUTHORIZED || refusal.error == "invalid_grant"
        };
        if !done.as_ref().err().is_some_and(is_wrong) {
            attempt.take_back();
        }
        done
    }
}
