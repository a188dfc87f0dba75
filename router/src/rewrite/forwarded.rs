//! Who sent a request, and whose word about that is believed (decision 22).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

/// A network such as `10.0.0.0/8`; a bare address is a network of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    base: IpAddr,
    bits: u8,
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, bits) = text
            .split_once('/')
            .map_or((text, None), |(address, bits)| (address, Some(bits)));
        let base: IpAddr = address
            .parse()
            .map_err(|_| format!("{text:?} is no network; write 10.0.0.0/8 or an address"))?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) => bits
                .parse()
                .ok()
                .filter(|bits| *bits <= most)
                .ok_or(format!("{text:?}: the prefix is 0 to {most}"))?,
        };
        Ok(Self { base, bits })
    }
}

impl Cidr {
    /// True if the address lies in this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        let as_bits = |address: IpAddr| match address {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, true),
            IpAddr::V6(v6) => (v6.to_bits(), false),
        };
        let ((base, base_v4), (address, address_v4)) =
            (as_bits(self.base), as_bits(address.to_canonical()));
        let mask = u128::MAX
            .checked_shl(128 - u32::from(self.bits))
            .unwrap_or(0);
        base_v4 == address_v4 && base & mask == address & mask
    }
}

/// Whose forwarded headers are believed.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Load balancers in front of us; loopback always counts.
    pub networks: Vec<Cidr>,
    /// The original's pass-through: everybody is believed, request ids are always fresh.
    pub compat: bool,
}

impl Trust {
    /// True for balancers and loopback.
    pub fn believes(&self, address: IpAddr) -> bool {
        address.to_canonical().is_loopback()
            || self
                .networks
                .iter()
                .any(|network| network.contains(address))
    }
}

/// The listener a request came in on.
#[derive(Debug, Clone, Copy)]
pub struct Listener {
    /// Its port, for `X-Forwarded-Port`.
    pub port: u16,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// It asks clients for certificates, so nobody else's word counts for them.
    pub certificates: bool,
    /// The protocol's version as the access log says it, where it is not what the engine reads.
    pub spoken: Option<&'static str>,
}

/// Who sent a request.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address.
    pub addr: SocketAddr,
    /// The certificate it proved to have, as `X-Forwarded-Client-Cert` says it.
    pub certificate: Option<Arc<str>>,
    /// Where it came in.
    pub listener: Listener,
}

impl Default for Peer {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            certificate: None,
            listener: Listener {
                port: 80,
                scheme: "http",
                certificates: false,
                spoken: None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn networks_contain_what_they_should() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("fd00::/8", "fd12::1", true),
            ("192.0.2.1", "192.0.2.2", false),
        ] {
            assert_eq!(
                network
                    .parse::<Cidr>()
                    .unwrap()
                    .contains(address.parse().unwrap()),
                expected,
                "{network} {address}"
            );
        }
        assert!("10.0.0.0/33".parse::<Cidr>().is_err() && "ten".parse::<Cidr>().is_err());
    }
}
