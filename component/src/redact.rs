//! Hides secrets before a configuration is printed.

use serde_json::Value;

const SECRET_WORDS: [&str; 6] = [
    "password",
    "secret",
    "token",
    "credential",
    "private_key",
    "encryption_key",
];
const SHOWN: &str = "[redacted]";

/// Replaces every secret by `[redacted]`: values of keys that sound like one,
/// and the user part of URLs.
pub(crate) fn redact(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map.iter_mut() {
                if is_secret(key) && !is_path_key(key) {
                    hide(inner);
                } else {
                    redact(inner);
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(redact),
        Value::String(text) => redact_url(text),
        _ => {}
    }
}

fn is_secret(key: &str) -> bool {
    SECRET_WORDS.iter().any(|word| key.contains(word))
}

/// `password_file` and the like name a file, which is no secret.
fn is_path_key(key: &str) -> bool {
    key.ends_with("_file") || key.ends_with("_path")
}

fn hide(value: &mut Value) {
    match value {
        Value::String(s) if s.is_empty() => {}
        // A number is a duration or a count (`access_token_seconds`), never a secret.
        Value::Null | Value::Number(_) | Value::Bool(_) => {}
        other => *other = Value::String(SHOWN.into()),
    }
}

fn redact_url(text: &mut String) {
    let Ok(mut url) = url::Url::parse(text) else {
        return;
    };
    if url.password().is_some() && url.set_password(Some("redacted")).is_ok() {
        *text = url.to_string();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_and_url_passwords_are_hidden_and_the_rest_is_not() {
        let mut v = json!({
            "bus": {"servers": ["nats://u:p@h:4222"], "password": "x", "user": "u"},
            "secrets_file": "/etc/s", "empty_secret": "",
        });
        redact(&mut v);
        assert_eq!(
            v,
            json!({
                "bus": {"servers": ["nats://u:redacted@h:4222"], "password": "[redacted]", "user": "u"},
                "secrets_file": "/etc/s", "empty_secret": "",
            })
        );
    }
}
