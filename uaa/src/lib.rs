//! Tokens and users: the OAuth2 and SCIM endpoints that `cf` speaks to, in the shape of the original UAA.
//!
//! The controller mounts [`Uaa::router`] and checks tokens with [`Verifier`], without HTTP; the binary `uaa` runs the same alone.
//!
//! | module | what it holds |
//! |---|---|
//! | [`config`] | lifetimes, clients, the store's place |
//! | [`store`] | the only SQL of this crate: users, keys, refresh tokens |
//! | [`token`] | claims, signing, [`Verifier`] |
//! | `keys` | the RSA pair, made once and kept in the store |
//! | `grants` | what a token is given for: passwords, refresh tokens, codes, client secrets |
//! | `rules` | keys and revocations in memory, brought up to date when another server changed them |
//! | `gate`, `rate` | every secret is counted before it is tested, by address |
//! | `lockout` | pure: five attempts lock an account for five minutes |
//! | `turns` | whose password is hashed next |
//! | [`limits`] | every bound on what strangers send |
//! | `password` | argon2, a few at a time |
//! | `scope` | pure: which scopes a token carries |
//! | `filter` | pure: the SCIM filters clients send |
//! | `http` | the endpoints |
//! | [`daemon`] | running alone |

pub mod config;
pub mod daemon;
mod error;
mod filter;
mod gate;
mod grants;
mod http;
mod keys;
pub mod limits;
mod lockout;
mod password;
mod rate;
mod rules;
mod scope;
mod service;
pub mod store;
pub mod token;
mod turns;

pub use config::{ClientConfig, Config};
pub use error::OpenError;
pub use http::ENDPOINTS;
pub use service::{NewUser, Uaa};
pub use token::{Claims, TokenError, Verifier};
