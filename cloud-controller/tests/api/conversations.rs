//! Conversations of the clients, word by word: `conversations/*.txt`, typed from the reference's lists of calls.
//!
//! A line that begins with a method is a call, with its body behind the address. The indented lines below it are what the client
//! reads of the answer: the status, then fields by JSON pointer — `= value`, `is kind`, or `-> name` to keep it for later as `$name`.

use std::collections::BTreeMap;

use crate::support::{Answer, Platform};
use reqwest::Method;
use serde_json::{Value, json};

type Names = BTreeMap<String, String>;

/// A text with `$name` replaced, longer names first.
fn fill(text: &str, names: &Names) -> String {
    let mut sorted: Vec<_> = names.iter().collect();
    sorted.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    let replace =
        |text: String, (name, value): (&String, &String)| text.replace(&format!("${name}"), value);
    sorted.into_iter().fold(text.to_owned(), replace)
}

async fn call(platform: &Platform, line: &str) -> Answer {
    let mut words = line.splitn(3, ' ');
    let method = Method::from_bytes(words.next().unwrap().as_bytes()).unwrap();
    let path = words.next().unwrap();
    let body = words
        .next()
        .map(|text| serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {line}")));
    platform.call(method, path, body).await
}

/// What the client reads; `said` is the call it belongs to.
fn check(said: &str, answer: &Answer, line: &str, names: &mut Names) {
    let text = String::from_utf8_lossy(&answer.bytes).into_owned();
    if let Ok(status) = line.parse::<u16>() {
        assert_eq!(answer.status.as_u16(), status, "{said}: {text}");
        assert!(
            status == 204 || answer.headers["content-type"] == "application/json;charset=utf-8",
            "{said}"
        );
        assert!(answer.headers.contains_key("x-vcap-request-id"), "{said}");
        return;
    }
    let body = answer.json();
    let (pointer, rest) = line.split_once(' ').unwrap_or(("", line));
    let (pointer, rest) = if line.starts_with("= ") {
        ("", line)
    } else {
        (pointer, rest)
    };
    let found = body.pointer(pointer);
    let told = || format!("{said}\n{line}\n{text}");
    if let Some(name) = rest.strip_prefix("-> ") {
        let value = found
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("{}", told()));
        names.insert(name.to_owned(), value.to_owned());
    } else if let Some(kind) = rest.strip_prefix("is ") {
        assert_eq!(kind_of(found, kind), kind, "{}", told());
    } else {
        let expected = rest
            .strip_prefix("= ")
            .unwrap_or_else(|| panic!("{}", told()));
        let expected = match expected.strip_prefix('$') {
            Some(name) => json!(names[name]),
            None => serde_json::from_str(&fill(expected, names)).unwrap(),
        };
        assert_eq!(found, Some(&expected), "{}", told());
    }
}

/// The kind of a value; a text that is a time is one only where a time is expected.
fn kind_of(value: Option<&Value>, expected: &str) -> &'static str {
    match value {
        None => "absent",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "bool",
        Some(Value::Number(_)) => "number",
        Some(Value::Array(_)) => "array",
        Some(Value::Object(_)) => "object",
        Some(Value::String(text)) => {
            let is_time = text.len() == 20 && text.ends_with('Z') && text.as_bytes()[10] == b'T';
            if expected == "time" && is_time {
                "time"
            } else {
                "string"
            }
        }
    }
}

async fn hold(conversation: &str) {
    let platform = Platform::start().await;
    let (org, space) = platform.target().await;
    let mut names = Names::from([("acme".to_owned(), org), ("dev".to_owned(), space)]);
    let mut last: Option<(String, Answer)> = None;
    for line in conversation
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
    {
        if line.starts_with(' ') {
            let (said, answer) = last.as_ref().unwrap();
            check(said, answer, line.trim(), &mut names);
        } else {
            let line = fill(line, &names);
            let answer = call(&platform, &line).await;
            last = Some((line, answer));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn organizations_and_spaces() {
    hold(include_str!("../conversations/orgs_and_spaces.txt")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_and_routes() {
    hold(include_str!("../conversations/apps_and_routes.txt")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_operators_say() {
    hold(include_str!("../conversations/operator.txt")).await;
}
