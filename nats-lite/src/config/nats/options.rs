//! The options: what each is called here, which do nothing here, and which need the original.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};

use serde_json::Value;

use super::text::{Entry, Node};
use super::values::seconds;
use super::{Reading, users};
use crate::config::Problem;
use crate::config::tree::Tree;

/// How an option is carried over.
#[derive(Clone, Copy)]
enum Take {
    /// A number or switch, to this place of our configuration.
    Same(&'static str),
    /// A text exactly as it is written, to this place.
    Text(&'static str),
    /// As seconds, to this place.
    Seconds(&'static str),
    Host,
    Port,
    Listen,
    Http,
    Users,
    Tls,
    /// Accepted: a server without it serves its clients as well. The reason is shown.
    Harmless(&'static str),
    /// Refused: clients would miss something. The reason is shown.
    Needed(&'static str),
}

const OPTIONS: &[(&str, Take)] = &[
    ("host", Take::Host),
    ("net", Take::Host),
    ("addr", Take::Host),
    ("port", Take::Port),
    ("listen", Take::Listen),
    ("http", Take::Http),
    ("http_port", Take::Http),
    ("monitor_port", Take::Http),
    ("server_name", Take::Text("server_name")),
    ("authorization", Take::Users),
    ("no_auth_user", Take::Text("no_auth_user")),
    ("tls", Take::Tls),
    ("allow_non_tls", Take::Same("tls.allow_non_tls")),
    ("max_payload", Take::Same("limits.max_payload")),
    ("max_control_line", Take::Same("limits.max_control_line")),
    ("max_pending", Take::Same("limits.max_pending")),
    ("max_connections", Take::Same("limits.max_connections")),
    ("max_conn", Take::Same("limits.max_connections")),
    ("max_subscriptions", Take::Same("limits.max_subscriptions")),
    ("max_subs", Take::Same("limits.max_subscriptions")),
    ("ping_interval", Take::Seconds("limits.ping_interval")),
    ("ping_max", Take::Same("limits.max_pings_out")),
    ("write_deadline", Take::Seconds("limits.write_deadline")),
    (
        "lame_duck_duration",
        Take::Seconds("limits.lame_duck_duration"),
    ),
    (
        "lame_duck_grace_period",
        Take::Seconds("limits.lame_duck_grace_period"),
    ),
    ("ports_file_dir", Take::Text("ports_file_dir")),
    ("pid_file", Take::Text("pid_file")),
    ("pidfile", Take::Text("pid_file")),
    ("log_file", Take::Text("log_file")),
    ("logfile", Take::Text("log_file")),
    ("debug", Take::Same("debug")),
    ("trace", Take::Same("trace")),
    ("logtime", Take::Harmless("lines always carry the time")),
    ("logtime_utc", Take::Harmless("lines always carry the time")),
    (
        "syslog",
        Take::Harmless("the log goes to standard error or log_file"),
    ),
    (
        "remote_syslog",
        Take::Harmless("the log goes to standard error or log_file"),
    ),
    (
        "log_size_limit",
        Take::Harmless("rotate the file outside and send SIGUSR1"),
    ),
    (
        "logfile_size_limit",
        Take::Harmless("rotate the file outside and send SIGUSR1"),
    ),
    (
        "log_max_num",
        Take::Harmless("rotate the file outside and send SIGUSR1"),
    ),
    (
        "logfile_max_num",
        Take::Harmless("rotate the file outside and send SIGUSR1"),
    ),
    (
        "max_traced_msg_len",
        Take::Harmless("messages are never logged"),
    ),
    ("trace_verbose", Take::Harmless("messages are never logged")),
    ("trace_headers", Take::Harmless("messages are never logged")),
    (
        "connect_error_reports",
        Take::Harmless("there are no routes to report on"),
    ),
    (
        "reconnect_error_reports",
        Take::Harmless("there are no routes to report on"),
    ),
    ("prof_port", Take::Harmless("there is no profiler")),
    ("prof_block_rate", Take::Harmless("there is no profiler")),
    (
        "client_advertise",
        Take::Harmless("a single server advertises nobody"),
    ),
    (
        "disable_sublist_cache",
        Take::Harmless("the cache is bounded and stays"),
    ),
    (
        "no_sublist_cache",
        Take::Harmless("the cache is bounded and stays"),
    ),
    ("store_dir", Take::Harmless("nothing is stored")),
    ("storedir", Take::Harmless("nothing is stored")),
    ("default_js_domain", Take::Harmless("nothing is stored")),
    ("system_account", Take::Harmless("there is one account")),
    ("system", Take::Harmless("there is one account")),
    ("no_system_account", Take::Harmless("there is one account")),
    ("no_system", Take::Harmless("there is one account")),
    ("no_sys_acc", Take::Harmless("there is one account")),
    ("server_tags", Take::Harmless("nobody reads it here")),
    ("server_metadata", Take::Harmless("nobody reads it here")),
    ("feature_flags", Take::Harmless("nobody reads it here")),
    (
        "http_base_path",
        Take::Harmless("the monitoring pages are at the root of their port"),
    ),
    (
        "max_closed_clients",
        Take::Harmless("closed connections are not remembered"),
    ),
    (
        "no_header_support",
        Take::Harmless("clients that want no headers get none"),
    ),
    (
        "max_sub_tokens",
        Take::Harmless("the length of a subject bounds its tokens"),
    ),
    (
        "max_subscription_tokens",
        Take::Harmless("the length of a subject bounds its tokens"),
    ),
    (
        "write_timeout",
        Take::Harmless("slow consumers are closed after write_deadline"),
    ),
    (
        "no_fast_producer_stall",
        Take::Harmless("slow consumers are closed after write_deadline"),
    ),
    (
        "cluster",
        Take::Needed("clients of the other servers would not be heard"),
    ),
    (
        "gateway",
        Take::Needed("clients of the other clusters would not be heard"),
    ),
    (
        "leafnodes",
        Take::Needed("clients of the leaf nodes would not be heard"),
    ),
    (
        "leaf",
        Take::Needed("clients of the leaf nodes would not be heard"),
    ),
    ("jetstream", Take::Needed("messages would not be kept")),
    ("accounts", Take::Needed("clients would not be kept apart")),
    (
        "mappings",
        Take::Needed("messages would go to the subjects they name"),
    ),
    (
        "maps",
        Take::Needed("messages would go to the subjects they name"),
    ),
    (
        "websocket",
        Take::Needed("its clients would find nobody listening"),
    ),
    (
        "ws",
        Take::Needed("its clients would find nobody listening"),
    ),
    (
        "mqtt",
        Take::Needed("its clients would find nobody listening"),
    ),
    ("https_port", Take::Needed("monitoring has no TLS")),
    ("https", Take::Needed("monitoring has no TLS")),
    ("ocsp", Take::Needed("revoked certificates would be taken")),
    (
        "ocsp_cache",
        Take::Needed("revoked certificates would be taken"),
    ),
    (
        "proxy_protocol",
        Take::Needed("all clients would seem to come from the proxy"),
    ),
    (
        "proxies",
        Take::Needed("all clients would seem to come from the proxy"),
    ),
    (
        "operator",
        Take::Needed("its users could not be told from strangers"),
    ),
    (
        "operators",
        Take::Needed("its users could not be told from strangers"),
    ),
    (
        "root",
        Take::Needed("its users could not be told from strangers"),
    ),
    (
        "roots",
        Take::Needed("its users could not be told from strangers"),
    ),
    (
        "root_operator",
        Take::Needed("its users could not be told from strangers"),
    ),
    (
        "root_operators",
        Take::Needed("its users could not be told from strangers"),
    ),
    (
        "resolver",
        Take::Needed("its users could not be told from strangers"),
    ),
    (
        "account_resolver",
        Take::Needed("its users could not be told from strangers"),
    ),
    (
        "accounts_resolver",
        Take::Needed("its users could not be told from strangers"),
    ),
    (
        "resolver_tls",
        Take::Needed("its users could not be told from strangers"),
    ),
    (
        "resolver_preload",
        Take::Needed("its users could not be told from strangers"),
    ),
    (
        "resolver_pinned_accounts",
        Take::Needed("its users could not be told from strangers"),
    ),
    (
        "trusted",
        Take::Needed("its users could not be told from strangers"),
    ),
    (
        "trusted_keys",
        Take::Needed("its users could not be told from strangers"),
    ),
    (
        "default_sentinel",
        Take::Needed("its users could not be told from strangers"),
    ),
];

const TLS: &[(&str, Take)] = &[
    ("cert_file", Take::Text("tls.cert_file")),
    ("key_file", Take::Text("tls.key_file")),
    ("ca_file", Take::Text("tls.ca_file")),
    ("verify", Take::Same("tls.verify")),
    ("verify_and_map", Take::Same("tls.verify_and_map")),
    ("timeout", Take::Seconds("tls.timeout")),
    (
        "cipher_suites",
        Take::Harmless("only suites without known weakness are offered"),
    ),
    (
        "allow_insecure_cipher_suites",
        Take::Harmless("only suites without known weakness are offered"),
    ),
    (
        "curve_preferences",
        Take::Harmless("only curves without known weakness are offered"),
    ),
    ("min_version", Take::Harmless("TLS 1.2 and 1.3 are offered")),
    (
        "insecure",
        Take::Harmless("it concerns routes, of which there are none"),
    ),
    (
        "verify_cert_and_check_known_urls",
        Take::Harmless("it concerns routes, of which there are none"),
    ),
    (
        "connection_rate_limit",
        Take::Harmless("max_connections and timeout bound handshakes"),
    ),
    (
        "pinned_certs",
        Take::Needed("any certificate of the authority would be taken"),
    ),
    (
        "ocsp_peer",
        Take::Needed("any certificate of the authority would be taken"),
    ),
    (
        "handshake_first",
        Take::Needed(
            "clients would wait for INFO in the clear, and this server for their handshake",
        ),
    ),
    (
        "first",
        Take::Needed(
            "clients would wait for INFO in the clear, and this server for their handshake",
        ),
    ),
    (
        "immediate",
        Take::Needed(
            "clients would wait for INFO in the clear, and this server for their handshake",
        ),
    ),
    (
        "certs",
        Take::Needed("only one certificate from files is offered"),
    ),
    (
        "certificates",
        Take::Needed("only one certificate from files is offered"),
    ),
    (
        "cert_store",
        Take::Needed("only one certificate from files is offered"),
    ),
    (
        "cert_match_by",
        Take::Needed("only one certificate from files is offered"),
    ),
    (
        "cert_match",
        Take::Needed("only one certificate from files is offered"),
    ),
    (
        "cert_match_skip_invalid",
        Take::Needed("only one certificate from files is offered"),
    ),
    (
        "ca_certs_match",
        Take::Needed("only one certificate from files is offered"),
    ),
];

/// True for an option of `nats-server`.
pub(super) fn is_known(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    OPTIONS.iter().any(|(name, _)| *name == key)
}

/// Carries a document over.
pub(super) fn translate(document: &[Entry]) -> Reading {
    let mut translation = Translation::default();
    translation.block(document, OPTIONS, "");
    translation.finish()
}

/// What has been carried over so far.
#[derive(Default)]
pub(super) struct Translation {
    entries: Vec<(String, u64, Tree)>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    host: Option<IpAddr>,
    port: Option<u16>,
    http: Option<(Option<IpAddr>, u16)>,
}

impl Translation {
    fn block(&mut self, block: &[Entry], known: &[(&str, Take)], parent: &str) {
        for entry in block {
            let key = entry.key.to_ascii_lowercase();
            match known.iter().find(|(name, _)| *name == key) {
                Some((_, take)) => self.option(entry, *take, parent),
                None => self.unknown(entry),
            }
        }
    }

    fn option(&mut self, entry: &Entry, take: Take, parent: &str) {
        match take {
            Take::Same(path) => match leaf(&entry.value) {
                Some(value) => self.set(path, entry, Tree::Leaf(value)),
                None => self.problem(entry, "expected a single value"),
            },
            Take::Text(path) => match entry.value.text() {
                Some(text) => self.set(path, entry, Tree::Leaf(text.into())),
                None => self.problem(entry, "expected a single value"),
            },
            Take::Seconds(path) => match seconds(&entry.value) {
                Some(seconds) => self.set(path, entry, Tree::Leaf(seconds.into())),
                None => self.problem(entry, "expected a duration such as \"10s\" or \"2m\""),
            },
            Take::Host => match host(&entry.value) {
                Some(ip) => self.host = Some(ip),
                None => self.problem(entry, "expected an IP address, or a name that can be resolved"),
            },
            Take::Port => match port(&entry.value) {
                Some(port) => self.port = Some(port),
                None => self.problem(entry, PORT),
            },
            Take::Listen => match address(&entry.value) {
                Some((ip, port)) => (self.host, self.port) = (ip.or(self.host), Some(port)),
                None => self.problem(
                    entry,
                    "expected an address such as 127.0.0.1:4222 (a name must be resolvable), or a port",
                ),
            },
            Take::Http => match address(&entry.value) {
                Some(found) => self.http = Some(found),
                None => self.problem(entry, PORT),
            },
            Take::Users => users::translate(self, entry),
            Take::Tls => match &entry.value {
                Node::Map(block) => self.block(block, TLS, "tls."),
                _ => self.problem(entry, "expected a block"),
            },
            Take::Harmless(reason) => {
                let message = format!("has no effect in nats-lite: {reason}");
                self.warnings.push(at(entry, parent, message));
            }
            Take::Needed(_) if is_off(&entry.value) => {}
            Take::Needed(reason) => {
                let message = format!(
                    "nats-lite does not have this, and {reason}; run nats-server with this file instead"
                );
                self.problems.push(at(entry, parent, message));
            }
        }
    }

    /// A key that is no option; one that a `$variable` refers to need not be one.
    pub(super) fn unknown(&mut self, entry: &Entry) {
        if !entry.used {
            self.problem(entry, "unknown field");
        }
    }

    pub(super) fn problem(&mut self, entry: &Entry, message: &str) {
        self.problems.push(at(entry, "", message.to_owned()));
    }

    /// Puts a value at `section.key` or `key`.
    pub(super) fn set(&mut self, path: &str, entry: &Entry, value: Tree) {
        let line = entry.at.line;
        let Some((section, key)) = path.split_once('.') else {
            return self.entries.push((path.to_owned(), line, value));
        };
        let child = (key.to_owned(), line, value);
        let known = self.entries.iter_mut().find(|(name, ..)| name == section);
        match known {
            Some((.., Tree::Map(children))) => children.push(child),
            _ => {
                let section = (section.to_owned(), line, Tree::Map(vec![child]));
                self.entries.push(section);
            }
        }
    }

    /// In this syntax an absent host means every interface.
    fn finish(mut self) -> Reading {
        let text = |address: SocketAddr| Tree::Leaf(Value::String(address.to_string()));
        let host = self.host.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let listen = SocketAddr::new(host, self.port.unwrap_or(4222));
        self.entries.push(("listen".into(), 1, text(listen)));
        if let Some((ip, port)) = self.http {
            let http = SocketAddr::new(ip.unwrap_or(host), port);
            self.entries.push(("http".into(), 1, text(http)));
        }
        Reading {
            tree: Tree::Map(self.entries),
            problems: self.problems,
            warnings: self.warnings,
        }
    }
}

const PORT: &str = "expected a port from 0 to 65535, or -1 for a free one";

fn at(entry: &Entry, parent: &str, message: String) -> Problem {
    Problem {
        line: Some(entry.at.line),
        column: Some(entry.at.column),
        path: format!("{parent}{}", entry.key),
        message,
    }
}

fn leaf(node: &Node) -> Option<Value> {
    match node {
        Node::Text(text) => Some(text.as_str().into()),
        Node::Whole(number, _) => Some((*number).into()),
        Node::Float(number, _) => Some((*number).into()),
        Node::Flag(flag, _) => Some((*flag).into()),
        Node::List(_) | Node::Map(_) => None,
    }
}

fn is_off(node: &Node) -> bool {
    match node {
        Node::Flag(flag, _) => !flag,
        Node::Text(text) => text == "disabled",
        Node::Map(entries) => entries.is_empty(),
        _ => false,
    }
}

fn host(node: &Node) -> Option<IpAddr> {
    match node {
        Node::Text(text) => {
            let name = text.trim_matches(['[', ']']);
            name.parse().ok().or_else(|| resolved(name))
        }
        _ => None,
    }
}

/// The address of a name, IPv4 before IPv6 as the original prefers it.
fn resolved(name: &str) -> Option<IpAddr> {
    let found: Vec<SocketAddr> = (name, 0).to_socket_addrs().ok()?.collect();
    let first = found.iter().find(|a| a.is_ipv4()).or(found.first())?;
    Some(first.ip())
}

/// -1 is a free port, which we call 0.
fn port(node: &Node) -> Option<u16> {
    match node {
        Node::Whole(-1, _) => Some(0),
        Node::Whole(number, _) => u16::try_from(*number).ok(),
        Node::Text(text) if text == "-1" => Some(0),
        Node::Text(text) => text.parse().ok(),
        _ => None,
    }
}

fn address(node: &Node) -> Option<(Option<IpAddr>, u16)> {
    if let Some(port) = port(node) {
        return Some((None, port));
    }
    let Node::Text(text) = node else { return None };
    let (ip, number) = text.rsplit_once(':')?;
    let port = port(&Node::Text(number.to_owned()))?;
    match ip {
        "" => Some((None, port)),
        ip => host(&Node::Text(ip.to_owned())).map(|ip| (Some(ip), port)),
    }
}
