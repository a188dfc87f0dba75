//! Reading a configuration: a file, then the environment over it. Every unknown key and
//! bad value of both is reported at once.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;

use super::schema::{At, Kind, TOP, check};
use super::tree::Tree;
use super::{Config, Problem, environment, nats};

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
    /// The text is neither YAML nor in the syntax of `nats-server`.
    #[error("cannot be read: {0}")]
    Syntax(String),
    /// Keys or values are wrong.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Problems(Vec<Problem>),
}

/// Reads and checks a file (absent: all defaults) with the variables
/// `NATS_LITE__…` of `environment` (pairs as from `std::env::vars_os`) over it.
///
/// `.yml`, `.yaml` and `.json` files are our YAML, `.conf` and `.cfg` files have the syntax of
/// `nats-server`. Any other file is the latter when it is no YAML, or names options of
/// `nats-server` and no key of ours.
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
    match path.filter(|path| is_nats_syntax(path, &text)) {
        None => parse_with(&text, environment),
        Some(path) => {
            let dir = path.parent().unwrap_or(Path::new("."));
            original_with(&text, dir, environment)
        }
    }
}

/// Checks text in the syntax of `nats-server`; `dir` is where relative includes are looked for.
///
/// # Errors
/// See [`FileError`].
pub fn parse_original(text: &str, dir: &Path) -> Result<Config, FileError> {
    original_with(text, dir, [])
}

fn original_with(
    text: &str,
    dir: &Path,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Config, FileError> {
    let reading = nats::read(text, dir)?;
    let mut config = finish(reading.tree, reading.problems, environment)?;
    config.warnings = reading.warnings;
    Ok(config)
}

fn is_nats_syntax(path: &Path, text: &str) -> bool {
    match path.extension().and_then(OsStr::to_str) {
        Some("yml" | "yaml" | "json") => false,
        Some("conf" | "cfg") => true,
        _ => {
            let ours: Vec<&str> = TOP.iter().map(|(name, _)| *name).collect();
            let foreign = |key: &&&str| !["listen", "http"].contains(*key);
            let ours: Vec<&str> = ours.iter().filter(foreign).copied().collect();
            nats::looks_like(text, &ours)
        }
    }
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
    let tree = Tree::read(text).map_err(|error| FileError::Syntax(error.to_string()))?;
    finish(tree, Vec::new(), environment)
}

/// Checks a tree in our terms with the environment over it.
fn finish(
    mut tree: Tree,
    mut problems: Vec<Problem>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Config, FileError> {
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

    const NATS: &str = r#"
        # a comment
        port: 4333
        host: 127.0.0.1
        http: 8222   // monitoring
        max_payload: 2kb
        ping_interval: "1m"
        CREW: "s3cret"
        authorization {
            timeout: 3
            default_permissions = { publish: "all.>" }
            users = [
                { user: dea, password: $CREW, permissions: { publish: { allow: ["dea.>"], deny: "dea.x" }, subscribe: "dea.>" } }
                { user: svc, password: p, permissions: { subscribe: "svc q", allow_responses: { max: 5, expires: "1m" } } }
                { user: plain, password: p }
            ]
        }
        logtime: true
    "#;

    fn load_nats(text: &str) -> Result<Config, FileError> {
        let file = tempfile::Builder::new().suffix(".conf").tempfile().unwrap();
        std::fs::write(file.path(), text).unwrap();
        load(Some(file.path()), [])
    }

    #[test]
    fn reads_the_syntax_of_nats_server() {
        let config = load_nats(NATS).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:4333");
        assert_eq!(config.http.unwrap().to_string(), "127.0.0.1:8222");
        assert_eq!(config.limits.max_payload, 2048);
        assert_eq!(
            (config.limits.ping_interval, config.limits.auth_timeout),
            (60.0, 3.0)
        );
        let [dea, svc, plain] = &config.users[..] else {
            panic!("{:?}", config.users)
        };
        assert_eq!(
            (dea.password.as_str(), &dea.deny_publish[..]),
            ("s3cret", &["dea.x".to_owned()][..])
        );
        assert_eq!(dea.subscribe.as_deref(), Some(&["dea.>".to_owned()][..]));
        assert_eq!(
            svc.responses.as_ref().map(|rule| (rule.max, rule.expires)),
            Some((5, 60.0))
        );
        assert_eq!(plain.publish.as_deref(), Some(&["all.>".to_owned()][..]));
        assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    }

    #[test]
    fn options_we_lack_are_refused_with_their_place_and_a_way_out() {
        let said = load_nats("port: 1\njetstream { store_dir: x }\nfoo: 1\n cluster {}\n")
            .unwrap_err()
            .to_string();
        assert!(
            said.contains("line 2, column 1: jetstream: nats-lite does not have this"),
            "{said}"
        );
        assert!(
            said.contains("run nats-server")
                && said.contains("line 3, column 1: foo: unknown field"),
            "{said}"
        );
        assert!(!said.contains("cluster"), "an empty block is off: {said}");
    }

    #[test]
    fn a_file_without_extension_is_what_it_looks_like() {
        for (text, expected) in [
            ("port: 1\n", true),
            ("authorization {\n user: a\n}\n", true),
            ("listen: 127.0.0.1:1\nlimits: {}\n", false),
            ("listn: 127.0.0.1:1\n", false),
            ("", false),
        ] {
            assert_eq!(is_nats_syntax(Path::new("x"), text), expected, "{text:?}");
        }
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
