//! Who may connect, and what each user may publish and hear: tables, no IO.

mod permissions;
mod replies;
mod secret;

use std::rc::Rc;

pub use permissions::Permissions;
pub(crate) use replies::Replies;
pub(crate) use secret::Secret;

use crate::config::{Config, User};
use crate::protocol::ConnectOptions;

/// Somebody the configuration knows.
#[derive(Debug, Default, PartialEq)]
pub struct Identity {
    /// User name or nkey, for the monitoring pages; empty for a token and where anybody may connect.
    pub name: String,
    /// What this user may do.
    pub permissions: Permissions,
    proof: Proof,
}

impl Identity {
    /// In the words of the original's log.
    pub(crate) fn shown(&self) -> String {
        match (&self.proof, self.name.as_str()) {
            (_, "") => "N/A".into(),
            (Proof::Nkey, key) => format!("Nkey {key:?}"),
            (_, user) => format!("User {user:?}"),
        }
    }
}

/// How a client shows who it is.
#[derive(Debug, Clone, Default, PartialEq)]
enum Proof {
    #[default]
    Nothing,
    Password(Secret),
    Nkey,
}

/// The decision over a `CONNECT`.
#[derive(Debug)]
pub(crate) enum Verdict {
    Welcome(Rc<Identity>),
    Stranger,
    /// The password must be compared with a bcrypt hash, away from the server's thread.
    Slow(SlowCheck),
}

/// A comparison that takes long, and who the client is when it succeeds.
#[derive(Debug)]
pub(crate) struct SlowCheck {
    pub(crate) secret: Secret,
    pub(crate) offered: String,
    pub(crate) identity: Rc<Identity>,
}

/// The table of everybody who may connect.
#[derive(Debug, Default)]
pub struct Authenticator {
    users: Vec<Rc<Identity>>,
    token: Option<Rc<Identity>>,
    fallback: Option<Rc<Identity>>,
    map_certificates: bool,
}

impl Authenticator {
    /// Builds the table from the configured users, token and default user.
    pub fn new(config: &Config) -> Self {
        let users: Vec<Rc<Identity>> = config
            .users
            .iter()
            .map(|user| Rc::new(Identity::of(user)))
            .collect();
        let token = config.token.as_deref().map(|token| {
            Rc::new(Identity {
                proof: Proof::Password(Secret::new(token)),
                ..Identity::default()
            })
        });
        let fallback = config.no_auth_user.as_deref();
        let fallback = fallback.and_then(|name| users.iter().find(|user| user.name == name));
        Self {
            fallback: fallback.cloned(),
            map_certificates: config.tls.as_ref().is_some_and(|tls| tls.verify_and_map),
            users,
            token,
        }
    }

    /// True when clients must authenticate.
    pub fn required(&self) -> bool {
        self.fallback.is_none() && (!self.users.is_empty() || self.token.is_some())
    }

    /// True when clients log in with names.
    pub(crate) fn has_users(&self) -> bool {
        !self.users.is_empty()
    }

    /// True when `INFO` must carry something for clients to sign.
    pub(crate) fn wants_nonce(&self) -> bool {
        self.users.iter().any(|user| user.proof == Proof::Nkey)
    }

    /// Who may do anything before it says who it is, if that is allowed at all.
    pub(crate) fn unasked(&self) -> Option<Rc<Identity>> {
        match (&self.fallback, self.required()) {
            (Some(user), _) => Some(user.clone()),
            (None, false) => Some(Rc::default()),
            (None, true) => None,
        }
    }

    /// Decides over what a client offers; `names` are those of its verified certificate.
    pub(crate) fn check(&self, offered: &ConnectOptions, nonce: &str, names: &[String]) -> Verdict {
        let of_certificate = |user: &&Rc<Identity>| names.contains(&user.name);
        if self.map_certificates
            && let Some(user) = self.users.iter().find(of_certificate)
        {
            return Verdict::Welcome(user.clone());
        }
        if let Some(nkey) = &offered.nkey {
            return self.check_nkey(nkey, offered.sig.as_deref(), nonce);
        }
        if let (Some(token), Some(given)) = (&self.token, &offered.auth_token) {
            return compare(token, given);
        }
        if offered.user.is_none() && offered.auth_token.is_none() {
            return self.unasked().map_or(Verdict::Stranger, Verdict::Welcome);
        }
        if self.users.is_empty() && self.token.is_none() {
            return Verdict::Welcome(Rc::default());
        }
        let name = offered.user.as_deref().unwrap_or_default();
        match self.find(name) {
            Some(user) => compare(user, offered.pass.as_deref().unwrap_or_default()),
            None => Verdict::Stranger,
        }
    }

    fn find(&self, name: &str) -> Option<&Rc<Identity>> {
        self.users.iter().find(|user| user.name == name)
    }

    fn check_nkey(&self, nkey: &str, signature: Option<&str>, nonce: &str) -> Verdict {
        let known = self.find(nkey).filter(|user| user.proof == Proof::Nkey);
        let signed = |user: &&Rc<Identity>| {
            let signature = signature.and_then(decode_signature)?;
            let key = nkeys::KeyPair::from_public_key(&user.name).ok()?;
            key.verify(nonce.as_bytes(), &signature).ok()
        };
        known
            .filter(|user| signed(user).is_some())
            .map_or(Verdict::Stranger, |user| Verdict::Welcome(user.clone()))
    }

    /// The same client under a new configuration: `None` when it would have to prove itself anew.
    pub(crate) fn still_known(&self, before: &Identity) -> Option<Rc<Identity>> {
        if before.proof == Proof::Nothing {
            return self.unasked();
        }
        let mut known = self.users.iter().chain(&self.token);
        known
            .find(|user| user.name == before.name && user.proof == before.proof)
            .cloned()
    }
}

impl Identity {
    fn of(user: &User) -> Self {
        let (name, proof) = match &user.nkey {
            Some(nkey) => (nkey, Proof::Nkey),
            None => (&user.user, Proof::Password(Secret::new(&user.password))),
        };
        Self {
            name: name.clone(),
            permissions: Permissions::of(user),
            proof,
        }
    }
}

fn compare(identity: &Rc<Identity>, offered: &str) -> Verdict {
    match &identity.proof {
        Proof::Password(secret) if secret.is_slow() => Verdict::Slow(SlowCheck {
            secret: secret.clone(),
            offered: offered.to_owned(),
            identity: identity.clone(),
        }),
        Proof::Password(secret) if secret.opens_for(offered) => Verdict::Welcome(identity.clone()),
        _ => Verdict::Stranger,
    }
}

/// Signatures come in base64, with the URL alphabet and without padding from most clients.
fn decode_signature(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    let text = text.trim_end_matches('=');
    URL_SAFE_NO_PAD
        .decode(text)
        .or_else(|_| STANDARD_NO_PAD.decode(text))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str, password: &str) -> User {
        User {
            user: name.into(),
            password: password.into(),
            ..User::default()
        }
    }

    fn table(users: Vec<User>, token: Option<&str>) -> Authenticator {
        Authenticator::new(&Config {
            users,
            token: token.map(Into::into),
            ..Config::default()
        })
    }

    fn offer(user: &str, pass: &str) -> ConnectOptions {
        ConnectOptions {
            user: Some(user.into()),
            pass: Some(pass.into()),
            ..ConnectOptions::default()
        }
    }

    fn welcome(table: &Authenticator, offered: &ConnectOptions) -> bool {
        matches!(table.check(offered, "", &[]), Verdict::Welcome(_))
    }

    #[test]
    fn only_the_right_password_opens() {
        let table = table(vec![user("dea", "secret")], None);
        assert!(welcome(&table, &offer("dea", "secret")));
        for (name, pass) in [("dea", "secreT"), ("dea", ""), ("cc", "secret"), ("", "")] {
            assert!(!welcome(&table, &offer(name, pass)), "{name}:{pass}");
        }
        assert!(table.required() && !welcome(&table, &ConnectOptions::default()));
    }

    #[test]
    fn a_token_opens_where_one_is_configured() {
        let table = table(vec![], Some("t0ken"));
        let with = |token: &str| ConnectOptions {
            auth_token: Some(token.into()),
            ..ConnectOptions::default()
        };
        assert!(table.required());
        assert!(welcome(&table, &with("t0ken")) && !welcome(&table, &with("other")));
    }

    #[test]
    fn an_nkey_opens_with_its_signature_over_the_nonce() {
        use base64::Engine as _;
        let (key, other) = (nkeys::KeyPair::new_user(), nkeys::KeyPair::new_user());
        let nkey = User {
            nkey: Some(key.public_key()),
            ..User::default()
        };
        let table = table(vec![nkey], None);
        let signed = |by: &nkeys::KeyPair, over: &str| ConnectOptions {
            nkey: Some(key.public_key()),
            sig: by.sign(over.as_bytes()).ok().map(|signature| {
                base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(signature)
            }),
            ..ConnectOptions::default()
        };
        let opens = |offered: &ConnectOptions| {
            matches!(table.check(offered, "nonce", &[]), Verdict::Welcome(_))
        };
        assert!(table.wants_nonce() && opens(&signed(&key, "nonce")));
        assert!(!opens(&signed(&key, "older")) && !opens(&signed(&other, "nonce")));
    }

    #[test]
    fn a_reload_keeps_those_whose_proof_is_the_same() {
        let before = table(vec![user("a", "1"), user("b", "1")], None);
        let after = table(vec![user("a", "1"), user("b", "2")], None);
        let kept: Vec<bool> = before
            .users
            .iter()
            .map(|user| after.still_known(user).is_some())
            .collect();
        assert_eq!(kept, [true, false]);
        assert!(after.still_known(&Identity::default()).is_none());
    }
}
