//! The packet filter as text for `nft`: one table per depot. Pure.
//!
//! A container contributes elements only: its ports in `ports`, and in
//! `egress` its link and address, which lead to the chain of its rule set.
//! Containers with equal rules share a chain, named after their hash.
//!
//! Rules look at the *original* destination (before translation), so that
//! another container is reached through a host address only if that address is
//! allowed, and never directly.

use std::fmt::Write;
use std::net::Ipv4Addr;

use super::config::{Cidr, LinuxConfig};
use super::refused;
use super::routers::Routers;
use crate::bounds::DNS_CONTAINER_PACKETS;
use crate::depot::record::{Record, Slot};
use crate::{Error, NetOutRule, PortMapping, Protocol, Result};

/// Name of the depot's table.
pub(crate) fn table(tag: &str) -> String {
    format!("bloomery_{tag}")
}

/// The whole table, replacing what was there, in one transaction.
pub(crate) fn whole(
    tag: &str,
    config: &LinuxConfig,
    dns_port: Option<u16>,
    routers: Option<&Routers>,
    records: &[Record],
) -> Result<String> {
    let table = table(tag);
    let links = format!("\"b{tag}*\"");
    let mut text = format!("add table ip {table}\ndelete table ip {table}\ntable ip {table} {{\n");
    text += "map ports { type inet_service : ipv4_addr . inet_service; }\n";
    text += "set asked { type ipv4_addr; size 65535; flags dynamic, timeout; timeout 10s; }\n";
    text += &refused::set();
    text += "map egress { type ifname . ipv4_addr : verdict; }\n";
    text += &learned_routers(routers);
    nat(&mut text, &links, &config.subnet_pool, routers, dns_port);
    input(&mut text, &links, config, dns_port);
    forward(&mut text, &links);
    text += "}\n";
    for record in records {
        text += &add(tag, config, record)?;
        for port in &record.ports {
            if let Some(slot) = &record.slot {
                text += &add_port(tag, slot, *port);
            }
        }
    }
    Ok(text)
}

/// A port leads into its container for both protocols.
const TO_CONTAINERS: &str = "fib daddr type local dnat ip to tcp dport map @ports\nfib daddr type local dnat ip to udp dport map @ports\n";

/// The set of addresses that routers gave.
pub(crate) const ROUTERS: &str = "routers";

fn learned_routers(routers: Option<&Routers>) -> String {
    let Some(routers) = routers else {
        return String::new();
    };
    let all: Vec<String> = routers.learned.iter().map(Ipv4Addr::to_string).collect();
    match all.is_empty() {
        true => format!("set {ROUTERS} {{ type ipv4_addr; }}\n"),
        false => format!(
            "set {ROUTERS} {{ type ipv4_addr; elements = {{ {} }}; }}\n",
            all.join(", ")
        ),
    }
}

/// Who comes from outside of the host. What is not translated reaches no instance: the port is one that nobody listens on.
/// Containers are not routers, whatever is configured, and neither are those of other depots, which share the pool.
fn from_outside(text: &mut String, links: &str, pool: &str, routers: Option<&Routers>) {
    let Some(routers) = routers else {
        *text += TO_CONTAINERS;
        return;
    };
    let _ = writeln!(text, "iifname {links} return\nip saddr {pool} return");
    let _ = writeln!(text, "ip saddr @{ROUTERS} jump instances");
    if !routers.networks.is_empty() {
        let _ = writeln!(
            text,
            "ip saddr {{ {} }} jump instances",
            merged(&routers.networks)
        );
    }
}

/// `nft` takes no networks that overlap in one set.
fn merged(networks: &[String]) -> String {
    let mut cidrs: Vec<Cidr> = networks
        .iter()
        .filter_map(|text| Cidr::parse(text))
        .collect();
    cidrs.sort_by_key(|cidr| cidr.prefix);
    let mut kept: Vec<Cidr> = Vec::new();
    for cidr in cidrs {
        if !kept.iter().any(|wider| wider.overlaps(&cidr)) {
            kept.push(cidr);
        }
    }
    let text = |cidr: &Cidr| format!("{}/{}", Ipv4Addr::from(cidr.base), cidr.prefix);
    kept.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn nat(
    text: &mut String,
    links: &str,
    pool: &str,
    routers: Option<&Routers>,
    dns_port: Option<u16>,
) {
    *text += "chain instances {\n";
    *text += TO_CONTAINERS;
    *text += "}\nchain prerouting {\ntype nat hook prerouting priority -100; policy accept;\n";
    if let Some(port) = dns_port {
        for protocol in ["udp", "tcp"] {
            let _ = writeln!(
                text,
                "iifname {links} ip daddr {pool} {protocol} dport 53 redirect to :{port}"
            );
        }
    }
    from_outside(text, links, pool, routers);
    *text += "}\nchain output {\ntype nat hook output priority -100; policy accept;\n";
    *text += TO_CONTAINERS;
    *text += "}\n";
    *text += "chain postrouting {\ntype nat hook postrouting priority 100; policy accept;\n";
    // From 127.0.0.1 through a link the answer could not come back.
    let _ = writeln!(text, "ip saddr 127.0.0.0/8 oifname {links} masquerade");
    let _ = writeln!(text, "iifname {links} masquerade\n}}");
}

fn input(text: &mut String, links: &str, config: &LinuxConfig, dns_port: Option<u16>) {
    *text += "chain input {\ntype filter hook input priority 0; policy accept;\n";
    if let Some(port) = dns_port {
        // The forwarder listens on all addresses; only containers may ask it.
        let _ = writeln!(
            text,
            "iifname != {links} meta l4proto {{ tcp, udp }} th dport {port} drop"
        );
    }
    let _ = writeln!(
        text,
        "iifname {links} jump host\n}}\nchain names {{\nupdate @asked {{ ip saddr limit rate over {DNS_CONTAINER_PACKETS}/second burst {DNS_CONTAINER_PACKETS} packets }} drop\naccept\n}}\nchain host {{"
    );
    // Answers to the host; what asks the forwarder is counted each time, since UDP has no connections to count.
    *text += "ct direction reply ct state established,related accept\n";
    *text += "meta l4proto tcp ct state established,related accept\n";
    if let Some(port) = dns_port {
        let _ = writeln!(
            text,
            "meta l4proto {{ tcp, udp }} th dport {port} ct status dnat jump names"
        );
    }
    if !config.allow_host_ports.is_empty() {
        let ports: Vec<String> = config.allow_host_ports.iter().map(u16::to_string).collect();
        let _ = writeln!(text, "tcp dport {{ {} }} accept", ports.join(", "));
    }
    *text += refused::NOTE;
    *text += REFUSE;
    *text += "}\n";
}

/// The kernel sends at most six ICMP messages to one address at once, then one per
/// second: a program that tries often would wait a second for each answer. Resets
/// are not counted.
const REFUSE: &str = "meta l4proto tcp reject with tcp reset\nreject\n";

fn forward(text: &mut String, links: &str) {
    *text += "chain refuse {\n";
    *text += REFUSE;
    *text += "}\nchain forward {\ntype filter hook forward priority 0; policy accept;\n";
    let _ = writeln!(
        text,
        "iifname {links} jump from_containers\noifname {links} jump to_containers\n}}"
    );
    *text += "chain from_containers {\nct state established,related accept\n";
    // Untranslated traffic between containers, whatever the rules say.
    let _ = writeln!(text, "oifname {links} ct status & dnat == 0 jump refuse");
    // A verdict of a rule chain must not skip `to_containers`, hence jump and return.
    *text += "iifname . ip saddr vmap @egress\n";
    *text += refused::NOTE;
    *text += REFUSE;
    *text += "}\n";
    *text += "chain to_containers {\nct state established,related accept\nct status dnat accept\ndrop\n}\n";
}

/// Chain and element of one container.
fn add(tag: &str, config: &LinuxConfig, record: &Record) -> Result<String> {
    let Some(slot) = &record.slot else {
        return Ok(String::new());
    };
    let table = table(tag);
    let Chain { name, mut script } = chain(tag, config, record)?;
    let _ = writeln!(
        script,
        "add element ip {table} egress {{ {} : jump {name} }}",
        key(tag, slot)
    );
    Ok(script)
}

/// One port.
fn add_port(tag: &str, slot: &Slot, port: PortMapping) -> String {
    let table = table(tag);
    let to = format!("{} . {}", slot.container_ip(), port.container_port);
    format!(
        "add element ip {table} ports {{ {} : {to} }}\n",
        port.host_port
    )
}

fn key(tag: &str, slot: &Slot) -> String {
    format!("\"{}\" . {}", slot.link(tag), slot.container_ip())
}

/// The chain of one set of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    /// Made from a hash of the rules.
    pub(crate) name: String,
    /// Makes it anew with the same content.
    pub(crate) script: String,
}

/// What every chain of a rule set is called at the front.
pub(crate) const CHAIN: &str = "rules_";

/// The chain for a container's rules.
pub(crate) fn chain(tag: &str, config: &LinuxConfig, record: &Record) -> Result<Chain> {
    let rules: Vec<String> = config
        .net_out
        .iter()
        .chain(&record.net_out)
        .map(|rule| rule_lines(tag, rule))
        .collect::<Result<Vec<_>>>()?
        .concat();
    let body = rules.join("\n");
    let hash = body.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    });
    let name = format!("{CHAIN}{hash:016x}");
    let table = table(tag);
    let mut script = format!("add chain ip {table} {name}\nflush chain ip {table} {name}\n");
    for rule in rules {
        let _ = writeln!(script, "add rule ip {table} {name} {rule}");
    }
    Ok(Chain { name, script })
}

/// One security group rule as nft expressions; several when it lists ports and
/// logs.
fn rule_lines(tag: &str, rule: &NetOutRule) -> Result<Vec<String>> {
    let mut matches = Vec::new();
    let destination = destination(&rule.destination)?;
    if destination != "0.0.0.0/0" {
        matches.push(format!("ct original ip daddr {destination}"));
    }
    match rule.protocol {
        Protocol::Tcp => matches.push("meta l4proto tcp".into()),
        Protocol::Udp => matches.push("meta l4proto udp".into()),
        Protocol::Icmp => matches.push("meta l4proto icmp".into()),
        Protocol::All => {}
    }
    if !rule.ports.is_empty() && rule.protocol != Protocol::Icmp {
        matches.push(ports(rule)?);
    }
    if rule.protocol == Protocol::Icmp {
        let wanted = |number: Option<i32>| number.filter(|n| (0..256).contains(n));
        matches.extend(wanted(rule.icmp_type).map(|n| format!("icmp type {n}")));
        matches.extend(wanted(rule.icmp_code).map(|n| format!("icmp code {n}")));
    }
    let matches = matches.join(" ");
    let mut lines = Vec::new();
    if rule.log {
        lines.push(
            format!("{matches} ct state new log prefix \"b{tag} \"")
                .trim()
                .to_owned(),
        );
    }
    // Back to `from_containers`' caller is not possible, so the packet is
    // accepted here; what is bound for a container was translated by `ports`.
    lines.push(format!("{matches} accept").trim().to_owned());
    Ok(lines)
}

fn ports(rule: &NetOutRule) -> Result<String> {
    let mut list = Vec::new();
    for (first, last) in &rule.ports {
        if first > last {
            return Err(bad(&format!("port range {first}-{last}")));
        }
        list.push(if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        });
    }
    let protocol = if rule.protocol == Protocol::All {
        "meta l4proto { tcp, udp } "
    } else {
        ""
    };
    Ok(format!(
        "{protocol}ct original proto-dst {{ {} }}",
        list.join(", ")
    ))
}

/// Only what was parsed is printed, so nothing else can reach `nft`.
fn destination(text: &str) -> Result<String> {
    if let Some((from, to)) = text.split_once('-') {
        let (from, to) = (address(from)?, address(to)?);
        return if from <= to {
            Ok(format!("{from}-{to}"))
        } else {
            Err(bad(text))
        };
    }
    if text.contains('/') {
        let cidr = Cidr::parse(text).ok_or_else(|| bad(text))?;
        return Ok(format!("{}/{}", Ipv4Addr::from(cidr.base), cidr.prefix));
    }
    Ok(address(text)?.to_string())
}

fn address(text: &str) -> Result<Ipv4Addr> {
    text.trim().parse().map_err(|_| bad(text))
}

fn bad(text: &str) -> Error {
    Error::Keeper {
        step: "read an outbound rule".into(),
        message: format!(
            "{text:?} is not an IPv4 address, network, or range a-b with a not above b"
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn rule(protocol: Protocol, destination: &str, ports: &[(u16, u16)]) -> NetOutRule {
        NetOutRule {
            protocol,
            destination: destination.into(),
            ports: ports.to_vec(),
            icmp_type: None,
            icmp_code: None,
            log: false,
        }
    }

    #[test]
    fn rules_become_nft_expressions() {
        let lines = |r: NetOutRule| rule_lines("abcdef", &r).unwrap();
        assert_eq!(
            lines(rule(Protocol::Tcp, "10.0.0.0/8", &[(80, 80), (8000, 9000)])),
            [
                "ct original ip daddr 10.0.0.0/8 meta l4proto tcp ct original proto-dst { 80, 8000-9000 } accept"
            ]
        );
        assert_eq!(lines(rule(Protocol::All, "0.0.0.0/0", &[])), ["accept"]);
        assert_eq!(
            lines(rule(Protocol::All, "1.1.1.1-1.1.1.9", &[])),
            ["ct original ip daddr 1.1.1.1-1.1.1.9 accept"]
        );
        let mut ping = rule(Protocol::Icmp, "9.9.9.9", &[]);
        (ping.icmp_type, ping.icmp_code) = (Some(8), Some(-1));
        assert_eq!(
            lines(ping),
            ["ct original ip daddr 9.9.9.9 meta l4proto icmp icmp type 8 accept"]
        );
    }

    #[test]
    fn only_routers_are_translated_unless_anyone_may_be() {
        let config = LinuxConfig::default();
        let table = |routers: Option<&Routers>| {
            let text = whole("abcdef", &config, None, routers, &[]).unwrap();
            let chain = text.split("chain prerouting {").nth(1).unwrap();
            chain
                .split('}')
                .next()
                .map(str::to_owned)
                .map(|_| chain.split("chain output").next().unwrap().to_owned())
        };
        assert!(table(None).unwrap().contains(TO_CONTAINERS));
        let routers = Routers {
            networks: ["10.0.16.0/24", "10.0.16.9/32", "192.0.2.7/32"]
                .map(String::from)
                .into(),
            learned: [[192, 0, 2, 1].into()].into(),
        };
        let chain = table(Some(&routers)).unwrap();
        assert!(!chain.contains("dnat"), "{chain}");
        assert!(
            chain.contains("ip saddr @routers jump instances"),
            "{chain}"
        );
        let networks = "ip saddr { 10.0.16.0/24, 192.0.2.7/32 } jump instances";
        assert!(chain.contains(networks), "what overlaps is one: {chain}");
        let nobody = table(Some(&Routers::default())).unwrap();
        assert_eq!(nobody.matches("jump instances").count(), 1, "{nobody}");
        // Containers are sent back before anybody is let in.
        let (back, allow) = (chain.find("return"), chain.find("jump"));
        assert!(back < allow, "{chain}");
    }

    #[test]
    fn nothing_but_addresses_reaches_nft() {
        for text in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "a",
            "1.1.1.1; flush ruleset",
            "2.2.2.2-1.1.1.1",
            "::1",
        ] {
            assert!(
                rule_lines("abcdef", &rule(Protocol::All, text, &[])).is_err(),
                "{text}"
            );
        }
    }
}
