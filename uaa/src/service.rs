//! The service behind the endpoints.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use component::Forwarders;
use uuid::Uuid;

use crate::config::Config;
use crate::error::OpenError;
use crate::gate::Gate;
use crate::password::Passwords;
use crate::rules::LiveRules;
use crate::scope::{ADMIN_GROUPS, CF_SCOPES, DEFAULT_GROUPS};
use crate::store::{Store, UserRow, Whose};
use crate::token::Verifier;

/// Microseconds a replaced key is kept beyond the life of its tokens: uploads may outlive theirs.
const KEY_MARGIN_MICROS: i64 = 30 * 60 * 1_000_000;

/// A user to be made.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Login name; unique in any case.
    pub username: String,
    /// Password in clear; kept only as a hash.
    pub password: String,
    /// E-mail; shown as the actor of events.
    pub email: String,
    /// Given name; may be empty.
    pub given_name: String,
    /// Family name; may be empty.
    pub family_name: String,
    /// Also in the administrators' groups.
    pub admin: bool,
}

/// The token server. Cheap to clone.
#[derive(Clone)]
pub struct Uaa(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) passwords: Passwords,
    pub(crate) rules: LiveRules,
    pub(crate) gate: Gate,
    pub(crate) forwarders: Forwarders,
    accounts: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
    pub(crate) clients: HashMap<String, Client>,
    pub(crate) access_seconds: i64,
    pub(crate) refresh_seconds: i64,
}

/// A client that may ask for tokens.
pub(crate) struct Client {
    pub(crate) secret: String,
    pub(crate) authorities: Vec<String>,
    /// Scopes of its users' tokens; none: users cannot log in to it.
    pub(crate) scopes: Vec<String>,
    /// Whether users give it their passwords: only `cf`.
    pub(crate) takes_passwords: bool,
    pub(crate) redirect_uris: Vec<String>,
}

impl Uaa {
    /// Opens the service on a store; the first time a signing key is made.
    ///
    /// # Errors
    /// [`OpenError`] naming the step.
    pub async fn open(store: Store, config: &Config) -> Result<Uaa, OpenError> {
        let max_age = Duration::from_secs(config.rules_max_age_seconds.into());
        Ok(Uaa(Arc::new(Inner {
            rules: LiveRules::open(&store, max_age).await?,
            gate: Gate::new(config.failed_logins_per_minute),
            forwarders: config.trusted_forwarders.clone(),
            accounts: Mutex::default(),
            passwords: tokio::task::spawn_blocking(Passwords::new)
                .await
                .map_err(|error| OpenError::Password(error.to_string()))??,
            clients: load_clients(config)?,
            access_seconds: config.access_token_seconds.into(),
            refresh_seconds: config.refresh_token_seconds.into(),
            store,
        })))
    }

    /// Checks tokens without HTTP.
    pub fn verifier(&self) -> Verifier {
        self.0.rules.verifier()
    }

    /// Sees to it that keys and revocations of other servers are known here; `token` is what is to be checked next. To be called before
    /// [`Verifier::verify`]; costs nothing most of the time.
    ///
    /// # Errors
    /// [`OpenError`] when the store fails; what was known before still holds.
    pub async fn refresh_rules(&self, token: Option<&str>) -> Result<(), OpenError> {
        self.0.rules.refresh(&self.0.store, token).await
    }

    /// A new key signs tokens from now on; those of older keys stay good until they expire. Returns the new key's id.
    ///
    /// # Errors
    /// [`OpenError`] when the key cannot be made or kept.
    pub async fn rotate_key(&self) -> Result<String, OpenError> {
        let lifetime = self.0.access_seconds * 1_000_000 + KEY_MARGIN_MICROS;
        self.0.rules.rotate(&self.0.store, lifetime).await
    }

    /// Ends all tokens of a user or client.
    pub(crate) async fn revoke(&self, whose: Whose, id: &str) -> Result<(), OpenError> {
        self.0.store.revoke(whose, id).await?;
        self.reload().await
    }

    /// What was revoked in the store just now is refused from now on.
    pub(crate) async fn reload(&self) -> Result<(), OpenError> {
        self.0.rules.reload(&self.0.store).await
    }

    /// One attempt at an account at a time: two right passwords at once must not be taken for two attempts in a row.
    pub(crate) fn turn_of_account(&self, account: &str) -> Arc<tokio::sync::Mutex<()>> {
        let accounts = self.0.accounts.lock();
        let mut accounts = accounts.unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = accounts.get(account).and_then(Weak::upgrade) {
            return turn;
        }
        accounts.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        accounts.insert(account.to_owned(), Arc::downgrade(&turn));
        turn
    }

    /// The endpoints; `fallback_base` is the address put into answers when a request carries no Host.
    pub fn router(&self, fallback_base: String) -> axum::Router {
        crate::http::router(self.clone(), fallback_base)
    }

    /// Makes a user unless the name is taken, and returns the id. An existing user keeps its password.
    ///
    /// # Errors
    /// [`OpenError`] when hashing or the store fails.
    pub async fn ensure_user(&self, user: NewUser) -> Result<String, OpenError> {
        if let Some(known) = self.0.store.user_by_name(&user.username).await? {
            return Ok(known.id);
        }
        match self.create(user.clone(), "").await {
            Err(OpenError::Store(error)) if error.is_duplicate() => {
                let known = self.0.store.user_by_name(&user.username).await?;
                known.map(|u| u.id).ok_or(OpenError::Store(error))
            }
            other => other.map(|created| created.id),
        }
    }

    /// The id and name of the user with this login name, if any.
    ///
    /// # Errors
    /// [`OpenError`] when the store fails.
    pub async fn find_user(&self, username: &str) -> Result<Option<(String, String)>, OpenError> {
        Ok(self
            .0
            .store
            .user_by_name(username)
            .await?
            .map(|u| (u.id, u.username)))
    }

    /// The login name of the user with this id, if any.
    ///
    /// # Errors
    /// [`OpenError`] when the store fails.
    pub async fn name_of(&self, id: &str) -> Result<Option<String>, OpenError> {
        Ok(self.0.store.user_by_id(id).await?.map(|u| u.username))
    }

    /// Makes a user; `address` is whose turn it is to have a password hashed.
    pub(crate) async fn create(&self, user: NewUser, address: &str) -> Result<UserRow, OpenError> {
        let turn = self.0.passwords.turn(address).await?;
        let admin: &[&str] = if user.admin { ADMIN_GROUPS } else { &[] };
        let row = UserRow {
            id: Uuid::new_v4().to_string(),
            password_hash: self.0.passwords.hash(turn, &user.password).await?,
            username: user.username,
            email: user.email,
            given_name: user.given_name,
            family_name: user.family_name,
            groups: DEFAULT_GROUPS
                .iter()
                .chain(admin)
                .map(|g| g.to_string())
                .collect(),
            generation: 0,
        };
        self.0.store.insert_user(&row, now_micros()).await?;
        Ok(row)
    }
}

fn load_clients(config: &Config) -> Result<HashMap<String, Client>, OpenError> {
    let mut clients = HashMap::new();
    clients.insert(
        "cf".to_owned(),
        Client {
            secret: String::new(),
            authorities: Vec::new(),
            scopes: CF_SCOPES.iter().map(|scope| (*scope).to_owned()).collect(),
            takes_passwords: true,
            redirect_uris: Vec::new(),
        },
    );
    for client in &config.clients {
        let secret = std::fs::read_to_string(&client.secret_file).map_err(|source| {
            OpenError::ClientSecret {
                client: client.id.clone(),
                path: client.secret_file.display().to_string(),
                source,
            }
        })?;
        let known = Client {
            secret: secret.trim().to_owned(),
            authorities: client.authorities.clone(),
            scopes: client.scopes.clone(),
            takes_passwords: false,
            redirect_uris: client.redirect_uris.clone(),
        };
        clients.insert(client.id.clone(), known);
    }
    Ok(clients)
}

pub(crate) fn now_micros() -> i64 {
    chrono::Utc::now().timestamp_micros()
}
