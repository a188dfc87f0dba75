//! The grants: what a token is given for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::error::Refusal;
use crate::limits::{CODE_SECONDS, NAME_BYTES};
use crate::scope;
use crate::service::{Client, Uaa, now_micros};
use crate::store::{Attempted, CodeRow, RefreshRow, UserRow, Whose};
use crate::token::Claims;
use crate::turns::Turn;

/// Microseconds an authorization code may be exchanged.
const CODE_MICROS: i64 = CODE_SECONDS.as_secs() as i64 * 1_000_000;

/// An answer of the token endpoint.
pub(crate) struct Tokens {
    pub(crate) access: String,
    pub(crate) refresh: Option<String>,
    pub(crate) claims: Claims,
}

impl Uaa {
    /// A client that was let in before.
    fn client(&self, id: &str) -> &Client {
        &self.0.clients[id]
    }

    /// The user with this name and password, in the generation in which the password was tested. The attempt is counted before, by the
    /// name, whether anybody has it or not; success takes it back. `address` is whose turn it is to have a password hashed.
    pub(crate) async fn authenticate(
        &self,
        name: &str,
        password: &str,
        address: &str,
    ) -> Result<UserRow, Refusal> {
        let turn = self.0.passwords.turn(address).await?;
        let (uaa, name, password) = (self.clone(), name.to_owned(), password.to_owned());
        // In a task of its own: what is counted is tested and, if right, taken back, though the client goes away.
        let attempt = tokio::spawn(async move { uaa.attempt(turn, &name, &password).await });
        attempt.await.unwrap_or_else(|error| {
            tracing::error!(%error, "an attempt to log in ended early");
            Err(Refusal::new(
                http::StatusCode::INTERNAL_SERVER_ERROR,
                "server_error",
                "internal error; see the server's log",
            ))
        })
    }

    async fn attempt(&self, turn: Turn, name: &str, password: &str) -> Result<UserRow, Refusal> {
        let account = hash_token(&name.to_lowercase());
        let of_account = self.turn_of_account(&account);
        let _one_at_a_time = of_account.lock().await;
        let store = &self.0.store;
        let known = is_name(name).then_some(name);
        let user = match store.count_attempt(&account, known, now_micros()).await? {
            Attempted::Locked(seconds) => {
                return Err(Refusal::unauthorized(format!(
                    "This account is locked because of too many failed logins. Try again in {seconds} seconds."
                )));
            }
            Attempted::Counted(user) => user,
        };
        let hash = user.as_ref().map(|user| user.password_hash.as_str());
        let fits = self.0.passwords.verify(turn, password, hash).await?;
        match user {
            Some(user) if fits => {
                store.forget_attempts(&account).await?;
                Ok(user)
            }
            _ => Err(Refusal::unauthorized("Bad credentials")),
        }
    }

    /// Grant `password`.
    pub(crate) async fn login(
        &self,
        client: &str,
        (name, password): (&str, &str),
        wish: &str,
        issuer: &str,
        address: &str,
    ) -> Result<Tokens, Refusal> {
        let user = self.authenticate(name, password, address).await?;
        let scopes = scope::granted(&self.client(client).scopes, &user.groups, wish);
        let scopes = scopes.ok_or_else(|| Refusal::invalid_scope(wish))?;
        self.begin_session(&user, client, scopes, "password", issuer)
            .await
    }

    /// A code for a user who logged in on the page; the client exchanges it with [`Uaa::exchange`].
    pub(crate) async fn authorize(
        &self,
        user: &UserRow,
        client: &str,
        redirect_uri: &str,
        wish: &str,
    ) -> Result<String, Refusal> {
        let scopes = scope::granted(&self.client(client).scopes, &user.groups, wish);
        let scopes = scopes.ok_or_else(|| Refusal::invalid_scope(wish))?;
        let code = random_token("c");
        let now = now_micros();
        let row = CodeRow {
            code_hash: hash_token(&code),
            client_id: client.to_owned(),
            user_id: user.id.clone(),
            redirect_uri: redirect_uri.to_owned(),
            scope: scopes.join(" "),
            expires_at: now + CODE_MICROS,
        };
        let store = &self.0.store;
        match store.insert_code(&row, user.generation, now).await? {
            true => Ok(code),
            false => Err(changed_meanwhile()),
        }
    }

    /// Grant `authorization_code`. A code works once, for the client and the address it was given for.
    pub(crate) async fn exchange(
        &self,
        client: &str,
        code: &str,
        redirect_uri: &str,
        issuer: &str,
    ) -> Result<Tokens, Refusal> {
        let dead = || {
            Refusal::new(
                http::StatusCode::BAD_REQUEST,
                "invalid_grant",
                "The authorization code is not valid, has expired or was used. Log in again.",
            )
        };
        let taken = self.0.store.take_code(&hash_token(code)).await?;
        let (row, user) = taken.ok_or_else(dead)?;
        let fits = row.client_id == client && row.redirect_uri == redirect_uri;
        if !fits || row.expires_at < now_micros() {
            return Err(dead());
        }
        let allowed = &self.client(client).scopes;
        let scopes = scope::narrowed(allowed, &user.groups, &row.scope, "").ok_or_else(dead)?;
        self.begin_session(&user, client, scopes, "authorization_code", issuer)
            .await
    }

    /// Grant `refresh_token`. The token stays as it is: a client that lost the answer, or another that shares it, can use it again.
    pub(crate) async fn refresh(
        &self,
        client: &str,
        token: &str,
        wish: &str,
        issuer: &str,
    ) -> Result<Tokens, Refusal> {
        let dead = || {
            Refusal::invalid_token("The refresh token is not valid or has expired. Log in again.")
        };
        let session = self.0.store.session(&hash_token(token)).await?;
        let session = session.ok_or_else(dead)?;
        if session.row.expires_at < now_micros() || session.row.client_id != client {
            return Err(dead());
        }
        let (allowed, user) = (&self.client(client).scopes, &session.user);
        let scopes = scope::narrowed(allowed, &user.groups, &session.row.scope, wish);
        let scopes = scopes.ok_or_else(|| Refusal::invalid_scope(wish))?;
        let generations = (user.generation, session.of_client);
        let claims = self.claims(
            client,
            scopes,
            "refresh_token",
            issuer,
            Some(user),
            generations,
        );
        Ok(Tokens {
            access: self.0.rules.now().signer.sign(&claims)?,
            refresh: Some(token.to_owned()),
            claims,
        })
    }

    /// Grant `client_credentials`.
    pub(crate) async fn client_token(
        &self,
        client: &str,
        wish: &str,
        issuer: &str,
    ) -> Result<Tokens, Refusal> {
        let known = self.client(client);
        if known.authorities.is_empty() {
            return Err(Refusal::unauthorized(format!(
                "Client {client} has no authorities of its own"
            )));
        }
        let scopes = scope::granted(&known.authorities, &known.authorities, wish);
        let scopes = scopes.ok_or_else(|| Refusal::invalid_scope(wish))?;
        let subject = Whose::Client.subject(client);
        let of_client = self.0.store.generation(&subject).await?;
        let grant = "client_credentials";
        let claims = self.claims(client, scopes, grant, issuer, None, (0, of_client));
        Ok(Tokens {
            access: self.0.rules.now().signer.sign(&claims)?,
            refresh: None,
            claims,
        })
    }

    /// Tokens for a user who has just shown who it is. They are of the generation in which that was found out.
    async fn begin_session(
        &self,
        user: &UserRow,
        client: &str,
        scopes: Vec<String>,
        grant: &str,
        issuer: &str,
    ) -> Result<Tokens, Refusal> {
        let refresh = random_token("r");
        let now = now_micros();
        let row = RefreshRow {
            token_hash: hash_token(&refresh),
            family: Uuid::new_v4().to_string(),
            user_id: user.id.clone(),
            client_id: client.to_owned(),
            scope: scopes.join(" "),
            expires_at: now + self.0.refresh_seconds * 1_000_000,
        };
        let kept = self.0.store.insert_refresh(&row, user.generation, now);
        let of_client = kept.await?.ok_or_else(changed_meanwhile)?;
        let generations = (user.generation, of_client);
        let claims = self.claims(client, scopes, grant, issuer, Some(user), generations);
        Ok(Tokens {
            access: self.0.rules.now().signer.sign(&claims)?,
            refresh: Some(refresh),
            claims,
        })
    }

    /// What a token says. `generations` are those of user and client in which it is given.
    fn claims(
        &self,
        client: &str,
        scope: Vec<String>,
        grant: &str,
        issuer: &str,
        user: Option<&UserRow>,
        generations: (i64, i64),
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
            rev_sig: format!("{}.{}", generations.0, generations.1),
        }
    }
}

/// Password, groups or sessions of the user changed between the test and the tokens, or the user is gone.
fn changed_meanwhile() -> Refusal {
    Refusal::unauthorized("The account was changed at this moment. Log in again.")
}

/// Whether a user can have this name.
pub(crate) fn is_name(name: &str) -> bool {
    !name.trim().is_empty() && name.len() <= NAME_BYTES && !name.chars().any(char::is_control)
}

/// A secret to be handed out; its last letter says what it is.
fn random_token(kind: &str) -> String {
    let bytes: [u8; 32] = rand::random();
    format!("{}-{kind}", URL_SAFE_NO_PAD.encode(bytes))
}

pub(crate) fn hash_token(token: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    URL_SAFE_NO_PAD.encode(digest.as_ref())
}
