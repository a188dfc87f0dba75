//! Addresses that open one thing for a while, instead of a password that opens everything. Pure.
//!
//! An address is `PATH?…&expires=SECONDS&key=ID&signature=HEX`. The signature is HMAC-SHA256 over the method, a line feed, and the
//! path with all of the query that stands before the signature; what a client puts behind it (`async=true`, a claimed `sha1`) is its
//! own. The key is derived from a secret that all controllers of a platform share, and named by an id, so that secrets can be
//! renewed: the first signs, every one is accepted.

use aws_lc_rs::hmac;
use component::Secrets;

/// What a key is derived with: other uses of the same secret have other keys.
const PURPOSE: &[u8] = b"bloomery signed addresses, version 1";
/// What a key's id is derived with.
const ID: &[u8] = b"id";
/// The query parameter that ends what is signed.
const SIGNATURE: &str = "signature=";

/// Why an address opens nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// No address of ours at all.
    #[error("the address is not signed")]
    Unsigned,
    /// A part was left out, or is not what it should be.
    #[error("the address lacks a usable {0:?}; use it as it was handed out")]
    Incomplete(&'static str),
    /// Signed with a secret that is not in force (any more).
    #[error(
        "the address was signed with a key this controller does not have; stage or start again to get a new one"
    )]
    UnknownKey,
    /// Method, path or query are not those that were signed.
    #[error(
        "the address was not handed out for this: its signature fits another method, path or query"
    )]
    Forged,
    /// Good once.
    #[error("the address expired {ago} s ago; stage or start again to get a new one")]
    Expired {
        /// Seconds since.
        ago: i64,
    },
}

/// One derived key.
struct Key {
    id: String,
    key: hmac::Key,
}

/// The keys in force.
pub(crate) struct KeyRing {
    signing: Key,
    accepted: Vec<Key>,
}

impl Key {
    fn derive(secret: &[u8]) -> Key {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derived = hmac::sign(&secret, PURPOSE);
        let key = hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref());
        let id = hex::encode(&hmac::sign(&key, ID).as_ref()[..4]);
        Key { id, key }
    }
}

impl KeyRing {
    /// The keys of a platform's secrets.
    pub(crate) fn of(secrets: &Secrets) -> KeyRing {
        match secrets.address_secrets.split_first() {
            Some((first, others)) => {
                let others: Vec<Vec<u8>> = others.iter().map(|s| s.clone().into_bytes()).collect();
                KeyRing::new(first.as_bytes(), &others)
            }
            None => KeyRing::new(secrets.encryption_key.trim().as_bytes(), &[]),
        }
    }

    /// Keys of the secret that signs, and of those that are still or already accepted.
    pub(crate) fn new(signing: &[u8], accepted: &[Vec<u8>]) -> KeyRing {
        KeyRing {
            signing: Key::derive(signing),
            accepted: accepted.iter().map(|secret| Key::derive(secret)).collect(),
        }
    }

    /// Path and query of a signed address. `query` is part of what is signed; `expires` is in unix seconds.
    pub(crate) fn sign(&self, method: &str, path: &str, query: &str, expires: i64) -> String {
        let joint = if query.is_empty() { "" } else { "&" };
        let id = &self.signing.id;
        let covered = format!("{path}?{query}{joint}expires={expires}&key={id}");
        let tag = hmac::sign(&self.signing.key, &text(method, &covered));
        format!("{covered}&{SIGNATURE}{}", hex::encode(tag))
    }

    /// Whether the address of a request was signed here for this method and is still good. `now` is in unix seconds.
    ///
    /// # Errors
    /// [`Refusal`]. The signature is compared in constant time, and nothing is said about an address before it was.
    pub(crate) fn check(
        &self,
        method: &str,
        path: &str,
        query: &str,
        now: i64,
    ) -> Result<(), Refusal> {
        let (covered, tag) = split(query).ok_or(Refusal::Unsigned)?;
        let tag = hex::decode(tag).map_err(|_| Refusal::Incomplete("signature"))?;
        let id = parameter(covered, "key").ok_or(Refusal::Incomplete("key"))?;
        let expires = parameter(covered, "expires").ok_or(Refusal::Incomplete("expires"))?;
        let expires: i64 = expires
            .parse()
            .map_err(|_| Refusal::Incomplete("expires"))?;
        let key = std::iter::once(&self.signing)
            .chain(&self.accepted)
            .find(|key| key.id == id)
            .ok_or(Refusal::UnknownKey)?;
        let signed = text(method, &format!("{path}?{covered}"));
        hmac::verify(&key.key, &signed, &tag).map_err(|_| Refusal::Forged)?;
        if now < expires {
            Ok(())
        } else {
            Err(Refusal::Expired {
                ago: now.saturating_sub(expires),
            })
        }
    }
}

fn text(method: &str, covered: &str) -> Vec<u8> {
    format!("{method}\n{covered}").into_bytes()
}

/// What is signed of a query, and the signature behind it.
fn split(query: &str) -> Option<(&str, &str)> {
    let at = query
        .match_indices(SIGNATURE)
        .map(|(at, _)| at)
        .find(|at| *at == 0 || query.as_bytes()[at - 1] == b'&')?;
    let rest = &query[at + SIGNATURE.len()..];
    let tag = rest.split('&').next().unwrap_or_default();
    Some((query[..at].trim_end_matches('&'), tag))
}

/// The last of a name: that is where we put ours.
fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = query.rsplit('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW: i64 = 1_000;

    fn ring(signing: &str, accepted: &[&str]) -> KeyRing {
        let accepted: Vec<Vec<u8>> = accepted.iter().map(|s| s.as_bytes().to_vec()).collect();
        KeyRing::new(signing.as_bytes(), &accepted)
    }

    fn check(ring: &KeyRing, method: &str, address: &str, now: i64) -> Result<(), Refusal> {
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        ring.check(method, path, query, now)
    }

    #[test]
    fn an_address_opens_what_it_was_signed_for_until_it_expires() {
        let ring = ring("secret", &[]);
        let address = ring.sign("POST", "/a/b", "task=t", NOW + 5);
        assert_eq!(check(&ring, "POST", &address, NOW), Ok(()));
        let own = format!("{address}&async=true&sha1=ab");
        assert_eq!(check(&ring, "POST", &own, NOW + 4), Ok(()));
        let late = check(&ring, "POST", &address, NOW + 5);
        assert_eq!(late, Err(Refusal::Expired { ago: 0 }));
    }

    #[test]
    fn whatever_is_altered_or_left_out_opens_nothing() {
        let ring = ring("secret", &[]);
        let good = ring.sign("GET", "/a/b", "sha1=s", NOW + 5);
        let id = ring.signing.id.clone();
        let forged = [
            good.replace("/a/b", "/a/c"),
            good.replace("sha1=s", "sha1=t"),
            good.replace("sha1=s&", ""),
            good.replace("expires=1005", "expires=9999"),
            good.replace("expires=1005", "expires=0000"),
            good.replace("/a/b?", "/a/b?more=1&"),
            good[..good.len() - 2].to_owned(),
            format!("{good}00"),
        ];
        for address in forged {
            let got = check(&ring, "GET", &address, NOW);
            assert_eq!(got, Err(Refusal::Forged), "{address}");
        }
        assert_eq!(check(&ring, "POST", &good, NOW), Err(Refusal::Forged));
        assert_eq!(check(&ring, "HEAD", &good, NOW), Err(Refusal::Forged));
        let incomplete = [
            (good.replace(&format!("&key={id}"), ""), "key"),
            (good.replace("expires=1005&", ""), "expires"),
            (good.replace("=1005", "=soon"), "expires"),
            (format!("{}x", &good[..good.len() - 1]), "signature"),
        ];
        for (address, part) in incomplete {
            let got = check(&ring, "GET", &address, NOW);
            assert_eq!(got, Err(Refusal::Incomplete(part)), "{address}");
        }
        let unsigned = good.split("&signature").next().unwrap();
        assert_eq!(check(&ring, "GET", unsigned, NOW), Err(Refusal::Unsigned));
        assert_eq!(check(&ring, "GET", "/a/b", NOW), Err(Refusal::Unsigned));
        let other = good.replace(&id, "00000000");
        assert_eq!(check(&ring, "GET", &other, NOW), Err(Refusal::UnknownKey));
    }

    #[test]
    fn secrets_are_renewed_without_an_address_that_fails() {
        let (old, both) = (ring("old", &["new"]), ring("new", &["old"]));
        let (before, after) = (
            old.sign("GET", "/p", "", NOW + 5),
            both.sign("GET", "/p", "", NOW + 5),
        );
        for ring in [&old, &both] {
            assert_eq!(check(ring, "GET", &before, NOW), Ok(()));
            assert_eq!(check(ring, "GET", &after, NOW), Ok(()));
        }
        let new = ring("new", &[]);
        assert_eq!(check(&new, "GET", &before, NOW), Err(Refusal::UnknownKey));
        assert_eq!(check(&new, "GET", &after, NOW), Ok(()));
    }
}
