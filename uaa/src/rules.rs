//! What tokens are signed and checked with: keys and generations, kept in memory and brought up to date when another server changed them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::error::OpenError;
use crate::keys::{self, SigningKey};
use crate::service::now_micros;
use crate::store::Store;
use crate::token::{Signer, Verifier};

/// Keys and generations of one moment.
pub(crate) struct Rules {
    /// Newest first.
    pub(crate) keys: Vec<SigningKey>,
    pub(crate) signer: Signer,
    /// What the login page's forms are marked with; the same on all servers of one database.
    pub(crate) form_key: hmac::Key,
}

/// The rules now, and when they were last compared with the store.
pub(crate) struct LiveRules {
    now: RwLock<Arc<Rules>>,
    verifier: Verifier,
    checked: Mutex<Instant>,
    max_age: Duration,
}

impl LiveRules {
    /// Loads the rules; the first time a signing key is made.
    pub(crate) async fn open(store: &Store, max_age: Duration) -> Result<LiveRules, OpenError> {
        store.seal_keys().await?;
        if store.keys().await?.is_empty() {
            let pkcs8 = generate().await?;
            let kid = Uuid::new_v4().to_string();
            store.insert_first_key(&kid, &pkcs8, now_micros()).await?;
        }
        let rules = load(store).await?;
        let generations = store.generations().await?;
        Ok(LiveRules {
            verifier: Verifier::new(&rules.keys, generations),
            now: RwLock::new(Arc::new(rules)),
            checked: Mutex::new(Instant::now()),
            max_age,
        })
    }

    pub(crate) fn now(&self) -> Arc<Rules> {
        // Replaced whole, so a holder that panicked leaves nothing half done.
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&now)
    }

    pub(crate) fn verifier(&self) -> Verifier {
        self.verifier.clone()
    }

    /// Brings the rules up to date when they are old, or when the token names a key nobody here knows.
    pub(crate) async fn refresh(
        &self,
        store: &Store,
        token: Option<&str>,
    ) -> Result<(), OpenError> {
        let is_unknown = token.is_some_and(|token| self.verifier.lacks_key_of(token));
        // Whoever finds it taken is served by the one that holds it.
        let Ok(mut checked) = self.checked.try_lock() else {
            return Ok(());
        };
        let age = checked.elapsed();
        if age < self.max_age && !(is_unknown && age >= Duration::from_secs(1)) {
            return Ok(());
        }
        *checked = Instant::now();
        self.reload(store).await
    }

    /// Brings the rules up to date now.
    pub(crate) async fn reload(&self, store: &Store) -> Result<(), OpenError> {
        let kids: Vec<String> = self.now().keys.iter().map(|key| key.kid.clone()).collect();
        let stored = store.keys().await?;
        if !stored.iter().map(|(kid, _)| kid).eq(&kids) {
            let rules = Arc::new(load(store).await?);
            self.verifier.set_keys(&rules.keys);
            *self.now.write().unwrap_or_else(PoisonError::into_inner) = rules;
        }
        self.verifier.set_generations(store.generations().await?);
        Ok(())
    }

    /// A new key signs from now on. Older ones stay as long as a token they signed may be valid: `lifetime` microseconds.
    pub(crate) async fn rotate(&self, store: &Store, lifetime: i64) -> Result<String, OpenError> {
        let pkcs8 = generate().await?;
        let kid = Uuid::new_v4().to_string();
        store
            .insert_key(&kid, &pkcs8, now_micros(), lifetime)
            .await?;
        self.reload(store).await?;
        Ok(kid)
    }
}

async fn generate() -> Result<String, OpenError> {
    tokio::task::spawn_blocking(keys::generate)
        .await
        .map_err(|error| OpenError::Key(error.to_string()))?
}

async fn load(store: &Store) -> Result<Rules, OpenError> {
    let stored = store.keys().await?;
    let keys: Vec<SigningKey> = stored
        .iter()
        .map(|(kid, pkcs8)| keys::load(kid, pkcs8))
        .collect::<Result<_, _>>()?;
    let newest = keys
        .first()
        .ok_or_else(|| OpenError::Key("no key in the store".into()))?;
    let mark = format!("uaa login form\n{}", newest.private_pem);
    Ok(Rules {
        signer: Signer::new(newest)?,
        form_key: hmac::Key::new(hmac::HMAC_SHA256, mark.as_bytes()),
        keys,
    })
}

/// Generations by subject.
pub(crate) type Generations = HashMap<String, i64>;
