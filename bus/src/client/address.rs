//! Addresses of servers, and which one is tried next.

use rand::seq::SliceRandom;
use url::Url;

use crate::BusError;
use crate::limits::ANNOUNCED_SERVERS;

/// The port of a URL that names none.
const DEFAULT_PORT: u16 = 4222;

/// How a client introduces itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Credentials {
    #[default]
    None,
    User {
        user: String,
        password: String,
    },
    Token(String),
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
    /// TLS even when the server does not ask for it.
    pub(super) tls: bool,
    /// The name in its certificate.
    pub(super) tls_name: String,
    /// From the URL; none when it holds none.
    pub(super) credentials: Credentials,
}

impl Address {
    /// Reads `nats://user:password@host:port`; scheme and port may be missing.
    ///
    /// # Errors
    /// [`BusError::BadAddress`], which quotes the URL without its credentials.
    pub(super) fn parse(text: &str) -> Result<Self, BusError> {
        let refused = |reason: String| BusError::BadAddress {
            url: without_credentials(text),
            reason,
        };
        let url = if text.contains("://") {
            Url::parse(text)
        } else {
            Url::parse(&format!("nats://{text}"))
        };
        let url = url.map_err(|e| refused(e.to_string()))?;
        let tls = match url.scheme() {
            "nats" => false,
            "tls" => true,
            other => {
                return Err(refused(format!(
                    "scheme \"{other}\" is not supported; use nats:// or tls://"
                )));
            }
        };
        let host = url.host_str().filter(|h| !h.is_empty());
        let host = host.ok_or_else(|| refused("it names no host".into()))?;
        let host = host.trim_matches(['[', ']']).to_owned();
        Ok(Self {
            tls_name: host.clone(),
            host,
            port: url.port().unwrap_or(DEFAULT_PORT),
            tls,
            credentials: credentials(&url),
        })
    }

    /// `host:port`, without credentials.
    pub(super) fn display(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    fn same_place(&self, other: &Self) -> bool {
        self.host == other.host && self.port == other.port
    }
}

fn credentials(url: &Url) -> Credentials {
    let user = decoded(url.username());
    match (user.is_empty(), url.password()) {
        (true, _) => Credentials::None,
        (false, Some(password)) => Credentials::User {
            user,
            password: decoded(password),
        },
        // As in the clients of the original: a name without a password is a token.
        (false, None) => Credentials::Token(user),
    }
}

/// Percent-decoded; `%` that introduces nothing stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| first == b'%');
        let code = hex
            .and_then(|h| std::str::from_utf8(h).ok())
            .and_then(|h| u8::from_str_radix(h, 16).ok());
        match code {
            Some(code) => {
                bytes.push(code);
                rest = &after[2..];
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn without_credentials(server: &str) -> String {
    match Url::parse(server) {
        Ok(mut url) => {
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.to_string()
        }
        Err(_) => "(unparsable address)".into(),
    }
}

/// The servers of a bus, configured and announced ones.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    servers: Vec<Known>,
    configured: usize,
}

#[derive(Debug, Clone)]
struct Known {
    address: Address,
    failures: u32,
}

impl Pool {
    /// # Errors
    /// [`BusError::BadAddress`] when one is unusable, or there is none.
    pub(super) fn new(servers: &[String]) -> Result<Self, BusError> {
        let servers: Vec<Known> = servers
            .iter()
            .map(|s| Address::parse(s))
            .map(|address| {
                address.map(|address| Known {
                    address,
                    failures: 0,
                })
            })
            .collect::<Result<_, _>>()?;
        if servers.is_empty() {
            return Err(BusError::BadAddress {
                url: "(none)".into(),
                reason: "the list of servers is empty".into(),
            });
        }
        Ok(Self {
            configured: servers.len(),
            servers,
        })
    }

    /// Configured addresses without credentials.
    pub(super) fn display(&self) -> String {
        let configured = self.servers.iter().take(self.configured);
        let shown: Vec<_> = configured.map(|s| s.address.display()).collect();
        shown.join(", ")
    }

    /// The user of the first URL that names one.
    pub(super) fn user(&self) -> Option<&str> {
        self.servers
            .iter()
            .find_map(|s| match &s.address.credentials {
                Credentials::User { user, .. } => Some(user.as_str()),
                _ => None,
            })
    }

    /// The one with the fewest failures since it last worked; any of several.
    pub(super) fn next(&self) -> Address {
        let mut order: Vec<&Known> = self.servers.iter().collect();
        order.shuffle(&mut rand::rng());
        let best = order.into_iter().min_by_key(|s| s.failures);
        best.expect("a pool is never empty").address.clone()
    }

    pub(super) fn worked(&mut self, address: &Address) {
        if let Some(known) = self.find(address) {
            known.failures = 0;
        }
    }

    pub(super) fn failed(&mut self, address: &Address) {
        if let Some(known) = self.find(address) {
            known.failures = known.failures.saturating_add(1);
        }
    }

    fn find(&mut self, address: &Address) -> Option<&mut Known> {
        self.servers
            .iter_mut()
            .find(|s| s.address.same_place(address))
    }

    /// Adds servers of the same cluster, which use the same credentials, and the certificate's name where they are known by
    /// number only.
    pub(super) fn announced(&mut self, urls: &[String], by: &Address) {
        for url in urls {
            if self.servers.len() >= self.configured + ANNOUNCED_SERVERS {
                return;
            }
            let Ok(mut address) = Address::parse(url) else {
                tracing::debug!(url, "the bus announced an address that cannot be used");
                continue;
            };
            if address.host.parse::<std::net::IpAddr>().is_ok() {
                address.tls_name = by.tls_name.clone();
            }
            address.tls |= by.tls;
            address.credentials = by.credentials.clone();
            if self.find(&address).is_none() {
                self.servers.push(Known {
                    address,
                    failures: 0,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pool(servers: &[&str]) -> Pool {
        Pool::new(&servers.iter().map(|&s| s.to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn urls_are_read_with_what_may_be_missing() {
        let of = |text: &str| Address::parse(text).unwrap();
        assert_eq!(of("nats://bus").display(), "bus:4222");
        assert_eq!(of("bus:4333").display(), "bus:4333");
        assert_eq!(of("10.0.0.1:4333").display(), "10.0.0.1:4333");
        assert_eq!(of("tls://[::1]:1").display(), "[::1]:1");
        assert!(of("tls://bus").tls && !of("nats://bus").tls);
        let user = |user: &str, password: &str| Credentials::User {
            user: user.into(),
            password: password.into(),
        };
        assert_eq!(of("nats://a:b@bus").credentials, user("a", "b"));
        assert_eq!(
            of("nats://a%40b:p%3Aw%25@bus").credentials,
            user("a@b", "p:w%")
        );
        assert_eq!(
            of("nats://tok@bus").credentials,
            Credentials::Token("tok".into())
        );
    }

    #[test]
    fn an_unusable_url_is_quoted_without_its_password() {
        for text in [
            "http://u:geheim@bus",
            "nats://u:geheim@",
            "nats://u:geheim@bus:x",
        ] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(!error.contains("geheim"), "{error}");
        }
    }

    #[test]
    fn a_server_that_failed_is_tried_last() {
        let mut pool = pool(&["a", "b"]);
        let a = Address::parse("a").unwrap();
        pool.failed(&a);
        for _ in 0..20 {
            assert_eq!(pool.next().host, "b");
        }
        let b = pool.next();
        pool.failed(&b);
        pool.failed(&b);
        assert_eq!(pool.next().host, "a");
        pool.worked(&b);
        assert_eq!(pool.next().host, "b");
    }

    #[test]
    fn announced_servers_are_bounded() {
        let mut pool = pool(&["tls://u:p@bus.example"]);
        let by = pool.next();
        let urls: Vec<_> = (0..10 * ANNOUNCED_SERVERS)
            .map(|n| format!("10.0.{}.{}:4222", n / 250, n % 250))
            .collect();
        pool.announced(&urls, &by);
        pool.announced(&["not an address :".into()], &by);
        assert_eq!(pool.servers.len(), 1 + ANNOUNCED_SERVERS);
        let last = &pool.servers.last().unwrap().address;
        assert_eq!(last.tls_name, "bus.example");
        assert!(last.tls && last.credentials == by.credentials);
        assert_eq!(pool.display(), "bus.example:4222");
    }
}
