//! Reading a configuration: a file, then the environment over it. Every unknown key and
//! bad value of both is reported at once.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;

use super::schema::{At, Kind, TOP, check};
use super::tree::Tree;
use super::{Config, Problem, environment};

/// Why a configuration was refused.
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

/// Reads and checks a YAML file (absent: all defaults) with the variables
/// `NATS_LITE__…` of `environment` (pairs as from `std::env::vars_os`) over it.
///
/// # Errors
/// See [`FileError`]; all problems are reported together.
pub fn load(
    path: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Config, FileError> {
    let read = |path: &Path| {
        std::fs::read_to_string(path).map_err(|source| FileError::Read {
            path: path.into(),
            source,
        })
    };
    let text = path.map(read).transpose()?.unwrap_or_default();
    parse_with(&text, environment)
}

/// Checks YAML text; an empty document means all defaults.
///
/// # Errors
/// See [`FileError`].
pub fn parse(text: &str) -> Result<Config, FileError> {
    parse_with(text, [])
}

fn parse_with(
    text: &str,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Config, FileError> {
    let mut tree = Tree::read(text).map_err(|error| FileError::Syntax(error.to_string()))?;
    let mut problems = Vec::new();
    check(&tree, &Kind::Section(TOP), &At::file(), &mut problems);
    environment::apply(environment, &mut tree, &mut problems);
    if !problems.is_empty() {
        return Err(FileError::Problems(problems));
    }
    let config = match tree.value() {
        Value::Null => Config::default(),
        value => {
            serde_json::from_value(value).map_err(|error| FileError::Syntax(error.to_string()))?
        }
    };
    match config.problems() {
        found if found.is_empty() => Ok(config),
        found => Err(FileError::Problems(found)),
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
    fn a_key_without_a_value_keeps_its_default() {
        let config = parse("listen:\nusers:\nlimits:\n  max_payload:\n").unwrap();
        assert_eq!(config, Config::default());
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
