//! Where DEAs are, as they announced themselves; and what of their answers is fetched. Pure.
//!
//! A DEA answers a question for files with an address. Only its own is asked: a DEA that was taken over must not send the controller
//! elsewhere.

use std::collections::HashMap;
use std::net::IpAddr;

use bus::dea::Status;
use url::{Host, Url};

/// Path of a DEA's file server.
const FILES: &str = "/instance_paths/";

/// Addresses by the id of a DEA.
#[derive(Debug, Default)]
pub(crate) struct DeaAddresses {
    known: HashMap<String, IpAddr>,
}

/// Why an address is not fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Foreign {
    /// The DEA has not said where it is, or several say to be it.
    #[error("DEA {0} has not announced one address")]
    Unannounced(String),
    /// It says another address than its own, or one that is not its file server's.
    #[error("DEA {dea} at {announced} answers with {answered}, which is not its file server")]
    Elsewhere {
        /// Its id.
        dea: String,
        /// The address it announced.
        announced: IpAddr,
        /// What it answered, without the query: that is signed.
        answered: String,
    },
}

impl DeaAddresses {
    /// Takes the answers to one question for all DEAs instead of what was known. Two that claim the same id with different addresses are
    /// believed neither.
    pub(crate) fn learn(&mut self, answers: Vec<Status>) {
        let mut said: HashMap<String, Option<IpAddr>> = HashMap::new();
        for answer in answers {
            let address = answer.hello.ip.parse().ok().filter(may_be_a_dea);
            said.entry(answer.hello.id)
                .and_modify(|known| *known = known.filter(|known| Some(*known) == address))
                .or_insert(address);
        }
        self.known = said
            .into_iter()
            .filter_map(|(id, address)| Some((id, address?)))
            .collect();
    }

    /// The answer's address as something to fetch, if it is the DEA's own.
    ///
    /// # Errors
    /// [`Foreign`]; it may be worth to ask the DEAs again where they are.
    pub(crate) fn own(&self, dea: &str, answered: &str) -> Result<Url, Foreign> {
        let announced = self.known.get(dea).copied();
        let announced = announced.ok_or_else(|| Foreign::Unannounced(dea.to_owned()))?;
        let url = Url::parse(answered).ok();
        url.filter(|url| is_file_server(url, announced))
            .ok_or_else(|| Foreign::Elsewhere {
                dea: dea.to_owned(),
                announced,
                answered: answered
                    .split('?')
                    .next()
                    .unwrap_or_default()
                    .chars()
                    .take(200)
                    .collect(),
            })
    }
}

fn is_file_server(url: &Url, announced: IpAddr) -> bool {
    let host = match url.host() {
        Some(Host::Ipv4(host)) => Some(IpAddr::V4(host)),
        Some(Host::Ipv6(host)) => Some(IpAddr::V6(host)),
        // A name may mean something else by the time it is looked up.
        Some(Host::Domain(_)) | None => None,
    };
    url.scheme() == "http"
        && url.username().is_empty()
        && url.password().is_none()
        && host.is_some_and(|host| host.to_canonical() == announced.to_canonical())
        && url.path().starts_with(FILES)
}

/// Addresses that no host has: what cloud providers answer metadata at, above all.
fn may_be_a_dea(address: &IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            !(v4.is_unspecified() || v4.is_link_local() || v4.is_multicast() || v4.is_broadcast())
        }
        IpAddr::V6(v6) => !(v6.is_unspecified() || v6.is_unicast_link_local() || v6.is_multicast()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn status(id: &str, ip: &str) -> Status {
        let hello = serde_json::json!({"id": id, "ip": ip, "version": "1", "max_memory": 1, "reserved_memory": 0, "used_memory": 0});
        serde_json::from_value(hello).unwrap()
    }

    fn knowing(answers: &[(&str, &str)]) -> DeaAddresses {
        let mut addresses = DeaAddresses::default();
        addresses.learn(answers.iter().map(|(id, ip)| status(id, ip)).collect());
        addresses
    }

    #[test]
    fn only_a_deas_own_file_server_is_fetched_from() {
        let known = knowing(&[("d", "10.0.0.7"), ("six", "fd00::7")]);
        for (dea, good) in [
            ("d", "http://10.0.0.7:9001/instance_paths/i?path=%2F&hmac=x"),
            ("d", "http://10.0.0.7/instance_paths/i"),
            ("d", "http://[::ffff:10.0.0.7]/instance_paths/i"),
            ("six", "http://[fd00::7]:1/instance_paths/i"),
        ] {
            assert!(known.own(dea, good).is_ok(), "{good}");
        }
        for bad in [
            "http://10.0.0.8:9001/instance_paths/i",
            "http://169.254.169.254/latest/meta-data",
            "http://10.0.0.7:8181/v2/apps",
            "http://10.0.0.7/instance_paths/../v2/apps",
            "http://10.0.0.7/instance_paths/%2e%2e/x",
            "http://u:p@10.0.0.7/instance_paths/i",
            "http://10.0.0.7@10.0.0.8/instance_paths/i",
            "http://dea.example.com/instance_paths/i",
            "https://10.0.0.7/instance_paths/i",
            "file:///instance_paths/i",
            "http://167772168/instance_paths/i",
            "not an address",
            "",
        ] {
            let refused = known.own("d", bad).unwrap_err();
            assert!(
                matches!(refused, Foreign::Elsewhere { .. }),
                "{bad}: {refused}"
            );
        }
        let secret = known.own("d", "http://10.0.0.8/x?hmac=secret").unwrap_err();
        assert!(!secret.to_string().contains("secret"), "{secret}");
    }

    #[test]
    fn who_has_not_announced_one_address_is_not_asked() {
        let known = knowing(&[
            ("two", "10.0.0.1"),
            ("two", "10.0.0.2"),
            ("three", "10.0.0.1"),
            ("three", "10.0.0.2"),
            ("three", "10.0.0.1"),
            ("same", "10.0.0.1"),
            ("same", "10.0.0.1"),
            ("name", "dea.example.com"),
            ("meta", "169.254.169.254"),
            ("mapped", "::ffff:169.254.169.254"),
            ("any", "0.0.0.0"),
        ]);
        for id in ["two", "three", "name", "meta", "mapped", "any", "nobody"] {
            let refused = known
                .own(id, "http://10.0.0.1/instance_paths/i")
                .unwrap_err();
            assert_eq!(refused, Foreign::Unannounced(id.into()));
        }
        assert!(
            known
                .own("same", "http://10.0.0.1/instance_paths/i")
                .is_ok()
        );
    }
}
