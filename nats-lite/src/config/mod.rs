//! Configuration: the struct, its checks, and how it is printed.

mod environment;
mod file;
mod nats;
mod schema;
mod tree;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use file::{FileError, load, parse, parse_original};

use crate::limits::Limits;
use crate::subjects::is_valid;

/// Everything the server can be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where clients connect; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where `/varz`, `/connz`, `/healthz` and `/metrics` are served; absent: nowhere.
    pub http: Option<SocketAddr>,
    /// Name in `INFO`; the server id when absent.
    pub server_name: Option<String>,
    /// Users that may connect; empty (and no token) means that anybody may.
    pub users: Vec<User>,
    /// A token that opens without a user name; may be a bcrypt hash.
    pub token: Option<String>,
    /// The user whom clients without credentials become; absent: they are turned away.
    pub no_auth_user: Option<String>,
    /// Encryption of client connections; absent: none.
    pub tls: Option<Tls>,
    /// Sizes and times.
    pub limits: Limits,
    /// Directory for `nats-lite_<pid>.ports`, which names the real ports.
    pub ports_file_dir: Option<PathBuf>,
    /// File for the process id.
    pub pid_file: Option<PathBuf>,
    /// File for the log in place of standard error; opened anew on SIGUSR1.
    pub log_file: Option<PathBuf>,
    /// Log at debug level.
    pub debug: bool,
    /// Log at trace level.
    pub trace: bool,
    /// What a file asked for that has no effect here; shown at the start.
    #[serde(skip)]
    pub warnings: Vec<Problem>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 4222)),
            http: None,
            server_name: None,
            users: Vec::new(),
            token: None,
            no_auth_user: None,
            tls: None,
            limits: Limits::default(),
            ports_file_dir: None,
            pid_file: None,
            log_file: None,
            debug: false,
            trace: false,
            warnings: Vec::new(),
        }
    }
}

/// One user and what it may do. An absent allow list allows everything; deny lists win.
///
/// An entry `subject queue` of a subscribe list is about members of that queue group only.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct User {
    /// Name in `CONNECT`.
    pub user: String,
    /// Password in `CONNECT`, or its bcrypt hash (`$2a$…`).
    pub password: String,
    /// Public user key (`U…`) in place of name and password: the client signs a nonce.
    pub nkey: Option<String>,
    /// Subjects this user may publish to, wildcards welcome.
    pub publish: Option<Vec<String>>,
    /// Subjects this user may subscribe to.
    pub subscribe: Option<Vec<String>>,
    /// Subjects this user may not publish to.
    pub deny_publish: Vec<String>,
    /// Subjects this user may not hear: such a subscription is refused, a wildcard filtered.
    pub deny_subscribe: Vec<String>,
    /// Lets this user answer the requests it received, wherever the answer goes.
    pub responses: Option<Responses>,
}

/// `allow_responses`: how often and how long one request may be answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Responses {
    /// Answers to one request; negative means any number.
    pub max: i64,
    /// Seconds after the request; 0 means for ever.
    pub expires: f64,
}

impl Default for Responses {
    fn default() -> Self {
        Self {
            max: 1,
            expires: 120.0,
        }
    }
}

/// Encryption of client connections. Files are PEM.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// The server's certificate, with the chain up to its authority.
    pub cert_file: PathBuf,
    /// The certificate's private key.
    pub key_file: PathBuf,
    /// Authorities of client certificates; needed by the two `verify` keys.
    pub ca_file: Option<PathBuf>,
    /// Only clients with a certificate of these authorities may connect.
    pub verify: bool,
    /// As `verify`; a name in the certificate (e-mail, DNS name or subject) selects the user.
    pub verify_and_map: bool,
    /// Let clients without TLS in as well.
    pub allow_non_tls: bool,
    /// Seconds for the handshake; 2.
    pub timeout: f64,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            cert_file: PathBuf::new(),
            key_file: PathBuf::new(),
            ca_file: None,
            verify: false,
            verify_and_map: false,
            allow_non_tls: false,
            timeout: 2.0,
        }
    }
}

/// One thing wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line in the file, where one is known.
    pub line: Option<u64>,
    /// Column in that line, where one is known.
    pub column: Option<u64>,
    /// Key path such as `users[0].publish`.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (Some(line), Some(column)) => write!(f, "line {line}, column {column}: ")?,
            (Some(line), None) => write!(f, "line {line}: ")?,
            (None, _) => {}
        }
        write!(f, "{}: {}", self.path, self.message)
    }
}

impl Config {
    /// A server on a free loopback port: what tests want.
    pub fn on_free_port() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            ..Self::default()
        }
    }

    /// Everything that is wrong with the values, at once.
    pub fn problems(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        self.check_users(&mut found);
        self.check_access(&mut found);
        self.check_limits(&mut found);
        found
    }

    fn check_users(&self, found: &mut Vec<Problem>) {
        for (at, user) in self.users.iter().enumerate() {
            let path = |key: &str| format!("users[{at}].{key}");
            match &user.nkey {
                Some(nkey) => check_nkey(path("nkey"), nkey, user, found),
                None => check_name(&path, user, self.proves_by_certificate(), found),
            }
            let twin = |other: &User| (&other.user, &other.nkey) == (&user.user, &user.nkey);
            if self.users[..at].iter().any(twin) {
                found.push(problem(
                    path("user"),
                    format!("{:?} is defined twice; remove one", user.user),
                ));
            }
            for (key, subject) in user.subjects().filter(|(key, text)| !is_entry(key, text)) {
                found.push(problem(path(key), format!("{subject:?} is not a subject; write tokens joined by dots, `*` or a final `>`")));
            }
        }
    }

    fn proves_by_certificate(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.verify_and_map)
    }

    fn check_access(&self, found: &mut Vec<Problem>) {
        if let Some(name) = &self.no_auth_user
            && !self.users.iter().any(|user| user.user == *name)
        {
            let message = "names no user of the list; add that user or remove the key";
            found.push(problem("no_auth_user".into(), message));
        }
        let Some(tls) = &self.tls else { return };
        if (tls.verify || tls.verify_and_map) && tls.ca_file.is_none() {
            let message = "is needed to verify clients; name the file with their authorities";
            found.push(problem("tls.ca_file".into(), message));
        }
        if !(0.001..=3600.0).contains(&tls.timeout) {
            found.push(problem(
                "tls.timeout".into(),
                "must be between 0.001 and 3600 seconds",
            ));
        }
    }

    fn check_limits(&self, found: &mut Vec<Problem>) {
        let limits = &self.limits;
        let sizes = [
            ("max_payload", limits.max_payload),
            ("max_control_line", limits.max_control_line),
            ("max_pending", limits.max_pending),
            ("max_buffered", limits.max_buffered),
            ("max_connections", limits.max_connections),
        ];
        for (key, _) in sizes.into_iter().filter(|(_, value)| *value == 0) {
            found.push(problem(format!("limits.{key}"), "must be at least 1"));
        }
        let times = [
            ("ping_interval", limits.ping_interval),
            ("auth_timeout", limits.auth_timeout),
            ("write_deadline", limits.write_deadline),
            ("lame_duck_grace_period", limits.lame_duck_grace_period),
            ("lame_duck_duration", limits.lame_duck_duration),
        ];
        for (key, _) in times
            .into_iter()
            .filter(|(_, seconds)| !(0.001..=86_400.0).contains(seconds))
        {
            found.push(problem(
                format!("limits.{key}"),
                "must be between 0.001 and 86400 seconds",
            ));
        }
        if limits.max_payload > limits.max_buffered {
            found.push(problem(
                "limits.max_buffered".into(),
                "is smaller than max_payload: such a message could never be held",
            ));
        }
        if limits.max_payload > limits.max_pending {
            found.push(problem(
                "limits.max_payload".into(),
                "is larger than max_pending: such a message could never be delivered",
            ));
        }
    }

    /// The configuration as YAML with secrets replaced by `<redacted>`.
    pub fn to_redacted_yaml(&self) -> String {
        let mut shown = self.clone();
        let hide = |secret: &mut String| {
            if !secret.is_empty() {
                *secret = "<redacted>".into();
            }
        };
        shown
            .users
            .iter_mut()
            .for_each(|user| hide(&mut user.password));
        shown.token.iter_mut().for_each(hide);
        serde_saphyr::to_string(&shown).expect("plain data always serialises")
    }
}

impl User {
    fn subjects(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let publish = self
            .publish
            .iter()
            .flatten()
            .map(|subject| ("publish", subject));
        let subscribe = self
            .subscribe
            .iter()
            .flatten()
            .map(|subject| ("subscribe", subject));
        let deny_publish = self
            .deny_publish
            .iter()
            .map(|subject| ("deny_publish", subject));
        let deny_subscribe = self
            .deny_subscribe
            .iter()
            .map(|subject| ("deny_subscribe", subject));
        publish
            .chain(subscribe)
            .chain(deny_publish)
            .chain(deny_subscribe)
    }
}

fn check_name(
    path: &dyn Fn(&str) -> String,
    user: &User,
    by_certificate: bool,
    found: &mut Vec<Problem>,
) {
    if user.user.is_empty() {
        found.push(problem(path("user"), "a user needs a name"));
    }
    if user.password.is_empty() && !by_certificate {
        found.push(problem(path("password"), "a user needs a password"));
    }
}

fn check_nkey(path: String, nkey: &str, user: &User, found: &mut Vec<Problem>) {
    if !user.user.is_empty() || !user.password.is_empty() {
        let message = "stands in place of name and password; remove those or the nkey";
        found.push(problem(path.clone(), message));
    }
    if !nkey.starts_with('U') || nkeys::KeyPair::from_public_key(nkey).is_err() {
        let message = "is not the public key of a user: U and 55 more letters and digits";
        found.push(problem(path, message));
    }
}

/// A subject, in subscribe lists possibly followed by a queue group.
fn is_entry(key: &str, text: &str) -> bool {
    let mut words = text.split_ascii_whitespace();
    let subject = words.next().unwrap_or_default();
    let queue = words.next().map(str::as_bytes);
    let queue_fits = queue.is_none_or(|queue| key.ends_with("subscribe") && is_valid(queue));
    is_valid(subject.as_bytes()) && queue_fits && words.next().is_none()
}

fn problem(path: String, message: impl Into<String>) -> Problem {
    Problem {
        line: None,
        column: None,
        path,
        message: message.into(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reports_every_contradiction_at_once() {
        let user = User {
            user: "a".into(),
            publish: Some(vec!["a..b".into()]),
            ..User::default()
        };
        let limits = Limits {
            max_payload: 0,
            ping_interval: 0.0,
            ..Limits::default()
        };
        let config = Config {
            users: vec![user.clone(), user],
            limits,
            ..Config::default()
        };
        let paths: Vec<String> = config
            .problems()
            .into_iter()
            .map(|problem| problem.path)
            .collect();
        let expected = [
            "users[0].password",
            "users[0].publish",
            "users[1].password",
            "users[1].user",
            "users[1].publish",
            "limits.max_payload",
            "limits.ping_interval",
        ];
        assert_eq!(paths, expected);
    }

    #[test]
    fn printing_hides_secrets_and_can_be_read_back() {
        let user = User {
            user: "dea".into(),
            password: "hunter2".into(),
            ..User::default()
        };
        let config = Config {
            users: vec![user],
            token: Some("hunter3".into()),
            ..Config::default()
        };
        let text = config.to_redacted_yaml();
        assert!(
            !text.contains("hunter") && text.contains("<redacted>"),
            "{text}"
        );
        let back = parse(&text).unwrap();
        assert_eq!(
            (back.listen, back.users[0].user.as_str()),
            (config.listen, "dea")
        );
    }
}
