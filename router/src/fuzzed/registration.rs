//! What feeds the table, and requests in between.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bus::router::{Endpoint as Message, Register};

use crate::table::{Balancing, Endpoint, Miss, Settings, Table, Wanted, normalize};

/// Context paths deeper than this are not looked for.
const MAX_DEPTH: usize = 16;

/// The table in its plainest form: who is at an address.
#[derive(Default)]
struct Plain(BTreeMap<String, Known>);

/// Somebody registered, and under which uris.
struct Known {
    message: Message,
    uris: BTreeSet<String>,
}

/// Lines: `+` and a registration in JSON, `-` and the same to take it back, anything else is `host path` of a request. The table and
/// a plain list agree on who serves what after each of them; when all is taken back, nothing is left.
///
/// # Panics
/// When one of these does not hold.
pub fn registration(data: &[u8]) {
    let now = Instant::now();
    let mut table = Table::new(Settings {
        stale: Duration::from_secs(120),
        learning: Duration::ZERO,
        prune_without_bus: false,
        balancing: Balancing::RoundRobin,
    });
    table.resume(now);
    let mut plain = Plain::default();
    for line in data.split(|byte| *byte == b'\n') {
        match (line, line.get(1..).map(serde_json::from_slice)) {
            ([b'+', ..], Some(Ok(Register(message)))) => {
                table.register(&message, now);
                plain.register(&message);
            }
            ([b'-', ..], Some(Ok(Register(message)))) => {
                table.unregister(&message, now);
                plain.unregister(&message);
            }
            _ => request(&mut table, &plain, &String::from_utf8_lossy(line), now),
        }
        plain.check(&table);
    }
    for message in plain.farewells() {
        table.unregister(&message, now);
    }
    assert_eq!((table.uri_count(), table.endpoint_count()), (0, 0));
}

/// A request goes to somebody registered under the most specific uri that fits it.
fn request(table: &mut Table, plain: &Plain, line: &str, now: Instant) {
    let (host, path) = line.split_once(' ').unwrap_or((line, ""));
    if path.matches('/').count() >= MAX_DEPTH {
        return;
    }
    let wanted = Wanted {
        host,
        path,
        sticky: None,
    };
    let expected = plain.uri_for(host, path);
    match table.choose(&wanted, &[], now) {
        Ok(choice) => {
            assert_eq!(Some(&*choice.route), expected.as_deref(), "{line:?}");
            let known = &plain.0[&choice.endpoint.address];
            let there = known.uris.contains(&*choice.route);
            assert!(there, "it never registered that");
            assert!(!choice.desperate, "nobody has failed");
        }
        Err(miss) => assert_eq!((miss, expected), (Miss::Unknown, None), "{line:?}"),
    }
}

/// Sticky id and app.
fn identity(message: &Message) -> (Option<&str>, Option<&str>) {
    let id = message.private_instance_id.as_deref();
    (id.filter(|id| !id.is_empty()), message.app.as_deref())
}

/// Where to connect, as the table names it.
fn address(message: &Message) -> String {
    match message.host.parse::<IpAddr>() {
        Ok(ip) => std::net::SocketAddr::new(ip, message.port).to_string(),
        Err(_) => format!("{}:{}", message.host, message.port),
    }
}

fn uris(message: &Message) -> impl Iterator<Item = String> {
    let uris = message.uris.iter().map(|uri| normalize(uri));
    uris.filter(|uri| !uri.is_empty())
}

impl Plain {
    fn register(&mut self, message: &Message) {
        let mut uris: BTreeSet<String> = uris(message).collect();
        if uris.is_empty() {
            return;
        }
        if let Some(before) = self.0.remove(&address(message))
            && identity(&before.message) == identity(message)
        {
            uris.extend(before.uris);
        }
        let message = message.clone();
        self.0.insert(address(&message), Known { message, uris });
    }

    fn unregister(&mut self, message: &Message) {
        if let Some(known) = self.0.get_mut(&address(message)) {
            known
                .uris
                .retain(|known| !uris(message).any(|uri| uri == *known));
        }
        self.0.retain(|_, known| !known.uris.is_empty());
    }

    fn all(&self) -> BTreeSet<&str> {
        let uris = self.0.values().flat_map(|known| &known.uris);
        uris.map(String::as_str).collect()
    }

    fn check(&self, table: &Table) {
        assert_eq!(table.endpoint_count(), self.0.len());
        let served: BTreeSet<&str> = table.routes().map(|(uri, _)| uri).collect();
        assert_eq!(served, self.all());
        for (uri, slots) in table.routes() {
            for slot in slots {
                let known = &self.0[&slot.endpoint.address];
                let there = known.uris.contains(uri);
                assert!(there, "{uri:?} was never registered there");
                let (id, app) = (&slot.endpoint.instance_id, &slot.endpoint.app);
                assert_eq!((id.as_deref(), app.as_deref()), identity(&known.message));
                assert!((1..=100).contains(&slot.weight));
                assert!(slot.threshold <= Duration::from_secs(120));
                reachable(&slot.endpoint);
            }
        }
    }

    /// Of all uris the one with the most specific host, then with the longest path.
    fn uri_for(&self, host: &str, path: &str) -> Option<String> {
        let host = host_alone(host).to_ascii_lowercase();
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let path = path.trim_end_matches('/').to_ascii_lowercase();
        let path = if path.starts_with('/') {
            path
        } else {
            String::new()
        };
        let fits = |uri: &&str| {
            // A uri ends where its host does, or goes on with a beginning of the path.
            let (name, below) = uri.split_at(uri.find('/').unwrap_or(uri.len()));
            let inside = path.strip_prefix(below);
            let host_fits = match name.strip_prefix('*') {
                Some(rest) if name != host => rest.starts_with('.') && host.ends_with(rest),
                _ => name == host,
            };
            host_fits && inside.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let rank = |uri: &&str| {
            let name = uri.split('/').next().unwrap_or_default();
            (name == host, name.len(), uri.len())
        };
        self.all()
            .into_iter()
            .filter(fits)
            .max_by_key(rank)
            .map(str::to_owned)
    }

    /// What takes everything back.
    fn farewells(&self) -> Vec<Message> {
        let farewell = |known: &Known| Message {
            uris: known.uris.iter().cloned().collect(),
            ..known.message.clone()
        };
        self.0.values().map(farewell).collect()
    }
}

/// Without port and last dots.
fn host_alone(host: &str) -> &str {
    let end = match host.starts_with('[') {
        true => host.find(']').map(|at| at + 1),
        false => host.find(':'),
    };
    host[..end.unwrap_or(host.len())].trim_end_matches('.')
}

/// Whoever registered with an IP address can be connected to.
fn reachable(endpoint: &Endpoint) {
    let (host, _) = endpoint.address.rsplit_once(':').unwrap_or_default();
    if host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        assert!(endpoint.socket_address().is_ok(), "{}", endpoint.address);
    }
}
