//! Lists of calls, as the reference writes them down.

use reqwest::Method;
use serde_json::{Value, json};

use super::Platform;

/// One call of a list: method, path, body, status, and fields of the answer by JSON pointer.
pub type Step<'a> = (&'a str, String, Option<Value>, u16, Vec<(&'a str, Value)>);

/// Issues the calls in order and checks each; gives the answers.
pub async fn walk(platform: &Platform, steps: Vec<Step<'_>>) -> Vec<Value> {
    let mut answers = Vec::new();
    for (method, path, body, status, fields) in steps {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = platform.call(method.clone(), &path, body).await;
        let text = String::from_utf8_lossy(&answer.bytes).into_owned();
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {text}");
        let value = if answer.bytes.is_empty() {
            Value::Null
        } else {
            answer.json()
        };
        for (pointer, expected) in fields {
            assert_eq!(
                value.pointer(pointer),
                Some(&expected),
                "{method} {path} {pointer}: {text}"
            );
        }
        answers.push(value);
    }
    answers
}

/// An error body with this code.
pub fn taken(code: u32) -> Vec<(&'static str, Value)> {
    vec![("/code", json!(code))]
}

/// Deletions with `async` of what the reference lists for it answer with a job.
pub fn with_job(step: Step<'_>) -> Step<'_> {
    let (method, path, body, status, mut fields) = step;
    if method == "DELETE" && path.contains("async=true") && status == 204 {
        fields.push(("/entity/status", json!("finished")));
        return (method, path, body, 202, fields);
    }
    (method, path, body, status, fields)
}
