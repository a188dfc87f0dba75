//! What the original takes, ours takes too: secrets, options, flags, log lines. The original is the judge.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

fn ours() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_nats-lite"))
}

/// The original, if this machine has one; CI has.
fn original() -> Option<PathBuf> {
    let found = common::find_program("nats-server");
    assert!(
        found.is_some() || std::env::var("CI").as_deref() != Ok("true"),
        "CI needs nats-server"
    );
    if found.is_none() {
        eprintln!("SKIPPED: no nats-server here");
    }
    found
}

/// What a server says of a configuration file.
fn verdict(program: &Path, config: &str) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("x.conf");
    std::fs::write(&file, config).unwrap();
    let done = Command::new(program)
        .arg("-t")
        .arg("-c")
        .arg(&file)
        .output()
        .unwrap();
    let said = [done.stdout, done.stderr].concat();
    (
        done.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

struct Program {
    child: Child,
    addr: SocketAddr,
    dir: tempfile::TempDir,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    fn start(program: &Path, files: &[(&str, String)], environment: &[(String, String)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        let child = Command::new(program)
            .args(["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir"])
            .arg(dir.path())
            .arg("-c")
            .arg(dir.path().join(files[0].0))
            .arg("-l")
            .arg(dir.path().join("log"))
            .envs(environment.iter().cloned())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let name = program.file_name().unwrap().to_str().unwrap();
        let ports = dir.path().join(format!("{name}_{}.ports", child.id()));
        let mut started = Self {
            child,
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            dir,
        };
        started.addr = common::wait_for("the server to say its port", || {
            let ended = started.child.try_wait().unwrap();
            assert!(ended.is_none(), "{name} refused it: {}", started.log());
            common::read_port(&ports)
        });
        started
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// What the server answers to a login and what follows it.
    fn talk(&self, hello: &serde_json::Value, then: &str) -> String {
        let mut stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(common::PATIENCE)).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let _ = stream.write_all(format!("CONNECT {hello}\r\n{then}PING\r\n").as_bytes());
        let mut answers = String::new();
        while reader.read_line(&mut answers).unwrap_or(0) > 0 && !answers.ends_with("PONG\r\n") {}
        answers
    }

    fn lets_in(&self, user: &str, password: &str) -> bool {
        let hello = serde_json::json!({"verbose": false, "user": user, "pass": password});
        self.talk(&hello, "") == "PONG\r\n"
    }
}

/// Digits, units, signs, quotes and what else means something to a reader of configurations.
fn secret() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9]{1,25}",
        "[+-]?[0-9]{1,6}(\\.[0-9]{1,4})?",
        "0[0-9]{1,8}",
        "[0-9]{1,5}(k|kb|ki|kib|m|mb|mib|g|gb|K|MB|GiB|e|x|s|ms|h)",
        "[0-9]{1,4}e[0-9]{1,3}",
        "(true|false|yes|no|on|off|True|YES|On|null|include|[A-Za-z]{1,8})[0-9]{0,3}",
        "[a-zA-Z0-9+/=_.!%&*@^~?<>|-]{1,24}",
        "[ -~]{1,24}",
        "[a-z\"'\\\\$#{}\\[\\](),;:= /é-]{1,12}",
    ]
}

/// A word that stands without quotes: the original takes it as it is, unless it is a number or a switch.
fn bare(secret: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "+_.!%&*@^~?<>|-".contains(c);
    let first = secret.chars().next().unwrap_or(' ');
    secret.chars().all(plain) && (first.is_ascii_alphanumeric() || "_+".contains(first))
}

/// A number or a switch, or what begins like one: the original refuses it where it wants a text.
fn is_not_text(secret: &str) -> bool {
    let lower = secret.to_ascii_lowercase();
    let number = secret.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    number || ["true", "false", "yes", "no", "on", "off"].contains(&&*lower)
}

fn quoted(secret: &str) -> String {
    format!("\"{}\"", secret.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Where a secret of a user stands.
fn written(number: usize, secret: &str) -> (String, Option<String>) {
    let user = |value: String| format!("  {{ user: u{number}, password: {value} }}\n");
    let name = format!("SECRET_{number}");
    match number % 4 {
        0 if bare(secret) => (user(secret.to_owned()), None),
        1 if !secret.contains('\'') => (user(format!("'{secret}'")), None),
        2 => (user(format!("${name}")), Some(quoted(secret))),
        _ => (user(quoted(secret)), None),
    }
}

fn secrets(count: usize) -> Vec<String> {
    let (strategy, mut runner) = (secret(), TestRunner::default());
    let one = |_| strategy.new_tree(&mut runner).unwrap().current();
    (0..count).map(one).collect()
}

/// Every user gets in with the secret as it was written, and with nothing else, on both servers.
#[test]
fn secrets_are_in_force_as_they_are_written() {
    let secrets = secrets(2_500);
    let only_ours = |number: usize, secret: &str| {
        number.is_multiple_of(4) && bare(secret) && is_not_text(secret)
    };
    for program in std::iter::once(ours()).chain(original()) {
        let is_ours = program == ours();
        let (mut users, mut environment) = (String::new(), Vec::new());
        let mut tested = Vec::new();
        for (number, secret) in secrets.iter().enumerate() {
            if only_ours(number, secret) && !is_ours {
                continue;
            }
            let (line, variable) = written(number, secret);
            users.push_str(&line);
            environment.extend(variable.map(|v| (format!("SECRET_{number}"), v)));
            tested.push((number, secret));
        }
        let files = [
            (
                "main.conf",
                "authorization { include users.conf }\n".to_owned(),
            ),
            ("users.conf", format!("users = [\n{users}]\n")),
        ];
        let server = Program::start(&program, &files, &environment);
        for (number, secret) in tested {
            let user = format!("u{number}");
            assert!(
                server.lets_in(&user, secret),
                "{program:?} does not take {secret:?} as written in {:?}",
                written(number, secret)
            );
            if number.is_multiple_of(50) {
                assert!(!server.lets_in(&user, &format!("{secret}x")));
            }
        }
    }
}

/// The rest of the ten thousand, in blocks of one file each: what ours takes alone and what both take, as above.
#[test]
fn unquoted_variables_of_the_environment_are_texts_as_written() {
    let environment: Vec<(String, String)> = [
        "012345",
        "10mb",
        "1.50",
        "yes",
        "1e5",
        "007",
        "a b#c",
        "p$x",
        // nats-io/k8s#1139, nats-server#716, #147, #885, #6891.
        "33feda22ea",
        "2Tybceg8yj",
        "1!2go",
        "3x",
        "4e2abc",
    ]
    .iter()
    .enumerate()
    .map(|(n, value)| (format!("SECRET_{n}"), (*value).to_owned()))
    .collect();
    let users: String = (0..environment.len())
        .map(|n| format!("{{ user: u{n}, password: $SECRET_{n} }}\n"))
        .collect();
    let config = format!("authorization {{ users = [\n{users}] }}\n");
    let server = Program::start(&ours(), &[("main.conf", config)], &environment);
    for (n, (_, value)) in environment.iter().enumerate() {
        assert!(server.lets_in(&format!("u{n}"), value), "{value}");
    }
}

#[test]
fn a_user_may_be_a_number_and_a_token_too() {
    let config = "authorization { user: 007, password: 012 }\n".to_owned();
    let server = Program::start(&ours(), &[("main.conf", config)], &[]);
    assert!(server.lets_in("007", "012") && !server.lets_in("7", "12"));
    let config = "authorization { token: 0123 }\n".to_owned();
    let server = Program::start(&ours(), &[("main.conf", config)], &[]);
    let with = |token: &str| {
        server.talk(
            &serde_json::json!({"verbose": false, "auth_token": token}),
            "",
        )
    };
    assert_eq!(with("0123"), "PONG\r\n");
    assert!(with("123").starts_with("-ERR 'Authorization Violation'"));
}

/// (accepted by the original, configuration)
const FORMS: &[(bool, &str)] = &[
    (
        true,
        "authorization {\n ADMIN = { publish = \"a\", subscribe = \"b\" }\n users = [ {user: x, password: y, permissions: $ADMIN} ]\n}",
    ),
    (true, "authorization\n{ user: a, password: b }"),
    (true, "AUTHORIZATION { USER: a, Password: b }"),
    (
        true,
        "authorization { USERS = [ {User: a, PassWord: b, Permissions: { Publish: { Allow: [\"x\"] } } } ] }",
    ),
    (
        true,
        "subjects = [ \"a\", \"b\" ]\nauthorization { users = [ {user: a, password: b, permissions: { publish: $subjects } } ] }",
    ),
    (true, "listen: \"localhost:4333\""),
    (true, "host: localhost"),
    (false, "authorization { token: x, user: a, password: b }"),
    (
        false,
        "authorization { token: x, users = [ {user: a, password: b} ] }",
    ),
    (
        false,
        "authorization { user: a, password: b, users = [ {user: c, password: d} ] }",
    ),
    (false, "authorization { usrs = [] }"),
    (false, "authorization { unused = { a: b } }"),
];

#[test]
fn forms_that_the_original_takes_are_taken_and_others_are_not() {
    for program in std::iter::once(ours()).chain(original()) {
        for (accepted, config) in FORMS {
            let (taken, said) = verdict(&program, config);
            assert_eq!(taken, *accepted, "{program:?} on {config:?} said {said}");
        }
    }
}

/// Names of options, a fact about the original; the newest ones are unknown to older servers.
const OPTIONS: &[&str] = &[
    "listen",
    "client_advertise",
    "port",
    "server_name",
    "host",
    "net",
    "debug",
    "trace",
    "trace_verbose",
    "trace_headers",
    "logtime",
    "logtime_utc",
    "mappings",
    "maps",
    "disable_sublist_cache",
    "no_sublist_cache",
    "accounts",
    "default_sentinel",
    "authorization",
    "http",
    "https",
    "http_port",
    "monitor_port",
    "https_port",
    "http_base_path",
    "cluster",
    "gateway",
    "leaf",
    "leafnodes",
    "store_dir",
    "storedir",
    "jetstream",
    "logfile",
    "log_file",
    "logfile_size_limit",
    "log_size_limit",
    "logfile_max_num",
    "log_max_num",
    "syslog",
    "remote_syslog",
    "pidfile",
    "pid_file",
    "ports_file_dir",
    "prof_port",
    "prof_block_rate",
    "max_control_line",
    "max_payload",
    "max_pending",
    "proxy_protocol",
    "max_connections",
    "max_conn",
    "max_traced_msg_len",
    "max_subscriptions",
    "max_subs",
    "max_sub_tokens",
    "max_subscription_tokens",
    "ping_interval",
    "ping_max",
    "tls",
    "ocsp",
    "allow_non_tls",
    "write_deadline",
    "write_timeout",
    "lame_duck_duration",
    "lame_duck_grace_period",
    "operator",
    "operators",
    "roots",
    "root",
    "root_operators",
    "root_operator",
    "resolver",
    "account_resolver",
    "accounts_resolver",
    "resolver_tls",
    "resolver_preload",
    "resolver_pinned_accounts",
    "no_auth_user",
    "system_account",
    "system",
    "no_system_account",
    "no_system",
    "no_sys_acc",
    "no_header_support",
    "trusted",
    "trusted_keys",
    "connect_error_reports",
    "reconnect_error_reports",
    "websocket",
    "ws",
    "mqtt",
    "server_tags",
    "server_metadata",
    "feature_flags",
    "default_js_domain",
    "ocsp_cache",
    "no_fast_producer_stall",
    "max_closed_clients",
    "proxies",
];

/// Each is used, refused with a pointer, or accepted with a warning; none is "unknown" that the original knows.
#[test]
fn options_of_the_original_are_known() {
    let unknown = |program: &Path, name: &str| {
        verdict(program, &format!("{name}: 1"))
            .1
            .contains("unknown field")
    };
    for name in OPTIONS {
        assert!(!unknown(&ours(), name), "{name}");
    }
    assert!(unknown(&ours(), "no_such_option"));
    let Some(original) = original() else { return };
    assert!(unknown(&original, "no_such_option"));
    let known = OPTIONS.iter().filter(|name| !unknown(&original, name));
    assert!(
        known.count() > OPTIONS.len() / 2,
        "the list is not the original's"
    );
}

/// The original's own help is the list of its flags.
#[test]
fn flags_of_the_original_are_known() {
    let Some(original) = original() else { return };
    let help = Command::new(original).arg("--help").output().unwrap();
    let help = String::from_utf8_lossy(&[help.stdout, help.stderr].concat()).into_owned();
    let mut flags: Vec<&str> = help
        .lines()
        .filter(|line| line.trim_start().starts_with('-'))
        .flat_map(|line| {
            line.split([' ', ',']).take_while(|word| {
                word.is_empty() || word.starts_with('-') || !word.contains(char::is_alphabetic)
            })
        })
        .filter(|word| word.trim_start_matches('-').len() > 1)
        .collect();
    flags.sort_unstable();
    flags.dedup();
    assert!(flags.len() > 30, "{flags:?}");
    for flag in flags {
        let done = Command::new(ours())
            .args([flag, "x", "-t"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(
            !said.contains("unexpected argument") || said.contains("\"x\"") || said.contains("'x'"),
            "{flag}: {said}"
        );
    }
}

#[test]
fn refusals_are_logged_in_the_words_of_the_original() {
    let config = "authorization { users = [ {user: a, password: b, permissions: { publish: [\"ok\"], subscribe: [\"ok\"] } } ] }\n";
    let programs: Vec<PathBuf> = std::iter::once(ours()).chain(original()).collect();
    for program in programs {
        let server = Program::start(&program, &[("main.conf", config.to_owned())], &[]);
        server.talk(&serde_json::json!({"user": "a", "pass": "wrong"}), "");
        server.talk(&serde_json::json!({"user": "no\nbody", "pass": "x"}), "");
        server.talk(
            &serde_json::json!({"verbose": false, "user": "a", "pass": "b", "name": "me", "lang": "go", "version": "1"}),
            "PUB no 1\r\nx\r\nSUB no 7\r\nSUB no q 8\r\n",
        );
        for expected in [
            " - authentication error - User \"a\"",
            " - authentication error - User \"no\\nbody\"",
            " - \"v1:go:me\" - Publish Violation - User \"a\", Subject \"no\"",
            " - \"v1:go:me\" - Subscription Violation - User \"a\", Subject \"no\", SID 7",
            " - \"v1:go:me\" - Subscription Violation - User \"a\", Subject \"no\", Queue: \"q\", SID 8",
        ] {
            common::wait_for(expected, || server.log().contains(expected).then_some(()));
        }
        assert!(server.log().contains("[ERR] 127.0.0.1:"));
        assert!(!server.log().contains("wrong"));
    }
}
