//! The users of the bus in the configuration syntax of a real `nats-server`.

use std::fmt::Write as _;

use crate::permissions::{Grant, Role, grant};

/// One component's account on the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusUser {
    /// Name in `CONNECT`; also names the component's inboxes.
    pub name: String,
    /// Password, plain or a bcrypt hash.
    pub password: String,
    /// What the component is, which decides what it may publish and hear.
    pub role: Role,
}

/// The block `authorization { … }` that gives these users the same rights on a `nats-server` as
/// they have on nats-lite. The text holds passwords: write it to a file of mode 0600.
pub fn nats_server_config(users: &[BusUser]) -> String {
    let mut text = String::from("authorization {\n  users: [\n");
    for user in users {
        let Grant {
            publish,
            subscribe,
            answer_seconds,
        } = grant(&user.role, &user.name);
        // Writing to a text cannot fail.
        let _ = write!(
            text,
            "    {{\n      user: {}\n      password: {}\n      permissions: {{\n        publish: {{ allow: [{}] }}\n        subscribe: {{ allow: [{}] }}\n        allow_responses: {{ max: -1, expires: \"{answer_seconds}s\" }}\n      }}\n    }}\n",
            quoted(&user.name),
            quoted(&user.password),
            list(&publish),
            list(&subscribe),
        );
    }
    text.push_str("  ]\n}\n");
    text
}

fn list(subjects: &[String]) -> String {
    let quoted: Vec<String> = subjects.iter().map(|subject| quoted(subject)).collect();
    quoted.join(", ")
}

/// A text between double quotes, safe from variables, units and comments of that syntax.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_break_out_of_their_quotes() {
        assert_eq!(quoted("a\"b\\c\n$d#"), "\"a\\\"b\\\\c\\n$d#\"");
    }
}
