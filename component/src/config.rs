//! Reading a daemon's configuration: compiled defaults, then a YAML file, then
//! environment variables (`DEA__BUS__USER=x` sets `bus.user` of the `dea`).
//! Every problem is reported at once, with key path and line.

mod locate;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::redact::redact;

/// The configuration of a daemon: documented fields, `deny_unknown_fields`,
/// defaults for everything.
pub trait DaemonConfig: Serialize + DeserializeOwned + Default {
    /// Problems between fields that types cannot express, as (key path, message).
    fn validate(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}

/// One problem of a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// `bus.servers[0]`.
    pub key: String,
    /// Line of the file, when the key stands there.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
}

/// Why a configuration cannot be used.
#[derive(Debug)]
pub enum ConfigError {
    /// The file cannot be read.
    Unreadable(PathBuf, std::io::Error),
    /// The file is not YAML, or not a map.
    NotYaml(PathBuf, String),
    /// Everything that is wrong in it.
    Problems(String, Vec<Problem>),
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, e) => {
                write!(f, "{}: cannot read the configuration: {e}", path.display())
            }
            Self::NotYaml(path, e) => write!(f, "{}: not a YAML map: {e}", path.display()),
            Self::Problems(source, problems) => {
                for (n, p) in problems.iter().enumerate() {
                    let line = p.line.map(|l| format!(":{l}")).unwrap_or_default();
                    let end = if n + 1 < problems.len() { "\n" } else { "" };
                    write!(f, "{source}{line}: {}: {}{end}", p.key, p.message)?;
                }
                Ok(())
            }
        }
    }
}

/// Loads the configuration of daemon `name`: `file` when given, overridden by
/// `environment` (pairs as from `std::env::vars`).
pub fn load<C: DaemonConfig>(
    name: &str,
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<C, ConfigError> {
    let text = read(file)?;
    let shown = file.map_or_else(|| "environment".to_owned(), |p| p.display().to_string());
    let defaults = serde_json::to_value(C::default()).expect("defaults serialize");
    let tree = layered(name, file, &text, &defaults, environment)?;
    let (config, mut problems) = parse_all::<C>(tree, &defaults);
    let config = config.inspect(|c| problems.extend(c.validate().into_iter().map(problem)));
    match config {
        Some(config) if problems.is_empty() => Ok(config),
        _ => {
            for p in &mut problems {
                p.line = locate::line_of(&text, &p.key);
            }
            Err(ConfigError::Problems(shown, problems))
        }
    }
}

/// The configuration as YAML-compatible JSON text with secrets replaced.
pub fn redacted<C: Serialize>(config: &C) -> String {
    let mut value = serde_json::to_value(config).unwrap_or(Value::Null);
    redact(&mut value);
    serde_saphyr::to_string(&value).unwrap_or_else(|_| value.to_string())
}

/// YAML 1.2 booleans only: `y`, `no` and `on` are ordinary words here.
fn yaml(text: &str) -> Result<Value, serde_saphyr::Error> {
    serde_saphyr::from_str_with_options(text, serde_saphyr::options! { strict_booleans: true })
}

fn problem((key, message): (String, String)) -> Problem {
    Problem {
        key,
        line: None,
        message,
    }
}

fn read(file: Option<&Path>) -> Result<String, ConfigError> {
    match file {
        None => Ok(String::new()),
        Some(path) => {
            std::fs::read_to_string(path).map_err(|e| ConfigError::Unreadable(path.into(), e))
        }
    }
}

fn layered(
    name: &str,
    file: Option<&Path>,
    text: &str,
    defaults: &Value,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Value, ConfigError> {
    let bad = |e: String| ConfigError::NotYaml(file.unwrap_or(Path::new("")).into(), e);
    let mut tree = defaults.clone();
    if !text.trim().is_empty() {
        let given: Value = yaml(text).map_err(|e| bad(e.to_string()))?;
        match given {
            Value::Object(_) => merge(&mut tree, given),
            Value::Null => {}
            other => return Err(bad(format!("the top level is {other}"))),
        }
    }
    for (path, value) in overrides(name, environment).map_err(|e| bad(e.to_string()))? {
        set(&mut tree, defaults, &path, &value);
    }
    Ok(tree)
}

/// Maps merge key by key; everything else is replaced.
fn merge(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

/// The daemon's environment variables as (path, text), through the config crate's
/// reading of prefixes and separators.
fn overrides(
    name: &str,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Vec<(Vec<String>, String)>, config::ConfigError> {
    let prefix = name.replace('-', "_").to_uppercase();
    let vars = environment.into_iter().collect();
    let source = config::Environment::with_prefix(&prefix)
        .prefix_separator("__")
        .separator("__")
        .source(Some(vars));
    let found = config::Source::collect(&source)?;
    let mut list = Vec::new();
    for (key, value) in found {
        list.push((
            key.split('.').map(str::to_owned).collect(),
            value.into_string()?,
        ));
    }
    list.sort();
    Ok(list)
}

/// Sets one path; text stays text where the default is text, and is read as
/// YAML elsewhere (numbers, booleans, lists).
fn set(tree: &mut Value, defaults: &Value, path: &[String], text: &str) {
    let default = path.iter().try_fold(defaults, |v, key| v.get(key));
    let value = match default {
        Some(Value::String(_)) => Value::String(text.into()),
        _ => yaml(text).unwrap_or_else(|_| Value::String(text.into())),
    };
    let mut node = tree;
    for key in &path[..path.len() - 1] {
        if !node.is_object() {
            *node = Value::Object(Default::default());
        }
        let map = node.as_object_mut().expect("made an object above");
        node = map.entry(key.clone()).or_insert(Value::Null);
    }
    if let (Some(map), Some(last)) = (node.as_object_mut(), path.last()) {
        map.insert(last.clone(), value);
    }
}

/// Deserializes, repairing each problem found (unknown keys are dropped, bad
/// values replaced by their default) so that the next one shows up too.
fn parse_all<C: DaemonConfig>(mut tree: Value, defaults: &Value) -> (Option<C>, Vec<Problem>) {
    const MOST: usize = 50;
    let mut problems = Vec::new();
    while problems.len() < MOST {
        let error = match serde_path_to_error::deserialize::<_, C>(tree.clone()) {
            Ok(config) => return (Some(config), problems),
            Err(error) => error,
        };
        let key = error.path().to_string();
        let message = error.inner().to_string();
        let repaired = match unknown_field(&message) {
            Some(field) => drop_key(&mut tree, &key, field),
            None => restore(&mut tree, defaults, &key),
        };
        let key = unknown_field(&message).map_or(key.clone(), |field| full_key(&key, field));
        problems.push(Problem {
            key,
            line: None,
            message,
        });
        if !repaired {
            break;
        }
    }
    (None, problems)
}

fn unknown_field(message: &str) -> Option<&str> {
    message.strip_prefix("unknown field `")?.split('`').next()
}

fn full_key(path: &str, field: &str) -> String {
    match path {
        "." => field.to_owned(),
        p if p == field || p.ends_with(&format!(".{field}")) => p.to_owned(),
        p => format!("{p}.{field}"),
    }
}

fn drop_key(tree: &mut Value, path: &str, field: &str) -> bool {
    let full = full_key(path, field);
    let mut keys = locate::segments(&full);
    keys.pop();
    let parent = keys.iter().try_fold(tree, |node, key| child(node, key));
    parent
        .and_then(Value::as_object_mut)
        .is_some_and(|map| map.remove(field).is_some())
}

/// Puts the default back; where there is none (inside a list) the key is removed,
/// so that the field's own default applies.
fn restore(tree: &mut Value, defaults: &Value, path: &str) -> bool {
    let keys = locate::segments(path);
    if let Some(default) = keys.iter().try_fold(defaults, |v, key| v.get(key)) {
        let Some(node) = keys.iter().try_fold(tree, |node, key| child(node, key)) else {
            return false;
        };
        let changed = node != default;
        *node = default.clone();
        return changed;
    }
    let Some((last, parents)) = keys.split_last() else {
        return false;
    };
    match parents.iter().try_fold(tree, |node, key| child(node, key)) {
        Some(Value::Object(map)) => map.remove(last).is_some(),
        Some(Value::Array(list)) => last.parse::<usize>().is_ok_and(|n| {
            let inside = n < list.len();
            inside.then(|| list.remove(n));
            inside
        }),
        _ => false,
    }
}

fn child<'a>(node: &'a mut Value, key: &str) -> Option<&'a mut Value> {
    match node {
        Value::Object(map) => map.get_mut(key),
        Value::Array(list) => list.get_mut(key.parse::<usize>().ok()?),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
