//! `authorization { … }`: users, their permissions, tokens.

use serde_json::{Value, json};

use super::options::Translation;
use super::text::{Entry, Node};
use super::values::seconds;
use crate::config::tree::Tree;

/// Carries the block over.
pub(super) fn translate(translation: &mut Translation, entry: &Entry) {
    let Node::Map(block) = &entry.value else {
        return translation.problem(entry, "expected a block");
    };
    let find = |keys: &[&str]| {
        block
            .iter()
            .find(|entry| keys.contains(&&*lower_key(entry)))
    };
    refuse_combinations(translation, entry, &find);
    let defaults = find(&["default_permissions", "default_permission"]).map(|entry| &entry.value);
    let mut users = Vec::new();
    for option in block {
        match (lower_key(option).as_str(), &option.value) {
            ("users", Node::List(items)) => {
                let read = items.iter().map(|(_, item)| user(translation, option, item, defaults));
                users.extend(read.collect::<Vec<_>>().into_iter().flatten());
            }
            ("token", value) if value.text().is_some() => {
                let token = value.text().unwrap_or_default();
                translation.set("token", option, Tree::Leaf(token.into()));
            }
            ("timeout", value) if seconds(value).is_some() => {
                let seconds = seconds(value).unwrap_or_default();
                translation.set("limits.auth_timeout", option, Tree::Leaf(seconds.into()));
            }
            ("user" | "username" | "pass" | "password" | "default_permissions" | "default_permission" | "permissions", _) => {}
            ("auth_callout" | "auth_hook" | "proxy_required", _) => translation.problem(
                option,
                "nats-lite does not have this, and its users could not be told from strangers; run nats-server with this file instead",
            ),
            ("users" | "token" | "timeout", _) => translation.problem(option, "has a value of another kind"),
            _ => translation.unknown(option),
        }
    }
    if find(&["user", "username"]).is_some() {
        users.extend(user(translation, entry, &entry.value, defaults));
    }
    if !users.is_empty() {
        translation.set("users", entry, Tree::List(users.iter().map(tree).collect()));
    }
}

/// One user in our terms.
fn user(
    translation: &mut Translation,
    at: &Entry,
    node: &Node,
    defaults: Option<&Node>,
) -> Option<Value> {
    let Node::Map(block) = node else {
        translation.problem(at, "expected users in braces");
        return None;
    };
    let mut user = json!({});
    let mut own = None;
    for option in block {
        match lower_key(option).as_str() {
            "user" | "username" => user["user"] = text(&option.value).into(),
            "pass" | "password" => user["password"] = text(&option.value).into(),
            "nkey" => user["nkey"] = text(&option.value).into(),
            "permissions" | "permission" | "authorization" => own = Some(&option.value),
            // What stands beside a single user in the outer block.
            "users" | "timeout" | "token" | "default_permissions" | "default_permission" => {}
            "allowed_connection_types" => {}
            "account" | "proxy_required" => translation.problem(option, "nats-lite does not have this, and clients would not be kept apart; run nats-server with this file instead"),
            _ => translation.unknown(option),
        }
    }
    if let Some(Node::Map(permissions)) = own.or(defaults) {
        for option in permissions {
            permission(translation, option, &mut user);
        }
    }
    Some(user)
}

fn permission(translation: &mut Translation, option: &Entry, user: &mut Value) {
    match lower_key(option).as_str() {
        "publish" | "pub" | "import" => rule(translation, option, user, "publish"),
        "subscribe" | "sub" | "export" => rule(translation, option, user, "subscribe"),
        "allow_responses" | "allow_response" | "publish_allow_responses" => match &option.value {
            Node::Flag(false, _) => {}
            Node::Flag(true, _) => user["responses"] = json!({}),
            Node::Map(block) => user["responses"] = responses(translation, block),
            _ => translation.problem(option, "expected true, false or a block"),
        },
        _ => translation.unknown(option),
    }
}

fn rule(translation: &mut Translation, option: &Entry, user: &mut Value, key: &str) {
    let Node::Map(block) = &option.value else {
        user[key] = list(&option.value);
        return;
    };
    for side in block {
        match lower_key(side).as_str() {
            "allow" => user[key] = list(&side.value),
            "deny" => user[format!("deny_{key}")] = list(&side.value),
            _ => translation.unknown(side),
        }
    }
}

fn responses(translation: &mut Translation, block: &[Entry]) -> Value {
    let mut found = json!({});
    for option in block {
        match (lower_key(option).as_str(), &option.value) {
            ("max" | "max_msgs" | "max_messages" | "max_responses", Node::Whole(max, _)) => {
                found["max"] = (*max).into();
            }
            ("expires" | "expiration" | "ttl", value) if seconds(value).is_some() => {
                found["expires"] = seconds(value).into();
            }
            _ => translation.problem(option, "unknown field, or a value of another kind"),
        }
    }
    found
}

fn list(node: &Node) -> Value {
    match node {
        Node::List(items) => items
            .iter()
            .map(|(_, item)| Value::from(text(item)))
            .collect(),
        one => vec![text(one)].into(),
    }
}

fn text(node: &Node) -> String {
    node.text().unwrap_or_default().to_owned()
}

/// Keys are compared without regard to case, as in the original.
fn lower_key(entry: &Entry) -> String {
    entry.key.to_ascii_lowercase()
}

/// Two ways to log in that the original does not take together: with one of them ignored, a server would be open where its
/// operator believes it closed.
fn refuse_combinations<'a>(
    translation: &mut Translation,
    entry: &Entry,
    find: &dyn Fn(&[&str]) -> Option<&'a Entry>,
) {
    let single = find(&["user", "username", "pass", "password"]).is_some();
    let (token, users) = (find(&["token"]).is_some(), find(&["users"]).is_some());
    let message = match (single, token, users) {
        (true, true, _) => "cannot have a user/pass and token",
        (true, _, true) => "cannot have a single user/pass and a users array",
        (_, true, true) => "cannot have a token and a users array",
        _ => return,
    };
    translation.problem(entry, message);
}

fn tree(value: &Value) -> Tree {
    match value {
        Value::Object(map) => Tree::Map(
            map.iter()
                .map(|(key, value)| (key.clone(), 1, tree(value)))
                .collect(),
        ),
        Value::Array(items) => Tree::List(items.iter().map(tree).collect()),
        leaf => Tree::Leaf(leaf.clone()),
    }
}
