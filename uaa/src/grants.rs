//! The grants: what a token is given for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::error::Refusal;
use crate::scope;
use crate::service::{Client, Uaa, now_micros};
use crate::store::{CodeRow, RefreshRow, UserRow, Whose};
use crate::token::Claims;

/// Microseconds during which a refresh token that was just replaced still works: two commands may run at once.
const REUSE_GRACE_MICROS: i64 = 60 * 1_000_000;
/// Microseconds an authorization code may be exchanged.
const CODE_MICROS: i64 = 5 * 60 * 1_000_000;

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

    /// The user with this name and password; failures are counted, and lock the account.
    pub(crate) async fn authenticate(
        &self,
        name: &str,
        password: &str,
    ) -> Result<UserRow, Refusal> {
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
        Ok(user)
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
        let user = self.authenticate(name, password).await?;
        let family = Uuid::new_v4().to_string();
        self.user_tokens(&user, client, wish, "password", issuer, (&family, None))
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
        let code = random_token("c");
        let now = now_micros();
        let row = CodeRow {
            code_hash: hash_token(&code),
            client_id: client.to_owned(),
            user_id: user.id.clone(),
            redirect_uri: redirect_uri.to_owned(),
            scope: wish.to_owned(),
            expires_at: now + CODE_MICROS,
        };
        self.0.store.insert_code(&row, now).await?;
        Ok(code)
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
        let row = self
            .0
            .store
            .take_code(&hash_token(code))
            .await?
            .ok_or_else(dead)?;
        let fits = row.client_id == client && row.redirect_uri == redirect_uri;
        if !fits || row.expires_at < now_micros() {
            return Err(dead());
        }
        let user = self
            .0
            .store
            .user_by_id(&row.user_id)
            .await?
            .ok_or_else(dead)?;
        let family = Uuid::new_v4().to_string();
        let grant = "authorization_code";
        self.user_tokens(&user, client, &row.scope, grant, issuer, (&family, None))
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
    pub(crate) async fn client_token(&self, client: &str, issuer: &str) -> Result<Tokens, Refusal> {
        let known = self.client(client);
        if known.authorities.is_empty() {
            return Err(Refusal::unauthorized(format!(
                "Client {client} has no authorities of its own"
            )));
        }
        let scopes = known.authorities.clone();
        let claims = self
            .claims(client, scopes, "client_credentials", issuer, None)
            .await?;
        Ok(Tokens {
            access: self.0.rules.now().signer.sign(&claims)?,
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
        let scopes =
            scope::granted(&self.client(client).scopes, &user.groups, wish).ok_or_else(|| {
                Refusal::new(
                    http::StatusCode::BAD_REQUEST,
                    "invalid_scope",
                    format!("none of the scopes {wish:?} may be given"),
                )
            })?;
        let claims = self
            .claims(client, scopes, grant, issuer, Some(user))
            .await?;
        let access = self.0.rules.now().signer.sign(&claims)?;
        let refresh = random_token("r");
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

    async fn claims(
        &self,
        client: &str,
        scope: Vec<String>,
        grant: &str,
        issuer: &str,
        user: Option<&UserRow>,
    ) -> Result<Claims, Refusal> {
        let now = now_micros() / 1_000_000;
        let id = user.map_or("", |user| user.id.as_str());
        let store = &self.0.store;
        let of_user = store.generation(&Whose::User.subject(id)).await?;
        let of_client = store.generation(&Whose::Client.subject(client)).await?;
        Ok(Claims {
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
            rev_sig: format!("{of_user}.{of_client}"),
        })
    }
}

/// A secret to be handed out; its last letter says what it is.
fn random_token(kind: &str) -> String {
    let bytes: [u8; 32] = rand::random();
    format!("{}-{kind}", URL_SAFE_NO_PAD.encode(bytes))
}

fn hash_token(token: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    URL_SAFE_NO_PAD.encode(digest.as_ref())
}
