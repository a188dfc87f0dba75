//! Which keys there are and what each may hold, as one table, and the check of a document against it.

use std::net::SocketAddr;

use serde_json::Value;

use super::Problem;
use super::tree::Tree;

/// What a key may hold.
pub(super) enum Kind {
    Text,
    Address,
    Whole,
    Signed,
    Flag,
    Seconds,
    Subjects,
    Section(&'static [(&'static str, Kind)]),
    List(&'static [(&'static str, Kind)]),
}

pub(super) const TOP: &[(&str, Kind)] = &[
    ("listen", Kind::Address),
    ("http", Kind::Address),
    ("server_name", Kind::Text),
    ("users", Kind::List(USER)),
    ("token", Kind::Text),
    ("no_auth_user", Kind::Text),
    ("tls", Kind::Section(TLS)),
    ("limits", Kind::Section(LIMITS)),
    ("ports_file_dir", Kind::Text),
    ("pid_file", Kind::Text),
    ("log_file", Kind::Text),
    ("debug", Kind::Flag),
    ("trace", Kind::Flag),
];

const USER: &[(&str, Kind)] = &[
    ("user", Kind::Text),
    ("password", Kind::Text),
    ("nkey", Kind::Text),
    ("publish", Kind::Subjects),
    ("subscribe", Kind::Subjects),
    ("deny_publish", Kind::Subjects),
    ("deny_subscribe", Kind::Subjects),
    ("responses", Kind::Section(RESPONSES)),
];

const RESPONSES: &[(&str, Kind)] = &[("max", Kind::Signed), ("expires", Kind::Seconds)];

const TLS: &[(&str, Kind)] = &[
    ("cert_file", Kind::Text),
    ("key_file", Kind::Text),
    ("ca_file", Kind::Text),
    ("verify", Kind::Flag),
    ("verify_and_map", Kind::Flag),
    ("allow_non_tls", Kind::Flag),
    ("timeout", Kind::Seconds),
];

const LIMITS: &[(&str, Kind)] = &[
    ("max_payload", Kind::Whole),
    ("max_control_line", Kind::Whole),
    ("max_pending", Kind::Whole),
    ("max_buffered", Kind::Whole),
    ("max_connections", Kind::Whole),
    ("max_subscriptions", Kind::Whole),
    ("ping_interval", Kind::Seconds),
    ("max_pings_out", Kind::Whole),
    ("auth_timeout", Kind::Seconds),
    ("write_deadline", Kind::Seconds),
    ("lame_duck_grace_period", Kind::Seconds),
    ("lame_duck_duration", Kind::Seconds),
];

/// Where a value stands: its key path, and its line unless it comes from the environment.
pub(super) struct At {
    line: Option<u64>,
    path: String,
}

impl At {
    /// The top of a file.
    pub(super) fn file() -> Self {
        Self {
            line: Some(1),
            path: String::new(),
        }
    }

    /// The value that an environment variable sets.
    pub(super) fn variable(path: String) -> Self {
        Self { line: None, path }
    }

    fn key(&self, key: &str, line: u64) -> Self {
        let path = if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        };
        let line = self.line.and(Some(line));
        Self { line, path }
    }

    fn item(&self, number: usize) -> Self {
        Self {
            line: self.line,
            path: format!("{}[{number}]", self.path),
        }
    }

    pub(super) fn problem(&self, message: String) -> Problem {
        let path = if self.path.is_empty() {
            "document".to_owned()
        } else {
            self.path.clone()
        };
        Problem {
            line: self.line,
            column: None,
            path,
            message,
        }
    }
}

/// Reports every unknown key and bad value of a tree. A key without a value is fine: it keeps its default.
pub(super) fn check(tree: &Tree, kind: &Kind, at: &At, problems: &mut Vec<Problem>) {
    let wanted = match (kind, tree) {
        (_, Tree::Leaf(Value::Null)) => return,
        (Kind::Section(keys), Tree::Map(entries)) => {
            return check_section(entries, keys, at, problems);
        }
        (Kind::List(keys), Tree::List(items)) => {
            let section = |(number, item): (usize, &Tree)| match item {
                Tree::Map(entries) => check_section(entries, keys, &at.item(number), problems),
                _ => problems.push(at.item(number).problem("expected a section of keys".into())),
            };
            return items.iter().enumerate().for_each(section);
        }
        (Kind::Subjects, Tree::List(items))
            if items
                .iter()
                .all(|item| matches!(item, Tree::Leaf(Value::String(_)))) =>
        {
            return;
        }
        (Kind::Text, Tree::Leaf(Value::String(_))) => return,
        (Kind::Address, Tree::Leaf(Value::String(text))) if text.parse::<SocketAddr>().is_ok() => {
            return;
        }
        (Kind::Whole, Tree::Leaf(Value::Number(number)))
            if number.as_u64().is_some_and(|n| n <= u64::from(u32::MAX)) =>
        {
            return;
        }
        (Kind::Signed, Tree::Leaf(Value::Number(number))) if number.is_i64() => return,
        (Kind::Seconds, Tree::Leaf(Value::Number(_)))
        | (Kind::Flag, Tree::Leaf(Value::Bool(_))) => {
            return;
        }
        (Kind::Section(_), _) => "a section of keys",
        (Kind::List(_), _) => "a list of sections",
        (Kind::Subjects, _) => "a list of subjects",
        (Kind::Text, _) => "a text (quote it if it looks like a number)",
        (Kind::Address, _) => "an address such as 127.0.0.1:4222",
        (Kind::Whole, _) => "a whole number from 0 to 4294967295",
        (Kind::Signed, _) => "a whole number",
        (Kind::Flag, _) => "true or false",
        (Kind::Seconds, _) => "a number of seconds",
    };
    problems.push(at.problem(format!("expected {wanted}")));
}

fn check_section(
    entries: &[(String, u64, Tree)],
    keys: &'static [(&'static str, Kind)],
    at: &At,
    problems: &mut Vec<Problem>,
) {
    for (key, line, child) in entries {
        let at = at.key(key, *line);
        match keys.iter().find(|(name, _)| name == key) {
            Some((_, kind)) => check(child, kind, &at, problems),
            None => problems.push(at.problem(unknown(keys))),
        }
    }
}

/// What is said about a key that is none of these.
pub(super) fn unknown(keys: &[(&str, Kind)]) -> String {
    let known: Vec<&str> = keys.iter().map(|(name, _)| *name).collect();
    format!("unknown key; known here: {}", known.join(", "))
}
