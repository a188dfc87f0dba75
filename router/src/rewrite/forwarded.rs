//! Headers that tell an app about its client, and whom we believe (decision 22).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use http::header::{HOST, HeaderValue};
use http::{HeaderMap, HeaderName};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-vcap-request-id");
const REQUEST_START: HeaderName = HeaderName::from_static("x-request-start");

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
}

/// Who sent a request.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Its address.
    pub addr: SocketAddr,
    /// Where it came in.
    pub listener: Listener,
}

/// Sets the forwarded headers; returns the request id that now holds.
///
/// `fresh_id` is used where the given id is not believed, `now_ms` is Unix time in milliseconds.
pub fn forward(
    headers: &mut HeaderMap,
    peer: Peer,
    trust: &Trust,
    fresh_id: &str,
    now_ms: u128,
) -> HeaderValue {
    let ip = peer.addr.ip().to_canonical();
    let believed = trust.compat || trust.believes(ip);
    append_for(headers, ip, believed);
    let host = headers.get(HOST).cloned();
    let scheme = HeaderValue::from_static(peer.listener.scheme);
    set(headers, PROTO, Some(scheme), believed);
    if !trust.compat {
        set(headers, FORWARDED_HOST, host, believed);
        set(headers, PORT, Some(peer.listener.port.into()), believed);
    }
    if !headers.contains_key(REQUEST_START) {
        headers.insert(REQUEST_START, ascii(&now_ms.to_string()));
    }
    let keep = believed && !trust.compat && headers.get(REQUEST_ID).is_some_and(plausible_id);
    if !keep {
        headers.insert(REQUEST_ID, ascii(fresh_id));
    }
    headers
        .get(REQUEST_ID)
        .cloned()
        .unwrap_or_else(|| ascii(fresh_id))
}

fn append_for(headers: &mut HeaderMap, ip: IpAddr, believed: bool) {
    let before: Vec<&str> = match believed {
        true => headers
            .get_all(FOR)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect(),
        false => Vec::new(),
    };
    let ip = ip.to_string();
    let list = before
        .into_iter()
        .chain([ip.as_str()])
        .collect::<Vec<_>>()
        .join(", ");
    headers.insert(FOR, ascii(&list));
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: Option<HeaderValue>, keep: bool) {
    if keep && headers.contains_key(&name) {
        return;
    }
    match value {
        Some(value) => headers.insert(name, value),
        None => headers.remove(name),
    };
}

fn plausible_id(id: &HeaderValue) -> bool {
    let id = id.as_bytes();
    (1..=128).contains(&id.len())
        && id
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

/// Text we made ourselves, or that was a header value already.
fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("-"))
}

impl Default for Peer {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            listener: Listener {
                port: 80,
                scheme: "http",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn run(from: &str, trust: &Trust, given: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers: HeaderMap = given
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        headers.insert(HOST, "a.example.com".parse().unwrap());
        let peer = Peer {
            addr: SocketAddr::new(from.parse().unwrap(), 1),
            listener: Listener {
                port: 8080,
                scheme: "http",
            },
        };
        forward(&mut headers, peer, trust, "fresh", 17);
        headers
    }

    const GIVEN: [(&str, &str); 5] = [
        ("x-forwarded-for", "9.9.9.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil"),
        ("x-forwarded-port", "1"),
        ("x-vcap-request-id", "theirs"),
    ];

    #[test]
    fn strangers_are_not_believed() {
        let headers = run("203.0.113.7", &Trust::default(), &GIVEN);
        for (name, expected) in [
            ("x-forwarded-for", "203.0.113.7"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "a.example.com"),
            ("x-forwarded-port", "8080"),
            ("x-vcap-request-id", "fresh"),
            ("x-request-start", "17"),
        ] {
            assert_eq!(headers[name], expected, "{name}");
        }
    }

    #[test]
    fn balancers_and_loopback_are_believed() {
        let trust = Trust {
            networks: vec!["10.0.0.0/8".parse().unwrap()],
            compat: false,
        };
        for from in ["10.1.2.3", "127.0.0.1", "::ffff:10.1.2.3", "::1"] {
            let headers = run(from, &trust, &GIVEN);
            assert!(
                headers["x-forwarded-for"]
                    .to_str()
                    .unwrap()
                    .starts_with("9.9.9.9, "),
                "{from}"
            );
            for (name, expected) in [
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "evil"),
                ("x-forwarded-port", "1"),
                ("x-vcap-request-id", "theirs"),
            ] {
                assert_eq!(headers[name], expected, "{name} from {from}");
            }
        }
    }

    #[test]
    fn a_believed_peer_that_says_nothing_gets_the_listeners_values() {
        let headers = run("127.0.0.1", &Trust::default(), &[("x-request-start", "5")]);
        assert_eq!(headers["x-forwarded-for"], "127.0.0.1");
        assert_eq!(headers["x-forwarded-proto"], "http");
        assert_eq!(headers["x-request-start"], "5");
        assert_eq!(headers["x-vcap-request-id"], "fresh");
    }

    #[test]
    fn compat_passes_everything_through_but_the_request_id() {
        let headers = run(
            "203.0.113.7",
            &Trust {
                networks: vec![],
                compat: true,
            },
            &GIVEN,
        );
        assert_eq!(headers["x-forwarded-for"], "9.9.9.9, 203.0.113.7");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-vcap-request-id"], "fresh");
    }

    #[test]
    fn an_implausible_request_id_is_replaced_even_from_friends() {
        let headers = run(
            "127.0.0.1",
            &Trust::default(),
            &[("x-vcap-request-id", "a b<script>")],
        );
        assert_eq!(headers["x-vcap-request-id"], "fresh");
    }

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
