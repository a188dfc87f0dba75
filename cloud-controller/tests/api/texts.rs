//! What is not text does not get in: every text field of every endpoint that changes something, taken from the description of the code, so
//! that no new one is forgotten.

use std::collections::BTreeSet;

use crate::support::{Answer, Platform, first_guid, read};
use reqwest::Method;
use serde_json::{Value, json};

/// Texts that no field may hold, and a word of the reason.
const NEVER: (&str, &str) = ("a\0b", "NUL");
/// Texts that no name may hold.
const IN_NO_NAME: [(&str, &str); 6] = [
    ("a\r\nb", "U+000D"),
    ("a\u{1b}[31mb", "U+001B"),
    ("a\u{202e}b", "U+202E"),
    ("a\u{2066}b", "U+2066"),
    ("a\u{200b}b", "U+200B"),
    ("\u{feff}ab", "U+FEFF"),
];
/// Fields that are not names, each for its reason: shells, apps and people read them.
const FREE: [&str; 4] = [
    "command",
    "environment_json",
    "credentials",
    "error_message",
];

/// Bodies that hold `text` in each place for one, and the first field of that place.
fn bodies(schema: &Value, text: &str) -> Vec<(String, Value)> {
    match schema["type"].as_str() {
        Some("string") if schema.get("enum").is_none() => vec![(String::new(), json!(text))],
        Some("array") => bodies(&schema["items"], text)
            .into_iter()
            .map(|(field, inner)| (field, json!([inner])))
            .collect(),
        Some("object") => {
            let mut all = Vec::new();
            if schema.get("additionalProperties").is_some() {
                all.push(("*".to_owned(), json!({"key": text})));
                all.push(("*".to_owned(), json!({"key": {"deep": [text]}})));
            }
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                let inner = bodies(property, text).into_iter();
                all.extend(inner.map(|(_, inner)| (name.clone(), json!({name: inner}))));
            }
            all
        }
        // Anything goes there, so texts do.
        None if !schema.is_null() => vec![(String::new(), json!(text))],
        _ => vec![],
    }
}

async fn send(
    platform: &Platform,
    method: &str,
    path: &str,
    secured: bool,
    body: &Value,
) -> Answer {
    let url = format!("{}{}", platform.base, path.replace(['{', '}'], ""));
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    let request = platform.client.request(method, url).json(body);
    let request = match secured {
        true => request.bearer_auth(&platform.token),
        false => request.basic_auth("bulk_api", Some("bulk_api-secret")),
    };
    read(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_endpoint_keeps_what_is_not_text() {
    let platform = Platform::start().await;
    let document = platform.get("/openapi.json").await.expect(200);
    let own: BTreeSet<(String, String)> = cloud_controller::endpoints()
        .into_iter()
        .map(|endpoint| {
            (
                endpoint.method.to_lowercase(),
                endpoint.path.replace("{*", "{"),
            )
        })
        .collect();
    let mut tried = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            if schema.is_null() || !own.contains(&(method.clone(), path.clone())) {
                continue;
            }
            let secured = operation.get("security").is_some();
            let method = method.to_uppercase();
            let is_free =
                |field: &str| FREE.contains(&field) || path.contains("environment_variable_groups");
            for (text, reason) in IN_NO_NAME.into_iter().chain([NEVER]) {
                for (field, body) in bodies(schema, text) {
                    if reason != "NUL" && is_free(&field) || path.contains("resource_match") {
                        continue;
                    }
                    tried += 1;
                    let answer = send(&platform, &method, path, secured, &body).await;
                    let said = String::from_utf8_lossy(&answer.bytes);
                    assert!(
                        answer.status == 400 && said.contains(reason),
                        "{method} {path} {body}: {} {said}",
                        answer.status
                    );
                }
            }
        }
    }
    assert!(tried > 200, "{tried}");
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_commands_and_credentials_keep_their_lines_and_nothing_keeps_nul() {
    let platform = Platform::start().await;
    let (_, space) = platform.target().await;
    let app = format!("/v2/apps/{}", platform.create_app("web").await);
    let lines = "-----BEGIN\r\n\tx\u{202e}\n-----END";
    let kept = platform
        .put(
            &app,
            json!({"command": lines, "environment_json": {"PEM": lines}}),
        )
        .await
        .expect(201);
    assert_eq!(kept["entity"]["command"], lines);
    assert_eq!(kept["entity"]["environment_json"]["PEM"], lines);
    for body in [
        json!({"command": "a\0b"}),
        json!({"environment_json": {"A": "x\0"}}),
        json!({"environment_json": {"A\0": "x"}}),
        json!({"environment_json": {"A\nB": "x"}}),
        json!({"environment_json": {"A": {"b": ["\0"]}}}),
    ] {
        let text = platform.put(&app, body.clone()).await;
        let text = text.expect_error(400, 100_001, "CF-AppInvalid");
        assert!(text.contains("leave it out"), "{body}: {text}");
    }
    let after = platform.get(&app).await.expect(200);
    assert_eq!(after["entity"]["command"], lines);
    let service = json!({"name": "db", "space_guid": space, "credentials": {"pem": lines}});
    let path = "/v2/user_provided_service_instances";
    platform.post(path, service).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_path_of_a_route_means_one_thing() {
    let platform = Platform::start().await;
    let (_, space) = platform.target().await;
    let domain = first_guid(&platform.get("/v2/shared_domains").await.expect(200));
    let route = |path: &str| json!({"host": "web", "path": path, "domain_guid": domain, "space_guid": space});
    for bad in [
        "/a\r\nX: y",
        "/a b",
        "/../a",
        "/a/%2e%2E/b",
        "/a//b",
        "/a#b",
        "/a?b",
        "a",
        "/a\u{202e}",
        "/a%00",
        "/a%zz",
        "/ä",
        "/a\\b",
    ] {
        let answer = platform.post("/v2/routes", route(bad)).await;
        answer.expect_error(400, 130_004, "CF-PathInvalid");
    }
    let made = platform
        .post("/v2/routes", route("/a/b%20c"))
        .await
        .expect(201);
    let one = made["metadata"]["url"].as_str().unwrap();
    let answer = platform.put(one, json!({"path": "/./a"})).await;
    answer.expect_error(400, 130_004, "CF-PathInvalid");
}
