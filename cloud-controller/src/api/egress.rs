//! The rules of a security group as clients write them. Pure.

use std::net::Ipv4Addr;

use bus::dea::EgressRule;
use serde_json::Value;

use crate::limits::SECURITY_RULES;

/// Keys a rule may have.
const KEYS: [&str; 7] = [
    "protocol",
    "destination",
    "ports",
    "type",
    "code",
    "log",
    "description",
];

/// Refuses rules a DEA could not carry out, naming the rule by its number.
pub(super) fn check(rules: &[Value]) -> Result<(), String> {
    if rules.len() > SECURITY_RULES {
        return Err(format!("rules: more than {SECURITY_RULES}"));
    }
    for (at, rule) in rules.iter().enumerate() {
        check_rule(rule).map_err(|text| format!("rule number {} {text}", at + 1))?;
    }
    Ok(())
}

fn check_rule(rule: &Value) -> Result<(), String> {
    let object = rule.as_object().ok_or("is not an object")?;
    if let Some(key) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(format!("contains the unknown field {key:?}"));
    }
    let rule: EgressRule = serde_json::from_value(rule.clone())
        .map_err(|error| format!("is not as expected: {error}"))?;
    if !is_destination(&rule.destination) {
        return Err(format!(
            "contains an invalid destination {:?}: use an address, a CIDR like 10.0.0.0/8 or a range like 10.0.0.1-10.0.0.9",
            rule.destination
        ));
    }
    check_protocol(&rule)
}

fn check_protocol(rule: &EgressRule) -> Result<(), String> {
    let icmp = (rule.icmp_type, rule.icmp_code);
    match rule.protocol.as_str() {
        "tcp" | "udp" => {
            let ports = rule.ports.as_deref().ok_or("lacks the field \"ports\"")?;
            if icmp != (None, None) {
                return Err("contains type or code, which are for icmp".into());
            }
            if !are_ports(ports) {
                return Err(format!(
                    "contains invalid ports {ports:?}: use 80, 80,443 or 8000-9000"
                ));
            }
            Ok(())
        }
        _ if rule.ports.is_some() => Err("contains ports, which are for tcp and udp".into()),
        "icmp" => match icmp {
            (Some(-1..=255), Some(-1..=255)) => Ok(()),
            _ => Err("needs type and code from -1 (any) to 255".into()),
        },
        "all" if icmp == (None, None) => Ok(()),
        "all" => Err("contains type or code, which are for icmp".into()),
        other => Err(format!(
            "contains an unsupported protocol {other:?}: use tcp, udp, icmp or all"
        )),
    }
}

fn is_destination(text: &str) -> bool {
    let address = |text: &str| text.parse::<Ipv4Addr>().ok();
    if let Some((low, high)) = text.split_once('-') {
        return matches!((address(low), address(high)), (Some(low), Some(high)) if low <= high);
    }
    if let Some((base, bits)) = text.split_once('/') {
        return address(base).is_some() && bits.parse::<u8>().is_ok_and(|bits| bits <= 32);
    }
    address(text).is_some()
}

fn are_ports(text: &str) -> bool {
    let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
    let range = |text: &str| match text.split_once('-') {
        Some((low, high)) => {
            matches!((port(low), port(high)), (Some(low), Some(high)) if low <= high)
        }
        None => port(text).is_some(),
    };
    text.split(',').all(range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rules_of_a_group_are_counted() {
        let rule = json!({"protocol": "all", "destination": "10.0.0.1"});
        for (count, fits) in [
            (SECURITY_RULES, true),
            (SECURITY_RULES + 1, false),
            (SECURITY_RULES * 100, false),
        ] {
            assert_eq!(check(&vec![rule.clone(); count]).is_ok(), fits, "{count}");
        }
    }

    #[test]
    fn rules_follow_the_reference_and_refusals_name_the_rule_and_the_field() {
        let table = [
            (
                json!({"protocol": "tcp", "destination": "10.0.0.0/8", "ports": "80,443,8000-9000"}),
                None,
            ),
            (
                json!({"protocol": "udp", "destination": "10.0.0.1", "ports": "53", "log": true}),
                None,
            ),
            (
                json!({"protocol": "icmp", "destination": "10.0.0.1-10.0.0.9", "type": 8, "code": -1}),
                None,
            ),
            (json!({"protocol": "all", "destination": "0.0.0.0/0"}), None),
            (json!("all"), Some("object")),
            (
                json!({"protocol": "sctp", "destination": "0.0.0.0/0"}),
                Some("sctp"),
            ),
            (
                json!({"protocol": "tcp", "destination": "0.0.0.0/0"}),
                Some("ports"),
            ),
            (
                json!({"protocol": "tcp", "destination": "0.0.0.0/0", "ports": "http"}),
                Some("http"),
            ),
            (
                json!({"protocol": "tcp", "destination": "0.0.0.0/0", "ports": "9-8"}),
                Some("9-8"),
            ),
            (
                json!({"protocol": "tcp", "destination": "0.0.0.0/0", "ports": "0"}),
                Some("ports"),
            ),
            (
                json!({"protocol": "all", "destination": "0.0.0.0/0", "ports": "1"}),
                Some("ports"),
            ),
            (
                json!({"protocol": "icmp", "destination": "0.0.0.0/0"}),
                Some("type"),
            ),
            (
                json!({"protocol": "all", "destination": "example.com"}),
                Some("example.com"),
            ),
            (
                json!({"protocol": "all", "destination": "10.0.0.0/33"}),
                Some("/33"),
            ),
            (
                json!({"protocol": "all", "destination": "10.0.0.9-10.0.0.1"}),
                Some("range"),
            ),
            (json!({"protocol": "all"}), Some("destination")),
            (
                json!({"protocol": "all", "destination": "0.0.0.0/0", "prot": 1}),
                Some("prot"),
            ),
        ];
        for (rule, expected) in table {
            let got = check(std::slice::from_ref(&rule)).err();
            match expected {
                None => assert_eq!(got, None, "{rule}"),
                Some(word) => assert!(
                    got.as_ref()
                        .is_some_and(|text| text.contains(word) && text.contains("number 1")),
                    "{rule}: {got:?}"
                ),
            }
        }
    }
}
