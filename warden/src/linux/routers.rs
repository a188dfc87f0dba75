//! Who reaches the ports of instances from outside of the host. Kept in the depot, so that a table that is written again, by a DEA
//! that starts or by `wardenctl`, lets the routers in at once.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::config::{Cidr, InstancePorts, LinuxConfig};
use crate::depot::record::{read_json, write_json};
use crate::{Error, Result};

const FILE: &str = "routers.json";

/// What the packet filter lets in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Routers {
    /// Networks that the configuration names.
    pub(crate) networks: Vec<String>,
    /// Addresses that routers gave.
    pub(crate) learned: BTreeSet<Ipv4Addr>,
}

fn file(depot: &Path) -> PathBuf {
    depot.join(FILE)
}

impl Routers {
    /// The configured networks and what was learned before; `None` where anyone is let in.
    pub(crate) fn of(config: &LinuxConfig, depot: &Path) -> Result<Option<Self>> {
        if config.instance_ports == InstancePorts::Anyone {
            // The next one that opens the depot without a word about it must not read otherwise.
            let _ = std::fs::remove_file(file(depot));
            return Ok(None);
        }
        // Absent at the first start; a damaged one is learned again.
        let before: Self = read_json(&file(depot)).unwrap_or_default();
        let routers = Self {
            networks: networks(&config.routers)?,
            learned: before.learned,
        };
        routers.keep(depot)?;
        Ok(Some(routers))
    }

    /// What an earlier backend left in the depot.
    pub(crate) fn left_in(depot: &Path) -> Option<Self> {
        read_json(&file(depot)).ok()
    }

    /// Writes it down.
    pub(crate) fn keep(&self, depot: &Path) -> Result<()> {
        write_json(&file(depot), self)
    }
}

/// Only what was parsed is printed, so nothing else can reach `nft`.
fn networks(texts: &[String]) -> Result<Vec<String>> {
    let parsed = texts.iter().map(|text| {
        let whole = if text.contains('/') {
            text.clone()
        } else {
            format!("{text}/32")
        };
        let cidr = Cidr::parse(&whole).ok_or_else(|| bad(text))?;
        Ok(format!("{}/{}", Ipv4Addr::from(cidr.base), cidr.prefix))
    });
    parsed.collect()
}

fn bad(text: &str) -> Error {
    Error::Keeper {
        step: "check routers".into(),
        message: format!("{text:?} is not an IPv4 address or network such as 10.0.16.0/24"),
    }
}

/// Whether a text names an address or a network.
pub(crate) fn is_network(text: &str) -> bool {
    networks(&[text.to_owned()]).is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_was_learned_survives_and_what_is_configured_is_as_configured() {
        let dir = tempfile::tempdir().unwrap();
        let config = |routers: &[&str]| LinuxConfig {
            routers: routers.iter().map(|&r| r.to_owned()).collect(),
            ..LinuxConfig::default()
        };
        let mut first = Routers::of(&config(&["10.0.16.0/24", "192.0.2.7"]), dir.path())
            .unwrap()
            .unwrap();
        assert_eq!(first.networks, ["10.0.16.0/24", "192.0.2.7/32"]);
        first.learned.insert([192, 0, 2, 1].into());
        first.keep(dir.path()).unwrap();
        let second = Routers::of(&config(&[]), dir.path()).unwrap().unwrap();
        assert!(second.networks.is_empty());
        assert_eq!(second.learned, first.learned);
        let anyone = LinuxConfig {
            instance_ports: InstancePorts::Anyone,
            ..config(&[])
        };
        assert_eq!(Routers::of(&anyone, dir.path()).unwrap(), None);
        assert_eq!(Routers::left_in(dir.path()), None);
    }

    #[test]
    fn nothing_but_addresses_reaches_nft() {
        for text in [
            "",
            "router",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "::1",
            "1.1.1.1; flush ruleset",
            "1.1.1.1 }",
        ] {
            assert!(!is_network(text), "{text}");
        }
        assert!(is_network("0.0.0.0/0") && is_network("192.0.2.1"));
    }
}
