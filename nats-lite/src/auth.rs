//! Who may connect, and what each user may publish and hear: tables, no IO.

use std::rc::Rc;

use subtle::ConstantTimeEq;

use crate::config::User;
use crate::protocol::ConnectOptions;
use crate::subjects::{covers, overlap};

/// The decision over a `CONNECT`.
#[derive(Debug, Default)]
pub struct Authenticator {
    users: Vec<(String, String, Rc<Permissions>)>,
    token: Option<String>,
}

impl Authenticator {
    /// Builds the table from the configured users and the optional token.
    pub fn new(users: &[User], token: Option<&str>) -> Self {
        let row = |user: &User| {
            (
                user.user.clone(),
                user.password.clone(),
                Rc::new(Permissions::of(user)),
            )
        };
        Self {
            users: users.iter().map(row).collect(),
            token: token.map(Into::into),
        }
    }

    /// True when clients must authenticate.
    pub fn required(&self) -> bool {
        !self.users.is_empty() || self.token.is_some()
    }

    /// The permissions of whoever presents these credentials, or `None` for a stranger.
    pub fn check(&self, offered: &ConnectOptions) -> Option<Rc<Permissions>> {
        if !self.required() {
            return Some(Rc::default());
        }
        if let (Some(token), Some(given)) = (&self.token, &offered.auth_token)
            && same(token, given)
        {
            return Some(Rc::default());
        }
        let (name, password) = (offered.user.as_deref()?, offered.pass.as_deref()?);
        let (_, expected, permissions) = self.users.iter().find(|(user, ..)| user == name)?;
        same(expected, password).then(|| permissions.clone())
    }
}

fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

/// Subject permissions of one user.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    publish: Rule,
    subscribe: Rule,
}

/// An allow list (absent: everything) and a deny list, which wins.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rule {
    allow: Option<Vec<String>>,
    deny: Vec<String>,
}

impl Permissions {
    fn of(user: &User) -> Self {
        Self {
            publish: Rule {
                allow: user.publish.clone(),
                deny: user.deny_publish.clone(),
            },
            subscribe: Rule {
                allow: user.subscribe.clone(),
                deny: user.deny_subscribe.clone(),
            },
        }
    }

    /// May this user publish to the literal subject?
    pub fn may_publish(&self, subject: &[u8]) -> bool {
        self.publish.permits(subject)
    }

    /// May this user subscribe to the subject, wildcards included?
    ///
    /// A wildcard that only overlaps a denied subject is refused as well,
    /// where `nats-server` would accept it and filter the deliveries.
    pub fn may_subscribe(&self, subject: &[u8]) -> bool {
        self.subscribe.permits(subject)
    }
}

impl Rule {
    fn permits(&self, subject: &[u8]) -> bool {
        let allowed = match &self.allow {
            None => true,
            Some(patterns) => patterns
                .iter()
                .any(|pattern| covers(pattern.as_bytes(), subject)),
        };
        allowed
            && !self
                .deny
                .iter()
                .any(|pattern| overlap(pattern.as_bytes(), subject))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn user(publish: Option<&[&str]>, subscribe: Option<&[&str]>, deny_subscribe: &[&str]) -> User {
        let list = |items: &[&str]| items.iter().map(ToString::to_string).collect::<Vec<_>>();
        User {
            user: "dea".into(),
            password: "secret".into(),
            publish: publish.map(list),
            subscribe: subscribe.map(list),
            deny_subscribe: list(deny_subscribe),
            ..User::default()
        }
    }

    fn offer(user: &str, pass: &str) -> ConnectOptions {
        ConnectOptions {
            user: Some(user.into()),
            pass: Some(pass.into()),
            ..ConnectOptions::default()
        }
    }

    #[test]
    fn only_the_right_password_opens() {
        let table = Authenticator::new(&[user(None, None, &[])], None);
        assert!(table.check(&offer("dea", "secret")).is_some());
        for (name, pass) in [("dea", "secreT"), ("dea", ""), ("cc", "secret"), ("", "")] {
            assert!(table.check(&offer(name, pass)).is_none(), "{name}:{pass}");
        }
        assert!(table.check(&ConnectOptions::default()).is_none());
    }

    #[test]
    fn a_token_opens_where_one_is_configured() {
        let table = Authenticator::new(&[], Some("t0ken"));
        let with = |token: &str| ConnectOptions {
            auth_token: Some(token.into()),
            ..ConnectOptions::default()
        };
        assert!(
            table.required()
                && table.check(&with("t0ken")).is_some()
                && table.check(&with("other")).is_none()
        );
    }

    #[test]
    fn permissions_follow_the_table() {
        let rules = Permissions::of(&user(Some(&["dea.*", "router.>"]), None, &["secret.>"]));
        for (subject, expected) in [
            ("dea.heartbeat", true),
            ("router.a.b", true),
            ("hm9000.start", false),
            ("dea.1.start", false),
        ] {
            assert_eq!(
                rules.may_publish(subject.as_bytes()),
                expected,
                "publish {subject}"
            );
        }
        for (subject, expected) in [
            ("dea.>", true),
            ("secret.a", false),
            (">", false),
            ("secret", true),
        ] {
            assert_eq!(
                rules.may_subscribe(subject.as_bytes()),
                expected,
                "subscribe {subject}"
            );
        }
    }
}
