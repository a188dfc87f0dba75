//! Reading a configuration file: every unknown key and bad value is reported, with its line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;

use super::tree::Tree;
use super::{Config, Problem};

/// Why a configuration file was refused.
#[derive(Debug, Error)]
pub enum FileError {
    /// The file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The text is not YAML.
    #[error("not YAML: {0}")]
    Syntax(String),
    /// Keys or values are wrong.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Problem>),
}

/// Reads and checks a YAML file.
///
/// # Errors
/// See [`FileError`]; all problems are reported together.
pub fn load(path: &Path) -> Result<Config, FileError> {
    let text = std::fs::read_to_string(path).map_err(|source| FileError::Read {
        path: path.into(),
        source,
    })?;
    parse(&text)
}

/// Checks YAML text; an empty document means all defaults.
///
/// # Errors
/// See [`FileError`].
pub fn parse(text: &str) -> Result<Config, FileError> {
    let tree: Tree =
        serde_saphyr::from_str(text).map_err(|error| FileError::Syntax(error.to_string()))?;
    let mut problems = Vec::new();
    check(
        &tree,
        &Kind::Section(TOP),
        &At {
            line: 1,
            path: String::new(),
        },
        &mut problems,
    );
    if !problems.is_empty() {
        return Err(FileError::Problems(problems));
    }
    if matches!(tree, Tree::Leaf(Value::Null)) {
        return Ok(Config::default());
    }
    let config: Config = serde_json::from_value(tree.value())
        .map_err(|error| FileError::Syntax(error.to_string()))?;
    match config.problems() {
        found if found.is_empty() => Ok(config),
        found => Err(FileError::Problems(found)),
    }
}

/// What a key may hold.
enum Kind {
    Text,
    Address,
    Whole,
    Seconds,
    Subjects,
    Section(&'static [(&'static str, Kind)]),
    List(&'static [(&'static str, Kind)]),
}

const TOP: &[(&str, Kind)] = &[
    ("listen", Kind::Address),
    ("http", Kind::Address),
    ("server_name", Kind::Text),
    ("users", Kind::List(USER)),
    ("token", Kind::Text),
    ("limits", Kind::Section(LIMITS)),
    ("ports_file_dir", Kind::Text),
    ("pid_file", Kind::Text),
];

const USER: &[(&str, Kind)] = &[
    ("user", Kind::Text),
    ("password", Kind::Text),
    ("publish", Kind::Subjects),
    ("subscribe", Kind::Subjects),
    ("deny_publish", Kind::Subjects),
    ("deny_subscribe", Kind::Subjects),
];

const LIMITS: &[(&str, Kind)] = &[
    ("max_payload", Kind::Whole),
    ("max_control_line", Kind::Whole),
    ("max_pending", Kind::Whole),
    ("max_connections", Kind::Whole),
    ("max_subscriptions", Kind::Whole),
    ("ping_interval", Kind::Seconds),
    ("max_pings_out", Kind::Whole),
    ("auth_timeout", Kind::Seconds),
    ("write_deadline", Kind::Seconds),
];

/// Where in the file we are.
struct At {
    line: u64,
    path: String,
}

impl At {
    fn key(&self, key: &str, line: u64) -> Self {
        let path = if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        };
        Self { line, path }
    }

    fn item(&self, number: usize) -> Self {
        Self {
            line: self.line,
            path: format!("{}[{number}]", self.path),
        }
    }

    fn problem(&self, message: String) -> Problem {
        let path = if self.path.is_empty() {
            "document".to_owned()
        } else {
            self.path.clone()
        };
        Problem {
            line: Some(self.line),
            path,
            message,
        }
    }
}

fn check(tree: &Tree, kind: &Kind, at: &At, problems: &mut Vec<Problem>) {
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
        (Kind::Seconds, Tree::Leaf(Value::Number(_))) => return,
        (Kind::Section(_), _) => "a section of keys",
        (Kind::List(_), _) => "a list of sections",
        (Kind::Subjects, _) => "a list of subjects",
        (Kind::Text, _) => "a text (quote it if it looks like a number)",
        (Kind::Address, _) => "an address such as 127.0.0.1:4222",
        (Kind::Whole, _) => "a whole number from 0 to 4294967295",
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
            None => {
                let known: Vec<&str> = keys.iter().map(|(name, _)| *name).collect();
                problems.push(at.problem(format!("unknown key; known here: {}", known.join(", "))));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::limits::Limits;

    #[test]
    fn reads_a_complete_file() {
        let text = "listen: 0.0.0.0:4333\nhttp: 127.0.0.1:8222\nusers:\n  - user: dea\n    password: p\n    publish: ['dea.>']\n\
                    limits:\n  max_payload: 2048\n  ping_interval: 0.5\n";
        let config = parse(text).unwrap();
        assert_eq!(config.listen.port(), 4333);
        assert_eq!(
            config.users[0].publish.as_deref(),
            Some(&["dea.>".to_owned()][..])
        );
        assert_eq!(
            config.limits,
            Limits {
                max_payload: 2048,
                ping_interval: 0.5,
                ..Limits::default()
            }
        );
    }

    #[test]
    fn an_empty_file_means_defaults() {
        assert_eq!(parse("").unwrap(), Config::default());
    }

    #[test]
    fn reports_all_unknown_keys_and_bad_values_with_lines() {
        let text = "listen: nowhere\nlimits:\n  max_paylod: 5\n  max_pending: -1\nusers:\n  - user: a\n    pasword: b\n";
        let FileError::Problems(problems) = parse(text).unwrap_err() else {
            panic!("other error")
        };
        let found: Vec<(Option<u64>, &str)> = problems
            .iter()
            .map(|problem| (problem.line, problem.path.as_str()))
            .collect();
        let expected = [
            (Some(1), "listen"),
            (Some(3), "limits.max_paylod"),
            (Some(4), "limits.max_pending"),
            (Some(7), "users[0].pasword"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn says_where_the_yaml_breaks() {
        let error = parse("listen: [\n").unwrap_err();
        assert!(
            matches!(&error, FileError::Syntax(text) if text.contains("line")),
            "{error}"
        );
    }
}
