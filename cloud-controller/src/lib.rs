//! The cloud controller: the v2 API, the desired state, staging and placement decisions, the blobstore.
//!
//! The database is the truth; bus messages are hints. Pure parts decide, thin parts carry out.
//!
//! | module | what it holds |
//! |---|---|
//! | [`config`] | every setting |
//! | `start` | [`start()`]: open, seed, listen, serve |
//! | `api` | the HTTP endpoints |
//! | `openapi` | the description of the endpoints, made from the code |
//! | `authorize` | the one place that says who may |
//! | `store` | the only SQL |
//! | [`blobs`], [`archive`], `archive_layout`, `buildpack_zip` | packages, droplets, buildpacks; zips read without trust |
//! | [`placement`], [`pools`] | pure: which DEA, which stager |
//! | `runner` | pure: what a change of the desired state asks for |
//! | [`live`] | pure: what runs, from heartbeats |
//! | `messages` | pure: rows → bus messages |
//! | `addresses`, `signing` | pure: the signed addresses in them |
//! | `dea_addresses` | pure: where DEAs are, and what of their answers is fetched |
//! | `conductor` | carries effects out |
//! | `staging` | how a staging begins and ends in the database |
//! | `share` | staging places between organizations |
//! | `stager` | the conversation with a stager |
//! | `health` | advertisements, heartbeats, exits |
//! | `wishes` | what the health manager asks for |
//! | `garbage` | collects blobs nobody refers to |
//! | [`limits`], `budget` | every bound on outside input; what requests hold at a time |
//! | `watch` | whether the database is there, for `/healthz` |
//! | `seed` | what a fresh platform starts with |

mod addresses;
mod api;
pub mod archive;
mod archive_layout;
mod authorize;
pub mod blobs;
mod budget;
mod buildpack_zip;
mod conductor;
pub mod config;
mod controller;
mod dea_addresses;
mod failure;
#[cfg(test)]
mod fuzzed;
mod garbage;
mod health;
pub mod limits;
pub mod live;
mod messages;
mod openapi;
pub mod placement;
pub mod pools;
mod runner;
mod seed;
mod share;
mod signing;
mod stager;
mod staging;
mod start;
mod store;
mod watch;
mod wishes;

pub use api::{Endpoint, endpoints};
pub use config::Config;
pub use database::OpenError;
pub use start::{Running, StartError, start};
