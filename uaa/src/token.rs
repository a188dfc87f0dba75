//! Access tokens: claims, signing and checking.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::error::OpenError;
use crate::keys::SigningKey;
use crate::rules::Generations;
use crate::store::Whose;

/// The audience the cloud controller asks for.
pub const CONTROLLER_AUDIENCE: &str = "cloud_controller";

/// Claims of an access token, as the original's tokens carry them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Claims {
    /// Unique id of the token.
    pub jti: String,
    /// User id, or client id for a client's own token.
    pub sub: String,
    /// Scopes.
    pub scope: Vec<String>,
    /// Client the token was given to.
    pub client_id: String,
    /// The same again; older readers look here.
    pub cid: String,
    /// How it was got.
    pub grant_type: String,
    /// User id; absent in a client's own token.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user_id: Option<String>,
    /// User name; absent in a client's own token.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user_name: Option<String>,
    /// E-mail; absent in a client's own token.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub email: Option<String>,
    /// Unix seconds.
    pub iat: i64,
    /// Unix seconds.
    pub exp: i64,
    /// `<uaa>/oauth/token`.
    pub iss: String,
    /// Who may accept it.
    pub aud: Vec<String>,
    /// In which generation of its user's and its client's tokens it was made, e.g. `0.2`; revoking begins a new one.
    #[serde(default)]
    pub rev_sig: String,
}

impl Claims {
    /// Whether the token carries a scope.
    pub fn has(&self, scope: &str) -> bool {
        self.scope.iter().any(|s| s == scope)
    }

    /// The generations in [`Claims::rev_sig`] by subject; a token of before there were any is in generation 0.
    fn generations(&self) -> [(String, i64); 2] {
        let (user, client) = self.rev_sig.split_once('.').unwrap_or_default();
        let number = |text: &str| text.parse().unwrap_or(0);
        let id = self.user_id.as_deref().unwrap_or_default();
        [
            (Whose::User.subject(id), number(user)),
            (Whose::Client.subject(&self.client_id), number(client)),
        ]
    }
}

/// Why a token was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Past its `exp`. `claims` are those of a token that is otherwise good.
    #[error("the token has expired")]
    Expired,
    /// Anything else: form, signature, key or audience.
    #[error("the token is not valid: {0}")]
    Invalid(String),
}

/// What a token is checked against.
#[derive(Default)]
struct Known {
    keys: HashMap<String, DecodingKey>,
    generations: Generations,
}

/// Checks tokens without asking anyone. Cheap to clone; clones see new keys and revocations as soon as the service does.
#[derive(Clone)]
pub struct Verifier {
    known: Arc<RwLock<Known>>,
}

impl Verifier {
    pub(crate) fn new(keys: &[SigningKey], generations: Generations) -> Verifier {
        let verifier = Verifier {
            known: Arc::default(),
        };
        verifier.set_keys(keys);
        verifier.set_generations(generations);
        verifier
    }

    pub(crate) fn set_keys(&self, keys: &[SigningKey]) {
        let decoding = |key: &SigningKey| {
            let parts = DecodingKey::from_rsa_raw_components(&key.modulus, &key.exponent);
            (key.kid.clone(), parts)
        };
        self.write().keys = keys.iter().map(decoding).collect();
    }

    pub(crate) fn set_generations(&self, generations: Generations) {
        self.write().generations = generations;
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        // Each writer replaces one field whole.
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the token names a key that is not known here.
    pub(crate) fn lacks_key_of(&self, token: &str) -> bool {
        let header = jsonwebtoken::decode_header(token).ok();
        let kid = header.and_then(|header| header.kid);
        kid.is_some_and(|kid| !self.read().keys.contains_key(&kid))
    }

    /// Checks signature, expiry and that the token is meant for the controller.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        self.check(token, Some(CONTROLLER_AUDIENCE), 0)
    }

    /// As [`Verifier::verify`], but accepts a token up to `grace_seconds` after its expiry: an upload can outlive the token it began with.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn verify_with_grace(&self, token: &str, grace_seconds: u64) -> Result<Claims, TokenError> {
        self.check(token, Some(CONTROLLER_AUDIENCE), grace_seconds)
    }

    /// Checks signature and expiry, whatever the audience.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn verify_any_audience(&self, token: &str) -> Result<Claims, TokenError> {
        self.check(token, None, 0)
    }

    fn check(
        &self,
        token: &str,
        audience: Option<&str>,
        leeway: u64,
    ) -> Result<Claims, TokenError> {
        let header = jsonwebtoken::decode_header(token).map_err(invalid)?;
        let kid = header
            .kid
            .as_deref()
            .ok_or_else(|| TokenError::Invalid("it names no key".into()))?;
        let known = self.read();
        let key = known
            .keys
            .get(kid)
            .ok_or_else(|| TokenError::Invalid("its key is unknown here".into()))?;
        let mut rules = Validation::new(Algorithm::RS256);
        rules.leeway = leeway;
        match audience {
            Some(audience) => rules.set_audience(&[audience]),
            None => rules.validate_aud = false,
        }
        let claims = jsonwebtoken::decode::<Claims>(token, key, &rules)
            .map(|data| data.claims)
            .map_err(|error| match error.kind() {
                jsonwebtoken::errors::ErrorKind::ExpiredSignature => TokenError::Expired,
                _ => invalid(error),
            })?;
        let is_revoked = |(subject, made_in): &(String, i64)| {
            known
                .generations
                .get(subject)
                .is_some_and(|now| now > made_in)
        };
        if claims.generations().iter().any(is_revoked) {
            return Err(TokenError::Invalid("it was revoked".into()));
        }
        Ok(claims)
    }
}

fn invalid(error: jsonwebtoken::errors::Error) -> TokenError {
    TokenError::Invalid(error.to_string())
}

/// Signs with the newest key.
pub(crate) struct Signer {
    kid: String,
    key: EncodingKey,
}

impl Signer {
    pub(crate) fn new(key: &SigningKey) -> Result<Signer, OpenError> {
        let encoding = EncodingKey::from_rsa_pem(key.private_pem.as_bytes())
            .map_err(|error| OpenError::Key(error.to_string()))?;
        Ok(Signer {
            kid: key.kid.clone(),
            key: encoding,
        })
    }

    pub(crate) fn sign(&self, claims: &Claims) -> Result<String, OpenError> {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.key)
            .map_err(|error| OpenError::Key(error.to_string()))
    }
}
