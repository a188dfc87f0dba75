//! Security-group rules of the wire as rules of the container.

use bus::dea::EgressRule;
use warden::{NetOutRule, Protocol};

/// A rule that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("egress rule {rule}: {reason}")]
pub struct BadRule {
    /// The rule.
    pub rule: String,
    /// What is wrong.
    pub reason: String,
}

/// Translates rules; logging ones come last, as in the original.
pub fn translate(rules: &[EgressRule]) -> Result<Vec<NetOutRule>, BadRule> {
    let mut list: Vec<NetOutRule> = rules.iter().map(one).collect::<Result<_, _>>()?;
    list.sort_by_key(|rule| rule.log);
    Ok(list)
}

fn one(rule: &EgressRule) -> Result<NetOutRule, BadRule> {
    let bad = |reason: &str| BadRule {
        rule: format!(
            "{} {} {}",
            rule.protocol,
            rule.destination,
            rule.ports.as_deref().unwrap_or("")
        ),
        reason: reason.into(),
    };
    let protocol = match rule.protocol.as_str() {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "icmp" => Protocol::Icmp,
        "all" => Protocol::All,
        _ => return Err(bad("the protocol must be tcp, udp, icmp or all")),
    };
    let ports = rule
        .ports
        .as_deref()
        .map(parse_ports)
        .transpose()
        .map_err(|e| bad(&e))?;
    Ok(NetOutRule {
        protocol,
        destination: rule.destination.clone(),
        ports: ports.unwrap_or_default(),
        icmp_type: rule.icmp_type,
        icmp_code: rule.icmp_code,
        log: rule.log.unwrap_or(false),
    })
}

/// `80`, `80,443`, `8000-9000`.
fn parse_ports(text: &str) -> Result<Vec<(u16, u16)>, String> {
    let number = |s: &str| {
        s.trim()
            .parse::<u16>()
            .map_err(|_| format!("{s:?} is not a port"))
    };
    let parts = text.split(',').map(str::trim).filter(|p| !p.is_empty());
    parts
        .map(|part| match part.split_once('-') {
            None => number(part).map(|p| (p, p)),
            Some((low, high)) => {
                let range = (number(low)?, number(high)?);
                if range.0 <= range.1 {
                    Ok(range)
                } else {
                    Err(format!("{part} runs backwards"))
                }
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(protocol: &str, ports: Option<&str>, log: Option<bool>) -> EgressRule {
        EgressRule {
            protocol: protocol.into(),
            destination: "0.0.0.0/0".into(),
            ports: ports.map(Into::into),
            icmp_type: None,
            icmp_code: None,
            log,
        }
    }

    #[test]
    fn lists_and_ranges_of_ports_are_understood() {
        assert_eq!(
            parse_ports("80,443, 8000-9000"),
            Ok(vec![(80, 80), (443, 443), (8000, 9000)])
        );
        assert!(
            parse_ports("9-1").is_err()
                && parse_ports("70000").is_err()
                && parse_ports("x").is_err()
        );
    }

    #[test]
    fn logging_rules_come_last() {
        let list = translate(&[rule("tcp", Some("80"), Some(true)), rule("udp", None, None)])
            .expect("good rules");
        assert_eq!(
            list.iter().map(|r| r.log).collect::<Vec<_>>(),
            [false, true]
        );
    }

    #[test]
    fn an_unknown_protocol_is_named() {
        let e = translate(&[rule("sctp", None, None)]).expect_err("bad rule");
        assert!(e.to_string().contains("sctp"), "{e}");
    }
}
