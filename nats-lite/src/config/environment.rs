//! Overrides from the environment: `NATS_LITE__LIMITS__MAX_PAYLOAD=2048` sets `limits.max_payload`.
//!
//! Two underscores part the keys, because one stands inside of them. Values never appear in a
//! message: most of those that people set here are secrets.

use std::ffi::OsString;

use serde_json::Value;

use super::Problem;
use super::schema::{At, Kind, TOP, check, unknown};
use super::tree::Tree;

const PREFIX: &str = "NATS_LITE__";

/// Sets in `tree` what our variables say, the outermost keys first, and reports those that are wrong.
pub(super) fn apply(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    tree: &mut Tree,
    problems: &mut Vec<Problem>,
) {
    let ours = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value));
    let mut variables: Vec<(String, OsString)> = environment
        .into_iter()
        .filter_map(ours)
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect();
    variables.sort();
    for (name, value) in variables {
        let keys: Vec<String> = name[PREFIX.len()..]
            .split("__")
            .map(str::to_lowercase)
            .collect();
        match read(&keys, value) {
            Ok(value) => tree.set(&keys, value),
            Err(found) => problems.extend(found.into_iter().map(|found| blaming(&name, found))),
        }
    }
}

/// The value of the variable for `keys`, checked.
fn read(keys: &[String], value: OsString) -> Result<Tree, Vec<Problem>> {
    let at = At::variable(keys.join("."));
    let one = |message: &str| vec![at.problem(message.into())];
    let kind = kind_of(keys).map_err(|message| one(&message))?;
    let text = value.into_string().map_err(|_| one("is not UTF-8"))?;
    if text.is_empty() {
        // An unset variable of a script must not open the server by emptying `token` or `users`.
        return Err(one("is empty; unset the variable to leave the key alone"));
    }
    let tree = match kind {
        // A password of digits is a text all the same.
        Kind::Text | Kind::Address => Tree::Leaf(Value::String(text)),
        _ => Tree::read(&text).map_err(|_| one("is not YAML"))?,
    };
    let mut problems = Vec::new();
    check(&tree, kind, &at, &mut problems);
    if problems.is_empty() {
        Ok(tree)
    } else {
        Err(problems)
    }
}

/// What the key at the end of a path may hold, or why there is no such key.
fn kind_of(keys: &[String]) -> Result<&'static Kind, String> {
    let mut kind = &Kind::Section(TOP);
    for key in keys {
        kind = match kind {
            Kind::Section(known) => known
                .iter()
                .find_map(|(name, kind)| (name == key).then_some(kind))
                .ok_or_else(|| unknown(known))?,
            Kind::List(_) => return Err("unknown key; give the whole list as YAML".into()),
            _ => return Err("unknown key; the one before it holds a single value".into()),
        };
    }
    Ok(kind)
}

fn blaming(variable: &str, problem: Problem) -> Problem {
    Problem {
        message: format!("{} (from {variable})", problem.message),
        ..problem
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::ffi::OsStringExt;

    use super::*;
    use crate::config::{Config, FileError, User, load};

    fn load_text(text: &str, variables: &[(&str, &str)]) -> Result<Config, FileError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        load(Some(file.path()), pairs(variables))
    }

    fn pairs(variables: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        let pair = |(name, value): &(&str, &str)| (name.into(), value.into());
        variables.iter().map(pair).collect()
    }

    fn problems(result: Result<Config, FileError>) -> Vec<Problem> {
        match result {
            Err(FileError::Problems(problems)) => problems,
            other => panic!("expected problems, got {other:?}"),
        }
    }

    #[test]
    fn the_environment_wins_over_the_file_key_by_key() {
        let file = "listen: 127.0.0.1:4333\ntoken: a\nlimits:\n  max_payload: 1\n  max_control_line: 77\nusers:\n- {user: x, password: y}\n";
        let variables = [
            ("NATS_LITE__LISTEN", "127.0.0.1:0"),
            ("NATS_LITE__LIMITS__MAX_PAYLOAD", "2048"),
            ("NATS_LITE__TOKEN", "0123"),
            (
                "NATS_LITE__USERS",
                "[{user: a, password: b, publish: ['x.>']}]",
            ),
            ("NATS_LITE_CONFIG", "another thing"),
            ("DEA__LISTEN", "another thing"),
        ];
        let config = load_text(file, &variables).unwrap();
        assert_eq!(config.listen.port(), 0);
        assert_eq!(config.limits.max_payload, 2048);
        assert_eq!(config.limits.max_control_line, 77, "the file's");
        assert_eq!(config.token.as_deref(), Some("0123"), "digits stay a text");
        let user = User {
            user: "a".into(),
            password: "b".into(),
            publish: Some(vec!["x.>".into()]),
            ..User::default()
        };
        assert_eq!(config.users, [user]);
    }

    #[test]
    fn no_file_is_needed() {
        let config = load(None, pairs(&[("NATS_LITE__LIMITS__PING_INTERVAL", "0.5")])).unwrap();
        assert_eq!(config.limits.ping_interval, 0.5);
        assert_eq!(load(None, []).unwrap(), Config::default());
    }

    #[test]
    fn a_section_given_whole_is_refined_by_its_keys() {
        let variables = [
            ("NATS_LITE__LIMITS__MAX_PENDING", "3000"),
            (
                "NATS_LITE__LIMITS",
                "{max_payload: 2000, max_pending: 2500}",
            ),
        ];
        let limits = load(None, pairs(&variables)).unwrap().limits;
        assert_eq!((limits.max_payload, limits.max_pending), (2000, 3000));
    }

    #[test]
    fn problems_of_file_and_environment_are_reported_together() {
        let variables = [
            ("NATS_LITE__LIMITS__MAX_PAYLOAD", "many"),
            ("NATS_LITE__LISTN", "127.0.0.1:0"),
            ("NATS_LITE__TOKEN", ""),
            ("NATS_LITE__USERS", "[{user: a, pasword: hunter2}]"),
            ("NATS_LITE__USERS__0__PASSWORD", "hunter3"),
            ("NATS_LITE__HTTP__PORT", "1"),
        ];
        let found = problems(load_text("limits:\n  max_pendin: 4\n", &variables));
        let places: Vec<(Option<u64>, &str)> = found
            .iter()
            .map(|problem| (problem.line, problem.path.as_str()))
            .collect();
        let expected = [
            (Some(2), "limits.max_pendin"),
            (None, "http.port"),
            (None, "limits.max_payload"),
            (None, "listn"),
            (None, "token"),
            (None, "users[0].pasword"),
            (None, "users.0.password"),
        ];
        assert_eq!(places, expected);
        assert!(found[3].message.ends_with("(from NATS_LITE__LISTN)"));
    }

    #[test]
    fn a_value_is_never_repeated_in_a_message() {
        let users = [("NATS_LITE__USERS", "[{user: a, password: 'hunter2]")];
        let said = load(None, pairs(&users)).unwrap_err().to_string();
        assert!(
            said.starts_with("users: is not YAML") && !said.contains("hunter2"),
            "{said}"
        );
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_here_and_ignored_in_foreign_variables() {
        let broken = || OsString::from_vec(vec![0xff]);
        assert!(load(None, [("LANG".into(), broken()), (broken(), broken())]).is_ok());
        let found = problems(load(None, [("NATS_LITE__TOKEN".into(), broken())]));
        assert_eq!(found[0].path, "token");
    }
}
