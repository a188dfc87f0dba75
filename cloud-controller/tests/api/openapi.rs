//! `/openapi.json` says what the code does, and `/docs` shows it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::world::World;
use crate::support::{Platform, python, read};

/// Every operation: method, path, what the document says.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut all = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            all.push((method.to_uppercase(), path.clone(), operation.clone()));
        }
    }
    all
}

async fn document(platform: &Platform) -> Value {
    let url = format!("{}/openapi.json", platform.base);
    read(platform.client.get(url)).await.expect(200)
}

/// The path with something in place of its parameters.
fn address(path: &str) -> String {
    let mut parts = path.split(['{', '}']);
    let mut address = parts.next().unwrap().to_owned();
    while let (Some(_), rest) = (parts.next(), parts.next()) {
        address.push('0');
        address.push_str(rest.unwrap_or_default());
    }
    address
}

/// Something of another type than this one; none when everything is welcome.
fn unfit(schema: &Value) -> Option<Value> {
    match schema["type"].as_str()? {
        "string" => Some(json!(7)),
        "array" | "object" | "boolean" => Some(json!("text")),
        _ => Some(json!("a lot")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_description_names_the_endpoints_of_the_code_and_no_others() {
    let platform = Platform::start().await;
    let document = document(&platform).await;
    let described: BTreeSet<(String, String)> = operations(&document)
        .into_iter()
        .map(|(method, path, _)| (method, path))
        .collect();
    let own = cloud_controller::endpoints().into_iter();
    let own = own.map(|endpoint| (endpoint.method.to_owned(), endpoint.path.replace("{*", "{")));
    let tokens = uaa::ENDPOINTS.iter();
    let tokens = tokens.map(|(method, path)| ((*method).to_owned(), (*path).to_owned()));
    let code: BTreeSet<(String, String)> = own.chain(tokens).collect();
    assert_eq!(described, code);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_asks_for_a_token_is_described_so() {
    let platform = Platform::start().await;
    let document = document(&platform).await;
    let mut secured = 0;
    for (method, path, operation) in operations(&document) {
        if operation.get("security").is_none() {
            continue;
        }
        secured += 1;
        let url = format!("{}{}", platform.base, address(&path));
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = read(platform.client.request(method.clone(), url)).await;
        assert_eq!(answer.status, 401, "{method} {path}");
    }
    assert!(secured > 100, "{secured}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_bodies_are_those_the_code_reads() {
    let platform = Platform::start().await;
    let document = document(&platform).await;
    let mut fields = 0;
    for (method, path, operation) in operations(&document) {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let Some(properties) = schema["properties"].as_object() else {
            continue;
        };
        for (name, property) in properties {
            let Some(unfit) = unfit(property) else {
                continue;
            };
            fields += 1;
            let url = format!("{}{}", platform.base, address(&path));
            let verb = Method::from_bytes(method.as_bytes()).unwrap();
            let request = platform
                .client
                .request(verb, url)
                .json(&json!({name: unfit}));
            let request = if operation.get("security").is_some() {
                request.bearer_auth(&platform.token)
            } else {
                request.basic_auth("bulk_api", Some("bulk_api-secret"))
            };
            let answer = read(request).await;
            let said = String::from_utf8_lossy(&answer.bytes);
            assert!(
                answer.status == 400 && said.contains(name.as_str()),
                "{method} {path} with {name} of another type: {} {said}",
                answer.status
            );
        }
    }
    assert!(fields > 50, "{fields}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_asks_no_other_server_for_anything() {
    let platform = Platform::start().await;
    let answer = read(platform.client.get(format!("{}/docs", platform.base))).await;
    assert_eq!(answer.status, 200);
    let rules = answer.headers["content-security-policy"].to_str().unwrap();
    assert!(rules.starts_with("default-src 'none'") && rules.contains("connect-src 'self'"));
    let page = String::from_utf8(answer.bytes).unwrap();
    for foreign in [
        "http://", "https://", "\"//", "'//", "src=", "@import", "url(",
    ] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    assert!(page.contains("fetch('openapi.json')"));
    assert!(!page.contains("innerHTML"), "answers never become markup");
}

/// Of PyPI's `schemathesis`.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// In full runs: requests made from the description, 20 for each operation, most of them about things that are there.
#[tokio::test(flavor = "multi_thread")]
async fn no_request_made_from_the_description_is_answered_with_a_500() {
    let given = std::env::var_os("BLOOMERY_SCHEMATHESIS").map(PathBuf::from);
    if given.is_none() && std::env::var("BLOOMERY_FULL").as_deref() != Ok("1") {
        eprintln!("skipped: schemathesis takes part in full runs only (BLOOMERY_FULL=1)");
        return;
    }
    let installed = || Some(python::environment("schemathesis", &[SCHEMATHESIS])?.join("st"));
    let program = tokio::task::spawn_blocking(move || given.or_else(installed));
    let Some(program) = program.await.unwrap() else {
        python::skip(SCHEMATHESIS);
        return;
    };
    let platform = Platform::start_with(|config| {
        // Nobody answers for DEAs here: a request that looks for one must not wait for long.
        config.staging.locate_wait_ms = 50;
    })
    .await;
    World::build(&platform, "fuzzed").await;
    let token = format!("bearer {}", platform.token);
    let hooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/schemathesis_hooks.py");
    let mut command = Command::new(program);
    command
        .current_dir(platform.dir.path())
        .args(["run", &format!("{}/openapi.json", platform.base)])
        .args(["--header", &format!("authorization: {token}")])
        .args(["--checks", "not_a_server_error", "--max-examples", "20"])
        .args(["--phases", "examples,fuzzing", "--continue-on-failure"])
        .args(["--suppress-health-check", "all", "--no-color"])
        .env("SCHEMATHESIS_HOOKS", hooks)
        .env("CC_BASE", &platform.base)
        .env("CC_TOKEN", &token)
        .env("NO_PROXY", "127.0.0.1");
    let done = tokio::task::spawn_blocking(move || command.output().unwrap());
    let done = done.await.unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    let errors = String::from_utf8_lossy(&done.stderr);
    let is_good = done.status.success() && said.contains(" generated, ");
    assert!(is_good, "{said}\n{errors}");
}
