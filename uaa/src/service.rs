//! The service behind the endpoints.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::config::Config;
use crate::error::{OpenError, Refusal};
use crate::keys::{self, SigningKey};
use crate::password::Passwords;
use crate::scope::{self, ADMIN_GROUPS, DEFAULT_GROUPS};
use crate::store::{RefreshRow, Store, UserRow};
use crate::token::{Claims, Signer, Verifier};

/// Microseconds during which a refresh token that was just replaced still works: two commands may run at once.
const REUSE_GRACE_MICROS: i64 = 60 * 1_000_000;

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
    pub(crate) keys: Vec<SigningKey>,
    signer: Signer,
    pub(crate) verifier: Verifier,
    pub(crate) clients: HashMap<String, Client>,
    access_seconds: i64,
    refresh_seconds: i64,
}

/// A client that may ask for tokens.
pub(crate) struct Client {
    pub(crate) secret: String,
    pub(crate) authorities: Vec<String>,
    pub(crate) users: bool,
}

/// An answer of the token endpoint.
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: Option<String>,
    pub(crate) claims: Claims,
}

impl Uaa {
    /// Opens the service on a store; the first time a signing key is made.
    ///
    /// # Errors
    /// [`OpenError`] naming the step.
    pub async fn open(store: Store, config: &Config) -> Result<Uaa, OpenError> {
        let keys = load_keys(&store).await?;
        let newest = keys
            .first()
            .ok_or_else(|| OpenError::Key("no key in the store".into()))?;
        Ok(Uaa(Arc::new(Inner {
            signer: Signer::new(newest)?,
            verifier: Verifier::new(&keys),
            passwords: tokio::task::spawn_blocking(Passwords::new)
                .await
                .map_err(|error| OpenError::Password(error.to_string()))??,
            clients: load_clients(config)?,
            access_seconds: config.access_token_seconds.into(),
            refresh_seconds: config.refresh_token_seconds.into(),
            store,
            keys,
        })))
    }

    /// Checks tokens without HTTP.
    pub fn verifier(&self) -> Verifier {
        self.0.verifier.clone()
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
        match self.create(user.clone()).await {
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

    pub(crate) async fn create(&self, user: NewUser) -> Result<UserRow, OpenError> {
        let admin: &[&str] = if user.admin { ADMIN_GROUPS } else { &[] };
        let row = UserRow {
            id: Uuid::new_v4().to_string(),
            password_hash: self.0.passwords.hash(&user.password).await?,
            username: user.username,
            email: user.email,
            given_name: user.given_name,
            family_name: user.family_name,
            groups: DEFAULT_GROUPS
                .iter()
                .chain(admin)
                .map(|g| g.to_string())
                .collect(),
            attempts: Default::default(),
        };
        self.0.store.insert_user(&row, now_micros()).await?;
        Ok(row)
    }

    /// Grant `password`.
    pub(crate) async fn login(
        &self,
        client: &str,
        name: &str,
        password: &str,
        wish: &str,
        issuer: &str,
    ) -> Result<Tokens, Refusal> {
        let now = now_micros();
        let user = self.0.store.user_by_name(name).await?;
        if let Some(seconds) = user.as_ref().and_then(|u| u.attempts.locked_for(now)) {
            return Err(Refusal::unauthorized(format!(
                "This account is locked because of too many failed logins. Try again in {seconds} seconds."
            )));
        }
        let hash = user.as_ref().map(|u| u.password_hash.as_str());
        let fits = self.0.passwords.verify(password, hash).await?;
        let Some(user) = user else {
            return Err(Refusal::unauthorized("Bad credentials"));
        };
        if !fits {
            self.0
                .store
                .set_attempts(&user.id, user.attempts.after_failure(now))
                .await?;
            return Err(Refusal::unauthorized("Bad credentials"));
        }
        if user.attempts != Default::default() {
            self.0
                .store
                .set_attempts(&user.id, Default::default())
                .await?;
        }
        let family = Uuid::new_v4().to_string();
        self.user_tokens(&user, client, wish, "password", issuer, (&family, None))
            .await
    }

    /// Grant `refresh_token`. The token is replaced; using a replaced one later than a grace ends the whole login.
    pub(crate) async fn refresh(
        &self,
        client: &str,
        token: &str,
        wish: &str,
        issuer: &str,
    ) -> Result<Tokens, Refusal> {
        let now = now_micros();
        let dead = || {
            Refusal::invalid_token("The refresh token is not valid or has expired. Log in again.")
        };
        let old = self
            .0
            .store
            .refresh_token(&hash_token(token))
            .await?
            .ok_or_else(dead)?;
        if old.expires_at < now || old.client_id != client {
            return Err(dead());
        }
        if old
            .used_at
            .is_some_and(|used| now - used > REUSE_GRACE_MICROS)
        {
            self.0.store.revoke_family(&old.family).await?;
            return Err(Refusal::invalid_token(
                "The refresh token was used before; the login it came from is ended. Log in again.",
            ));
        }
        let user = self
            .0
            .store
            .user_by_id(&old.user_id)
            .await?
            .ok_or_else(dead)?;
        let wish = if wish.trim().is_empty() {
            old.scope.as_str()
        } else {
            wish
        };
        self.user_tokens(
            &user,
            client,
            wish,
            "refresh_token",
            issuer,
            (&old.family, Some(&old.token_hash)),
        )
        .await
    }

    /// Grant `client_credentials`.
    pub(crate) fn client_token(&self, client: &str, issuer: &str) -> Result<Tokens, Refusal> {
        let known = &self.0.clients[client];
        if known.authorities.is_empty() {
            return Err(Refusal::unauthorized(format!(
                "Client {client} has no authorities of its own"
            )));
        }
        let claims = self.claims(
            client,
            known.authorities.clone(),
            "client_credentials",
            issuer,
            None,
        );
        Ok(Tokens {
            access: self.0.signer.sign(&claims)?,
            refresh: None,
            claims,
        })
    }

    async fn user_tokens(
        &self,
        user: &UserRow,
        client: &str,
        wish: &str,
        grant: &str,
        issuer: &str,
        (family, replaces): (&str, Option<&str>),
    ) -> Result<Tokens, Refusal> {
        let scopes = scope::granted(&user.groups, wish).ok_or_else(|| {
            Refusal::new(
                http::StatusCode::BAD_REQUEST,
                "invalid_scope",
                format!("none of the scopes {wish:?} may be given"),
            )
        })?;
        let claims = self.claims(client, scopes, grant, issuer, Some(user));
        let access = self.0.signer.sign(&claims)?;
        let refresh = random_token();
        let now = now_micros();
        let row = RefreshRow {
            token_hash: hash_token(&refresh),
            family: family.to_owned(),
            user_id: user.id.clone(),
            client_id: client.to_owned(),
            scope: wish.to_owned(),
            expires_at: now + self.0.refresh_seconds * 1_000_000,
            used_at: None,
        };
        self.0.store.rotate_refresh(&row, replaces, now).await?;
        Ok(Tokens {
            access,
            refresh: Some(refresh),
            claims,
        })
    }

    fn claims(
        &self,
        client: &str,
        scope: Vec<String>,
        grant: &str,
        issuer: &str,
        user: Option<&UserRow>,
    ) -> Claims {
        let now = now_micros() / 1_000_000;
        Claims {
            jti: Uuid::new_v4().to_string(),
            sub: user.map_or(client, |u| u.id.as_str()).to_owned(),
            aud: scope::audience(&scope, client),
            scope,
            client_id: client.to_owned(),
            cid: client.to_owned(),
            grant_type: grant.to_owned(),
            user_id: user.map(|u| u.id.clone()),
            user_name: user.map(|u| u.username.clone()),
            email: user.map(|u| u.email.clone()),
            iat: now,
            exp: now + self.0.access_seconds,
            iss: issuer.to_owned(),
        }
    }
}

async fn load_keys(store: &Store) -> Result<Vec<SigningKey>, OpenError> {
    store.seal_keys().await?;
    if store.keys().await?.is_empty() {
        let pkcs8 = tokio::task::spawn_blocking(keys::generate)
            .await
            .map_err(|error| OpenError::Key(error.to_string()))??;
        store
            .insert_first_key(&Uuid::new_v4().to_string(), &pkcs8, now_micros())
            .await?;
    }
    store
        .keys()
        .await?
        .iter()
        .map(|(kid, pkcs8)| keys::load(kid, pkcs8))
        .collect()
}

fn load_clients(config: &Config) -> Result<HashMap<String, Client>, OpenError> {
    let mut clients = HashMap::new();
    clients.insert(
        "cf".to_owned(),
        Client {
            secret: String::new(),
            authorities: Vec::new(),
            users: true,
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
            users: false,
        };
        clients.insert(client.id.clone(), known);
    }
    Ok(clients)
}

pub(crate) fn now_micros() -> i64 {
    chrono::Utc::now().timestamp_micros()
}

fn random_token() -> String {
    let bytes: [u8; 32] = rand::random();
    format!("{}-r", URL_SAFE_NO_PAD.encode(bytes))
}

fn hash_token(token: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    URL_SAFE_NO_PAD.encode(digest.as_ref())
}
