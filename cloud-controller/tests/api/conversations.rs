//! Conversations of the clients, word by word: `conversations/*.txt`, typed from the reference's lists of calls.
//!
//! A line that begins with a method is a call, with its body behind the address. `FORM` posts a form, as the client `cf` unless
//! the form says who it is; `BITS app` and `BUILDPACK guid file` upload. The indented lines below a call are what the client
//! reads of the answer: the status, then fields by JSON pointer — `= value`, `is kind`, or `-> name` to keep it for later as `$name`.
//! What every answer of its kind must have — JSON, a request id, `Location` when something was made, the envelope of a list —
//! is checked unasked.

use std::collections::BTreeMap;

use crate::support::{Answer, Platform, read, zip_of};
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
    let verb = words.next().unwrap();
    let path = words.next().unwrap();
    let rest = words.next();
    match verb {
        "FORM" => post_form(platform, path, rest.unwrap()).await,
        "BITS" => {
            let zip = zip_of(&[("index.html", "hello", 0o100_644)]);
            platform.upload_bits(path, json!([]), Some(zip)).await
        }
        "BUILDPACK" => upload_buildpack(platform, path, rest.unwrap()).await,
        _ => {
            let method = Method::from_bytes(verb.as_bytes()).unwrap();
            let parsed =
                |text| serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {line}"));
            platform.call(method, path, rest.map(parsed)).await
        }
    }
}

async fn post_form(platform: &Platform, path: &str, form: &str) -> Answer {
    let mut request = platform
        .client
        .post(format!("{}{path}", platform.base))
        .header("accept", "application/json")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.to_owned());
    if !form.contains("client_id=") {
        request = request.header("authorization", "Basic Y2Y6");
    }
    read(request).await
}

async fn upload_buildpack(platform: &Platform, guid: &str, file: &str) -> Answer {
    // Other bits for every name: the same ones again are 204.
    let zip = zip_of(&[("bin/detect", file, 0o100_755)]);
    let part = reqwest::multipart::Part::bytes(zip).file_name(file.to_owned());
    let form = reqwest::multipart::Form::new().part("buildpack", part);
    let address = format!("{}/v2/buildpacks/{guid}/bits", platform.base);
    let token = format!("bearer {}", platform.token);
    let request = platform.client.put(address).header("authorization", token);
    read(request.multipart(form)).await
}

/// What clients of any generation rely on, whatever they asked for.
fn check_kind(said: &str, answer: &Answer) {
    if answer.status.as_u16() == 204 {
        assert!(answer.bytes.is_empty(), "{said}: 204 with a body");
        return;
    }
    let body = answer.json();
    if answer.status.is_client_error() && said.contains(" /v2/") {
        for field in ["/code", "/error_code", "/description"] {
            assert!(body.pointer(field).is_some(), "{said}: no {field}: {body}");
        }
    }
    let made = body.pointer("/metadata/url").and_then(Value::as_str);
    if said.starts_with("POST /v2/")
        && answer.status.as_u16() == 201
        && let Some(url) = made.filter(|url| !url.starts_with("/v2/jobs/"))
    {
        assert_eq!(answer.headers["location"], url, "{said}");
    }
    if said.starts_with("GET /v2/") && body.get("resources").is_some() {
        for (field, kind) in [
            ("/total_results", "number"),
            ("/total_pages", "number"),
            ("/resources", "array"),
        ] {
            assert_eq!(kind_of(body.pointer(field), kind), kind, "{said}: {body}");
        }
        for field in ["/next_url", "/prev_url"] {
            let found = body
                .pointer(field)
                .unwrap_or_else(|| panic!("{said}: no {field}"));
            assert!(
                found.is_null() || found.as_str().unwrap().starts_with("/v2/"),
                "{said}: {found}"
            );
        }
    }
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
        check_kind(said, answer);
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

/// Holds the conversation of that name; read when it is held, so that a changed word costs no build.
async fn hold(name: &str) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conversations");
    let conversation = std::fs::read_to_string(format!("{folder}/{name}.txt")).unwrap();
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
    hold("orgs_and_spaces").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_and_routes() {
    hold("apps_and_routes").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_before_their_start() {
    hold("apps_before_their_start").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_operators_say() {
    hold("operator").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn login() {
    hold("login").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_and_their_roles() {
    hold("users").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quotas() {
    hold("quotas").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_and_domains() {
    hold("routes_and_domains").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn buildpacks_and_groups_of_variables() {
    hold("buildpacks").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services() {
    hold("services").await;
}
