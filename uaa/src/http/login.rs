//! `/login` and the public keys.

use ::http::HeaderMap;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::Shared;

/// What to ask the user for. Each prompt is a pair; old clients index both members.
pub(crate) async fn login_info(State(shared): State<Shared>, headers: HeaderMap) -> Json<Value> {
    let base = shared.base(&headers);
    Json(json!({
        "app": {"version": "2.0"},
        "links": {"uaa": base, "login": base, "passwd": format!("{base}/forgot_password"), "register": format!("{base}/create_account")},
        "prompts": {"username": ["text", "Email"], "password": ["password", "Password"]},
        "timestamp": chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
    }))
}

pub(crate) async fn token_key(State(shared): State<Shared>) -> Json<Value> {
    let rules = shared.uaa.0.rules.now();
    Json(rules.keys.first().map(describe).unwrap_or(Value::Null))
}

pub(crate) async fn token_keys(State(shared): State<Shared>) -> Json<Value> {
    let keys: Vec<Value> = shared.uaa.0.rules.now().keys.iter().map(describe).collect();
    Json(json!({"keys": keys}))
}

fn describe(key: &crate::keys::SigningKey) -> Value {
    let (n, e) = key.jwk_parts();
    json!({"kid": key.kid, "alg": "SHA256withRSA", "kty": "RSA", "use": "sig", "value": key.public_pem, "n": n, "e": e})
}
