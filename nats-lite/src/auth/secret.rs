//! A configured password or token: plain, or a bcrypt hash as `nats server passwd` makes it.

use subtle::ConstantTimeEq;

/// What is compared with the secret a client offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Secret {
    Plain(String),
    Bcrypt(String),
}

impl Secret {
    /// Takes a configured value; the prefix of a bcrypt hash tells which kind it is.
    pub(crate) fn new(configured: &str) -> Self {
        match is_bcrypt(configured) {
            true => Self::Bcrypt(configured.to_owned()),
            false => Self::Plain(configured.to_owned()),
        }
    }

    /// True for the right secret. A bcrypt comparison takes milliseconds to seconds: see [`Self::is_slow`].
    pub(crate) fn opens_for(&self, offered: &str) -> bool {
        match self {
            Self::Plain(expected) => same(expected, offered),
            // A broken hash opens for nobody.
            Self::Bcrypt(hash) => bcrypt::verify(offered, hash).unwrap_or(false),
        }
    }

    /// True when the comparison must not happen on the server's only thread.
    pub(crate) fn is_slow(&self) -> bool {
        matches!(self, Self::Bcrypt(_))
    }
}

/// True for a bcrypt hash of any of the known revisions.
fn is_bcrypt(text: &str) -> bool {
    ["$2a$", "$2b$", "$2x$", "$2y$"]
        .iter()
        .any(|prefix| text.starts_with(prefix))
}

fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_bcrypt_hash_opens_for_its_password_only() {
        let hash = bcrypt::hash("hunter2", 4).unwrap();
        let secret = Secret::new(&hash);
        assert!(secret.is_slow() && secret.opens_for("hunter2"));
        assert!(!secret.opens_for("hunter3") && !secret.opens_for(&hash));
        assert!(!Secret::new("$2a$broken").opens_for("$2a$broken"));
    }

    #[test]
    fn a_plain_secret_opens_for_itself_only() {
        let secret = Secret::new("t0ken");
        assert!(!secret.is_slow() && secret.opens_for("t0ken"));
        assert!(!secret.opens_for("t0keN") && !secret.opens_for(""));
    }
}
