//! Configuration: the struct, its checks, and how it is printed.

mod environment;
mod file;
mod schema;
mod tree;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use file::{FileError, load, parse};

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
    /// A token that opens without a user name.
    pub token: Option<String>,
    /// Sizes and times.
    pub limits: Limits,
    /// Directory for `nats-lite_<pid>.ports`, which names the real ports.
    pub ports_file_dir: Option<PathBuf>,
    /// File for the process id.
    pub pid_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 4222)),
            http: None,
            server_name: None,
            users: Vec::new(),
            token: None,
            limits: Limits::default(),
            ports_file_dir: None,
            pid_file: None,
        }
    }
}

/// One user and what it may do. An absent allow list allows everything; deny lists win.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct User {
    /// Name in `CONNECT`.
    pub user: String,
    /// Password in `CONNECT`.
    pub password: String,
    /// Subjects this user may publish to, wildcards welcome.
    pub publish: Option<Vec<String>>,
    /// Subjects this user may subscribe to.
    pub subscribe: Option<Vec<String>>,
    /// Subjects this user may not publish to.
    pub deny_publish: Vec<String>,
    /// Subjects this user may not subscribe to, not even as part of a wildcard.
    pub deny_subscribe: Vec<String>,
}

/// One thing wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line in the file, where one is known.
    pub line: Option<u64>,
    /// Key path such as `users[0].publish`.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
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
        self.check_limits(&mut found);
        found
    }

    fn check_users(&self, found: &mut Vec<Problem>) {
        for (at, user) in self.users.iter().enumerate() {
            let path = |key: &str| format!("users[{at}].{key}");
            if user.user.is_empty() {
                found.push(problem(path("user"), "a user needs a name"));
            }
            if user.password.is_empty() {
                found.push(problem(path("password"), "a user needs a password"));
            }
            if self.users[..at].iter().any(|other| other.user == user.user) {
                found.push(problem(
                    path("user"),
                    format!("{:?} is defined twice; remove one", user.user),
                ));
            }
            for (key, subject) in user
                .subjects()
                .filter(|(_, subject)| !is_valid(subject.as_bytes()))
            {
                found.push(problem(path(key), format!("{subject:?} is not a subject; write tokens joined by dots, `*` or a final `>`")));
            }
        }
    }

    fn check_limits(&self, found: &mut Vec<Problem>) {
        let limits = &self.limits;
        let sizes = [
            ("max_payload", limits.max_payload),
            ("max_control_line", limits.max_control_line),
            ("max_pending", limits.max_pending),
            ("max_connections", limits.max_connections),
        ];
        for (key, _) in sizes.into_iter().filter(|(_, value)| *value == 0) {
            found.push(problem(format!("limits.{key}"), "must be at least 1"));
        }
        let times = [
            ("ping_interval", limits.ping_interval),
            ("auth_timeout", limits.auth_timeout),
            ("write_deadline", limits.write_deadline),
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
        let hide = |secret: &mut String| *secret = "<redacted>".into();
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

fn problem(path: String, message: impl Into<String>) -> Problem {
    Problem {
        line: None,
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
