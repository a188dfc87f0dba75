use serde::Deserialize;

use super::*;

#[derive(Debug, Default, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct Sample {
    port: u16,
    bus: Bus,
    stacks: Vec<Stack>,
    hint: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct Bus {
    servers: Vec<String>,
    password: String,
}

impl Default for Bus {
    fn default() -> Self {
        Self {
            servers: vec!["a".into()],
            password: String::new(),
        }
    }
}

#[derive(Debug, Default, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, default)]
struct Stack {
    name: String,
    mb: u64,
}

impl DaemonConfig for Sample {
    fn validate(&self) -> Vec<(String, String)> {
        match self.bus.servers.is_empty() {
            true => vec![("bus.servers".into(), "needs at least one server".into())],
            false => vec![],
        }
    }
}

fn load_text(text: &str, env: &[(&str, &str)]) -> Result<Sample, ConfigError> {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("c.yml");
    std::fs::write(&path, text).expect("write");
    load(
        "my-daemon",
        Some(&path),
        env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())),
    )
}

fn problems(text: &str) -> Vec<(String, Option<usize>)> {
    match load_text(text, &[]) {
        Err(ConfigError::Problems(_, list)) => list.into_iter().map(|p| (p.key, p.line)).collect(),
        other => panic!("expected problems, got {other:?}"),
    }
}

#[test]
fn an_empty_file_gives_the_defaults() {
    assert_eq!(load_text("", &[]).expect("loads"), Sample::default());
}

#[test]
fn the_file_overrides_defaults_and_the_environment_overrides_the_file() {
    let config = load_text(
        "port: 1\nbus:\n  password: fromfile\n",
        &[
            ("MY_DAEMON__PORT", "7"),
            ("MY_DAEMON__BUS__PASSWORD", "0123"),
            ("MY_DAEMON__BUS__SERVERS", "[x, y]"),
        ],
    )
    .expect("loads");
    assert_eq!(config.port, 7);
    assert_eq!(
        config.bus.password, "0123",
        "a password of digits stays text"
    );
    assert_eq!(config.bus.servers, ["x", "y"]);
}

#[test]
fn every_problem_is_reported_at_once_with_key_and_line() {
    let text = "port: no\nbus:\n  servers: []\n  colour: red\nstacks:\n- name: a\n  mb: -3\n- name: b\n  size: 1\nextra: 1\n";
    let found = problems(text);
    for expected in [
        ("port".to_owned(), Some(1)),
        ("bus.servers".to_owned(), Some(3)),
        ("bus.colour".to_owned(), Some(4)),
        ("stacks[1].size".to_owned(), Some(9)),
        ("extra".to_owned(), Some(10)),
    ] {
        assert!(
            found.contains(&expected),
            "{expected:?} missing in {found:?}"
        );
    }
    assert!(
        found
            .iter()
            .any(|(key, line)| key == "stacks[0].mb" && *line == Some(7)),
        "{found:?}"
    );
}

#[test]
fn a_file_that_is_no_map_is_refused() {
    assert!(matches!(
        load_text("- 1\n- 2\n", &[]),
        Err(ConfigError::NotYaml(..))
    ));
    assert!(matches!(
        load_text("a: [1\n", &[]),
        Err(ConfigError::NotYaml(..))
    ));
}

#[test]
fn printing_hides_secrets() {
    let mut config = Sample::default();
    config.bus.password = "hunter2".into();
    let shown = redacted(&config);
    assert!(
        !shown.contains("hunter2") && shown.contains("[redacted]"),
        "{shown}"
    );
}
