//! Whose word about a client's address is taken: routers and proxies that were named, and this host.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use http::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::limits::FORWARDED_ADDRESSES;

/// A network in the form `10.0.0.0/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    base: IpAddr,
    bits: u8,
}

/// Why a text is not a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address or a network; write e.g. 10.0.0.7 or 10.0.0.0/24")]
pub struct NotANetwork(String);

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Network, NotANetwork> {
        let wrong = || NotANetwork(text.to_owned());
        let (base, bits) = text
            .split_once('/')
            .map_or((text, None), |(a, b)| (a, Some(b)));
        let base: IpAddr = base.parse().map_err(|_| wrong())?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| wrong())?;
        if bits > most {
            return Err(wrong());
        }
        Ok(Network { base, bits })
    }
}

impl TryFrom<String> for Network {
    type Error = NotANetwork;

    fn try_from(text: String) -> Result<Network, NotANetwork> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> String {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

impl Network {
    fn holds(&self, address: IpAddr) -> bool {
        let numbers = |address: IpAddr| match address {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
            IpAddr::V6(v6) => (v6.to_bits(), 128),
        };
        let ((base, width), (other, of_other)) = (numbers(self.base), numbers(address));
        let mask = u128::MAX
            .checked_shl(128 - u32::from(self.bits))
            .unwrap_or(0);
        width == of_other && (base & mask) == (other & mask)
    }
}

/// Routers and proxies whose `X-Forwarded-For` is believed. This host always is: who speaks from it is a router, or could be one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Forwarders(pub Vec<Network>);

impl Forwarders {
    /// Whether what this peer says of others is believed.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        peer.is_loopback() || self.0.iter().any(|network| network.holds(peer))
    }

    /// The client's address: the peer's, or the last in `X-Forwarded-For` that no trusted forwarder has. A chain with anything else in
    /// it than addresses is worth nothing from there on.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let values = headers.get_all("x-forwarded-for").iter().rev();
        let chain = values.flat_map(|value| value.to_str().unwrap_or("?").rsplit(','));
        let mut client = peer.to_canonical();
        for (at, text) in chain.enumerate() {
            if !self.trusts(client) {
                return client;
            }
            match address(text.trim()) {
                Some(before) if at < FORWARDED_ADDRESSES => client = before.to_canonical(),
                Some(_) => return peer.to_canonical(),
                None => return client,
            }
        }
        client
    }
}

/// An address as forwarders write it: bare, in brackets, or with a port.
fn address(text: &str) -> Option<IpAddr> {
    let with_port = || {
        text.parse::<std::net::SocketAddr>()
            .ok()
            .map(|pair| pair.ip())
    };
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    text.parse().ok().or_else(with_port).or_else(in_brackets)
}

/// What counts as one address: one of IPv4, one /64 of IPv6, of which anybody has as many addresses as wanted.
pub fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        headers
    }

    fn routers() -> Forwarders {
        Forwarders(vec![
            "10.0.0.0/24".parse().unwrap(),
            "fd00::7".parse().unwrap(),
        ])
    }

    #[test]
    fn the_client_is_the_last_address_that_no_forwarder_has() {
        for (peer, lines, client) in [
            ("10.0.0.9", &["203.0.113.5"][..], "203.0.113.5"),
            ("::ffff:10.0.0.9", &["203.0.113.5"], "203.0.113.5"),
            ("127.0.0.1", &["203.0.113.5, 10.0.0.8"], "203.0.113.5"),
            (
                "127.0.0.1",
                &["6.6.6.6, 203.0.113.5", "10.0.0.8"],
                "203.0.113.5",
            ),
            ("fd00::7", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("10.0.0.9", &["203.0.113.5:1234"], "203.0.113.5"),
            // Who is not trusted says nothing of others.
            ("10.0.1.9", &["203.0.113.5"], "10.0.1.9"),
            ("fd00::8", &["203.0.113.5"], "fd00::8"),
            ("127.0.0.1", &["127.0.0.1, 203.0.113.5"], "203.0.113.5"),
            // Nonsense is the forwarder's own.
            ("10.0.0.9", &["unknown"], "10.0.0.9"),
            ("10.0.0.9", &["203.0.113.5, \u{fffd}"], "10.0.0.9"),
            ("10.0.0.9", &["203.0.113.5,"], "10.0.0.9"),
            ("10.0.0.9", &[], "10.0.0.9"),
        ] {
            assert_eq!(
                routers().client(ip(peer), &headers(lines)),
                ip(client),
                "{peer} {lines:?}"
            );
        }
    }

    #[test]
    fn a_long_chain_is_the_forwarders_own() {
        let chain = |length: usize| {
            let mut all = vec!["203.0.113.5"];
            all.extend(vec!["127.0.0.1"; length - 1]);
            headers(&[&all.join(",")])
        };
        let client = |length| routers().client(ip("127.0.0.1"), &chain(length));
        assert_eq!(client(FORWARDED_ADDRESSES), ip("203.0.113.5"));
        assert_eq!(client(FORWARDED_ADDRESSES + 1), ip("127.0.0.1"));
        assert_eq!(client(100 * FORWARDED_ADDRESSES), ip("127.0.0.1"));
    }

    #[test]
    fn networks_are_read_and_what_is_none_is_refused() {
        for (text, inside, outside) in [
            ("10.1.0.0/16", "10.1.255.1", "10.2.0.1"),
            ("0.0.0.0/0", "9.9.9.9", "::1"),
            ("::/0", "::9", "9.9.9.9"),
            ("10.1.2.3", "10.1.2.3", "10.1.2.4"),
            ("fd00::/8", "fdff::1", "fe00::1"),
        ] {
            let network: Network = text.parse().unwrap();
            assert!(
                network.holds(ip(inside)) && !network.holds(ip(outside)),
                "{text}"
            );
        }
        for bad in [
            "",
            "router",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/",
            "::/129",
        ] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }

    #[test]
    fn one_who_has_a_whole_network_of_ipv6_counts_once() {
        assert_eq!(
            household(ip("2001:db8::1")),
            household(ip("2001:db8::ffff:1"))
        );
        assert_ne!(
            household(ip("2001:db8::1")),
            household(ip("2001:db8:0:1::1"))
        );
        assert_eq!(household(ip("::ffff:1.2.3.4")), ip("1.2.3.4"));
        assert_ne!(household(ip("1.2.3.4")), household(ip("1.2.3.5")));
    }
}
