//! What the container may reach, as the DEA told it. The packet filter enforces it;
//! here it only makes a better error than "connection refused". Pure.

use std::net::Ipv4Addr;

use serde::Deserialize;

/// One rule of a security group.
#[derive(Debug, Clone, Deserialize)]
pub struct Rule {
    /// `tcp`, `udp`, `icmp` or `all`.
    pub protocol: String,
    /// Address, `a.b.c.d/n` or `a-b`.
    pub destination: String,
    /// `80`, `80,443`, `8000-9000`; none = every port.
    #[serde(default)]
    pub ports: Option<String>,
}

/// Whether a tcp connection is permitted by any rule.
pub fn permits(rules: &[Rule], address: Ipv4Addr, port: u16) -> bool {
    rules.iter().any(|rule| {
        matches!(rule.protocol.as_str(), "tcp" | "all")
            && covers(&rule.destination, address)
            && rule
                .ports
                .as_deref()
                .is_none_or(|ports| has_port(ports, port))
    })
}

fn covers(destination: &str, address: Ipv4Addr) -> bool {
    let parse = |text: &str| text.trim().parse::<Ipv4Addr>().ok().map(u32::from);
    let wanted = u32::from(address);
    if let Some((from, to)) = destination.split_once('-') {
        return parse(from)
            .zip(parse(to))
            .is_some_and(|(from, to)| (from..=to).contains(&wanted));
    }
    let (base, bits) = destination.split_once('/').unwrap_or((destination, "32"));
    let (Some(base), Ok(bits @ 0..=32)) = (parse(base), bits.parse::<u32>()) else {
        return false;
    };
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
    base & mask == wanted & mask
}

fn has_port(ports: &str, port: u16) -> bool {
    ports.split(',').any(|part| {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        let bounds = low.trim().parse::<u16>().ok().zip(high.trim().parse().ok());
        bounds.is_some_and(|(low, high)| (low..=high).contains(&port))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(protocol: &str, destination: &str, ports: Option<&str>) -> Rule {
        Rule {
            protocol: protocol.into(),
            destination: destination.into(),
            ports: ports.map(Into::into),
        }
    }

    #[test]
    fn networks_ranges_and_ports_are_understood_as_the_packet_filter_does() {
        let address = Ipv4Addr::new(10, 1, 2, 3);
        for (rule, expected) in [
            (rule("all", "0.0.0.0/0", None), true),
            (rule("tcp", "10.1.0.0/16", Some("80,443")), true),
            (rule("tcp", "10.1.2.3", Some("400-500")), true),
            (rule("all", "10.1.2.0-10.1.2.9", None), true),
            (rule("udp", "0.0.0.0/0", None), false),
            (rule("tcp", "10.1.0.0/16", Some("80")), false),
            (rule("all", "11.0.0.0-169.253.255.255", None), false),
            (rule("all", "10.2.0.0/16", None), false),
            (rule("all", "10.1.2.3/33", None), false),
        ] {
            assert_eq!(
                permits(std::slice::from_ref(&rule), address, 443),
                expected,
                "{rule:?}"
            );
        }
    }
}
