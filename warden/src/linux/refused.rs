//! Which connections of containers the packet filter refused: a set that the kernel
//! fills. People who wait for a download want the address, not "connection refused".

use std::net::Ipv4Addr;

use serde_json::Value;

use crate::Refusal;

/// Seconds an entry is kept after its last packet.
const KEPT: u64 = 3600;

/// The set: who, whereto, protocol, port. When it is full, newer ones are not noted.
pub(crate) fn set() -> String {
    format!(
        "set refused {{ type ipv4_addr . ipv4_addr . inet_proto . inet_service; size 4096; flags dynamic,timeout; timeout {KEPT}s; }}\n"
    )
}

/// The statement before a refusal. The destination is the one before translation.
pub(crate) const NOTE: &str = "meta l4proto { tcp, udp } update @refused { ip saddr . ct original ip daddr . meta l4proto . ct original proto-dst }\n";

/// The entries of one container in the listing of the set as JSON.
pub(crate) fn parse(listing: &str, of: Ipv4Addr) -> Vec<Refusal> {
    let whole: Value = serde_json::from_str(listing).unwrap_or_default();
    let objects = whole["nftables"].as_array().into_iter().flatten();
    let elements = objects.flat_map(|o| o["set"]["elem"].as_array().into_iter().flatten());
    elements.filter_map(|e| refusal(&e["elem"], of)).collect()
}

fn refusal(element: &Value, of: Ipv4Addr) -> Option<Refusal> {
    let parts = element["val"]["concat"].as_array()?;
    let [from, to, protocol, port] = parts.as_slice() else {
        return None;
    };
    let from: Ipv4Addr = from.as_str()?.parse().ok()?;
    (from == of).then_some(())?;
    Some(Refusal {
        address: to.as_str()?.parse().ok()?,
        protocol: name(protocol)?,
        port: port.as_u64()?.try_into().ok()?,
        seconds_ago: KEPT.saturating_sub(element["expires"].as_u64()?),
    })
}

/// The protocol's name; its number where the host has no `/etc/protocols`.
fn name(protocol: &Value) -> Option<String> {
    let number = protocol.as_u64();
    match number {
        Some(6) => Some("tcp".to_owned()),
        Some(17) => Some("udp".to_owned()),
        Some(other) => Some(other.to_string()),
        None => protocol.as_str().map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_container_sees_its_own_refusals_only() {
        let listing = r#"{"nftables": [{"metainfo": {}}, {"set": {"name": "refused", "elem": [
            {"elem": {"val": {"concat": ["10.254.0.2", "10.1.2.3", "tcp", 443]}, "expires": 3590}},
            {"elem": {"val": {"concat": ["10.254.0.6", "10.9.9.9", "udp", 53]}, "expires": 3600}}]}}]}"#;
        let mine = parse(listing, "10.254.0.2".parse().unwrap());
        assert_eq!(mine.len(), 1);
        assert_eq!(
            (
                mine[0].address.to_string(),
                mine[0].port,
                mine[0].seconds_ago
            ),
            ("10.1.2.3".into(), 443, 10)
        );
        let numbers = listing.replace("\"tcp\"", "6").replace("\"udp\"", "17");
        for (address, protocol) in [("10.254.0.2", "tcp"), ("10.254.0.6", "udp")] {
            let found = parse(&numbers, address.parse().unwrap());
            assert_eq!(found[0].protocol, protocol, "a host without /etc/protocols");
        }
        assert!(parse("nonsense", "10.254.0.2".parse().unwrap()).is_empty());
    }
}
